/**
 * Sends gossip that would otherwise wait for the next probe. In SWIM, gossip travels only with probes. But a replica
 * probes one member per second, and an invalidated object should not be served from stale metadata for seconds. So while
 * items wait, the gossiper sends them to a few members several times a second. While none waits, it sends nothing.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { type Random, sample } from "../base/random.ts";
import type { Member } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Messenger } from "./messenger.ts";
import type { SwimSettings } from "./swim-settings.ts";

export interface GossiperOptions {
  readonly table: MemberTable;
  readonly messenger: Messenger;
  readonly settings: SwimSettings;
  readonly clock: Clock;
  readonly random: Random;
  /** How many items wait to be sent. */
  readonly waiting: () => number;
}

export class Gossiper {
  readonly #options: GossiperOptions;
  /** Members that got gossip in this pass. Each member gets it once before any member gets it twice. */
  readonly #reached = new Set<string>();
  #sentMs = -Infinity;
  #timer: Timer | undefined;
  #stopped = true;

  constructor(options: GossiperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#stopped = false;
    this.wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Schedules a send if items wait: at once after a quiet time, else one interval after the last send. */
  wake(): void {
    const { clock, settings, table, waiting } = this.#options;
    if (this.#stopped || this.#timer || waiting() === 0 || table.live.length <= 1) return;
    const delayMs = Math.max(0, this.#sentMs + settings.gossipIntervalMs - clock.monotonic());
    this.#timer = clock.timer(delayMs, () => this.#send());
  }

  #send(): void {
    const { clock, messenger, settings } = this.#options;
    this.#timer = undefined;
    this.#sentMs = clock.monotonic();
    for (const member of this.#choose()) {
      // The answer does not matter: only the detector accuses silent members.
      void messenger.ping(member, settings.probeTimeoutMs);
    }
    this.wake();
  }

  #choose(): Member[] {
    const { random, settings, table } = this.#options;
    const others = table.others();
    let unreached = others.filter(({ replicaId }) => !this.#reached.has(replicaId));
    if (unreached.length === 0) {
      this.#reached.clear();
      unreached = others;
    }
    const chosen = sample(unreached, settings.gossipFanout, random);
    for (const { replicaId } of chosen) this.#reached.add(replicaId);
    return chosen;
  }
}
