/**
 * Relays rumors: it gives each rumor once to the listeners of its kind, and queues it once for other members. Every
 * member does so, and the same rumor returns on many paths. A member that remembers its id ignores it.
 *
 * Invariants:
 * 1. The ids in #seenAtMs were given to the listeners, or published here, within the last rememberedMs. There are at most
 *    twice as many as all queues can hold.
 * 2. A rumor that fits in no message is not queued. It would block all rumors after it.
 */
import type { Clock } from "../base/clock.ts";
import { LruMap } from "../base/lru-map.ts";
import { BroadcastQueue } from "./broadcast-queue.ts";
import { type Rumor, type RumorKind, type RumorListener, rumorKinds } from "./rumor.ts";
import type { SwimSettings } from "./swim-settings.ts";

/** Longer than a rumor circulates, and short enough that a chunk that was lost and stored again is announced again. */
const rememberedMs = 60_000;

type Listeners = { readonly [Kind in RumorKind]: Set<RumorListener<Kind>> };

export class RumorRelay {
  readonly stats = { published: 0, heard: 0, repeated: 0, oversize: 0 };
  readonly #clock: Clock;
  readonly #settings: SwimSettings;
  readonly #queues: Readonly<Record<RumorKind, BroadcastQueue<Rumor>>>;
  readonly #listeners: Listeners = {
    invalidation: new Set(),
    throttle: new Set(),
    announcement: new Set(),
  };
  readonly #onQueued: () => void;
  readonly #seenAtMs: LruMap<string, number>;

  /** `onQueued` is called when a rumor waits to be sent. */
  constructor(clock: Clock, settings: SwimSettings, onQueued: () => void) {
    this.#clock = clock;
    this.#onQueued = onQueued;
    this.#settings = settings;
    this.#seenAtMs = new LruMap({ entriesMax: settings.rumorsQueuedMax * rumorKinds.length * 2 });
    this.#queues = {
      invalidation: new BroadcastQueue(settings.rumorsQueuedMax),
      throttle: new BroadcastQueue(settings.rumorsQueuedMax),
      announcement: new BroadcastQueue(settings.rumorsQueuedMax),
    };
  }

  /** The other half of a message is for statements about members. */
  get #bytesMax(): number {
    return this.#settings.gossipBytesMax / 2;
  }

  get waiting(): number {
    return rumorKinds.reduce((total, kind) => total + this.#queues[kind].size, 0);
  }

  /** How many rumors were dropped for newer ones before they were sent often enough. */
  get dropped(): number {
    return rumorKinds.reduce((total, kind) => total + this.#queues[kind].stats.dropped, 0);
  }

  listen<Kind extends RumorKind>(kind: Kind, listener: RumorListener<Kind>): () => void {
    this.#listeners[kind].add(listener);
    return () => void this.#listeners[kind].delete(listener);
  }

  /** Sends a rumor to all other members. The listeners of this replica do not get it. */
  publish(rumor: Rumor): void {
    this.stats.published += 1;
    this.#remember(rumor);
    this.#queue(rumor);
  }

  hear(rumors: readonly Rumor[]): void {
    for (const rumor of rumors) {
      if (this.#isRemembered(rumor)) {
        this.stats.repeated += 1;
        continue;
      }
      this.stats.heard += 1;
      this.#remember(rumor);
      this.#queue(rumor);
      this.#notify(rumor);
    }
  }

  take(sends: number): Rumor[] {
    const rumors: Rumor[] = [];
    let bytesLeft = this.#bytesMax;
    for (const kind of rumorKinds) {
      const taken = this.#queues[kind].take(bytesLeft, sends);
      for (const { sizeBytes } of taken) bytesLeft -= sizeBytes;
      rumors.push(...taken);
    }
    return rumors;
  }

  #notify({ kind, body }: Rumor): void {
    // A listener of a kind takes the bodies of that kind. The compiler cannot infer this through the union.
    for (const listener of this.#listeners[kind] as Set<(body: Rumor["body"]) => void>) listener(body);
  }

  #queue(rumor: Rumor): void {
    if (rumor.sizeBytes > this.#bytesMax) {
      this.stats.oversize += 1;
      return;
    }
    this.#queues[rumor.kind].add(rumor.id, rumor, rumor.sizeBytes);
    this.#onQueued();
  }

  #isRemembered({ kind, id }: Rumor): boolean {
    const seenMs = this.#seenAtMs.peek(`${kind} ${id}`);
    return seenMs !== undefined && this.#clock.monotonic() - seenMs < rememberedMs;
  }

  #remember({ kind, id }: Rumor): void {
    const nowMs = this.#clock.monotonic();
    for (;;) {
      const { oldest } = this.#seenAtMs;
      if (!oldest || nowMs - oldest.value < rememberedMs) break;
      this.#seenAtMs.delete(oldest.key);
    }
    this.#seenAtMs.set(`${kind} ${id}`, nowMs);
  }
}
