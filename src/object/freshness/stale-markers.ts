/**
 * Remembers which metadata was found to be stale. It is not enough that a directory drops an entry: if it asks another
 * replica, that replica may still have the same entry and would send it again.
 *
 * Two events set a marker. If a fill finds an ETag to be stale, every question carries this ETag until one is answered.
 * An invalidation may arrive here before it arrives at the coordinator: (1) it arrives here, and the entry is dropped;
 * (2) a look-up asks the coordinator, which has not received it and answers from its cache; (3) it arrives at the
 * coordinator. So an answer of another replica within {@link spreadMs} after (1) is cached for {@link spreadTtlMs} only.
 *
 * A marker that is lost to the limits of entries and bytes costs staleness within the TTL, and never a wrong byte.
 */
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { HeapShare } from "../heap-share.ts";
import { textBytes } from "../heap-text.ts";
import type { Swept } from "./sweep.ts";

/** Longer than gossip needs to reach every member. */
export const spreadMs = 10_000;

/** While an invalidation spreads, an object that is read costs one call to the coordinator per period, and no HEAD. */
export const spreadTtlMs = 500;

interface StaleMarker {
  /** Empty for none. */
  readonly staleEtag: string;
  readonly staleUntilMs: number;
  readonly spreadUntilMs: number;
}

/** What a marker takes on the heap, without its texts. */
const markerBytes = 180;

const none: StaleMarker = { staleEtag: "", staleUntilMs: 0, spreadUntilMs: 0 };

export class StaleMarkers implements Swept {
  readonly #clock: Clock;
  readonly #staleMarkers: LruMap<string, StaleMarker>;

  constructor(clock: Clock, entriesMax: number, heap?: HeapShare) {
    this.#clock = clock;
    this.#staleMarkers = new LruMap({ entriesMax, shared: heap });
  }

  get size(): number {
    return this.#staleMarkers.size;
  }

  /** What they take on the heap. */
  get bytes(): number {
    return this.#staleMarkers.weight;
  }

  /** For a sweep. */
  sweptNames(): IterableIterator<string> {
    return this.#staleMarkers.anyKeys();
  }

  /** Deletes a marker that has no more effect. */
  dropIfStale(name: string): void {
    const { staleUntilMs, spreadUntilMs } = this.#of(name);
    if (Math.max(staleUntilMs, spreadUntilMs) <= this.#clock.monotonic()) this.#staleMarkers.delete(name);
  }

  /** The stale ETag that no answer has followed yet; empty for none. After a TTL, no replica has it cached any more. */
  staleEtag(name: string): string {
    const { staleEtag, staleUntilMs } = this.#of(name);
    return this.#clock.monotonic() < staleUntilMs ? staleEtag : "";
  }

  /** How long an answer that another replica gives now may be cached. */
  ttlMaxMs(name: string): number {
    const leftMs = this.#of(name).spreadUntilMs - this.#clock.monotonic();
    return leftMs > 0 ? Math.min(leftMs, spreadTtlMs) : Number.POSITIVE_INFINITY;
  }

  /** `ttlMs` is how long a replica may have it cached. */
  foundStale(name: string, etag: string, ttlMs: number): void {
    this.#set(name, {
      ...this.#of(name),
      staleEtag: etag,
      staleUntilMs: this.#clock.monotonic() + ttlMs,
    });
  }

  invalidated(name: string): void {
    this.#set(name, { ...this.#of(name), spreadUntilMs: this.#clock.monotonic() + spreadMs });
  }

  /** A question that carried `etag` as stale was answered. */
  answered(name: string, etag: string): void {
    const staleMarker = this.#of(name);
    if (staleMarker.staleEtag !== etag) return;
    if (staleMarker.spreadUntilMs > this.#clock.monotonic())
      this.#set(name, { ...staleMarker, staleEtag: "" });
    else this.#staleMarkers.delete(name);
  }

  #set(name: string, staleMarker: StaleMarker): void {
    const bytes = markerBytes + textBytes(name) + textBytes(staleMarker.staleEtag);
    this.#staleMarkers.set(name, staleMarker, bytes);
  }

  #of(name: string): StaleMarker {
    return this.#staleMarkers.peek(name) ?? none;
  }
}
