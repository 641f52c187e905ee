/**
 * What is held against the next answer about an object. A directory that forgets an entry has not done enough where it
 * asks another replica, which may still have the very thing that was forgotten and would give it back.
 *
 * Two things raise a doubt. An ETag that a fill found stale is told to whoever is asked next, until somebody has
 * answered. And an invalidation may have come here before it came to the coordinator: (1) it is heard here, the entry is
 * dropped; (2) a look-up asks the coordinator, which has not heard it and answers with what it keeps; (3) the coordinator
 * hears it. So what another replica says within {@link spreadMs} after (1) is believed for {@link believedMs} only.
 *
 * A doubt that is lost to the bound costs staleness within the TTL, and never a wrong byte.
 */
import type { Clock } from "../base/clock.ts";
import { LruMap } from "../base/lru-map.ts";

/** Longer than gossip takes to reach every member. */
export const spreadMs = 10_000;

/** Each costs a call to the coordinator, and not the origin; the sum of them is what an invalidation costs in its wake. */
export const believedMs = 500;

interface StaleMarker {
  /** Empty for none. */
  readonly staleEtag: string;
  readonly staleUntilMs: number;
  readonly spreadUntilMs: number;
}

const none: StaleMarker = { staleEtag: "", staleUntilMs: 0, spreadUntilMs: 0 };

export class StaleMarkers {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #staleMarkers: LruMap<string, StaleMarker>;

  constructor(clock: Clock, entriesMax: number, ttlMs: number) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#staleMarkers = new LruMap({ entriesMax });
  }

  get size(): number {
    return this.#staleMarkers.size;
  }

  /** The ETag that was found stale, and nobody has answered since; empty for none. After a TTL nobody keeps it any more. */
  staleEtag(name: string): string {
    const { staleEtag, staleUntilMs } = this.#of(name);
    return this.#clock.monotonic() < staleUntilMs ? staleEtag : "";
  }

  /** How long another replica's answer may be believed that is asked for now. */
  believedMs(name: string): number {
    const leftMs = this.#of(name).spreadUntilMs - this.#clock.monotonic();
    return leftMs > 0 ? Math.min(leftMs, believedMs) : Number.POSITIVE_INFINITY;
  }

  foundStale(name: string, etag: string): void {
    this.#staleMarkers.set(name, {
      ...this.#of(name),
      staleEtag: etag,
      staleUntilMs: this.#clock.monotonic() + this.#ttlMs,
    });
  }

  invalidated(name: string): void {
    this.#staleMarkers.set(name, { ...this.#of(name), spreadUntilMs: this.#clock.monotonic() + spreadMs });
  }

  /** Somebody was told that `etag` is stale, and has answered. */
  answered(name: string, etag: string): void {
    const staleMarker = this.#of(name);
    if (staleMarker.staleEtag !== etag) return;
    if (staleMarker.spreadUntilMs > this.#clock.monotonic())
      this.#staleMarkers.set(name, { ...staleMarker, staleEtag: "" });
    else this.#staleMarkers.delete(name);
  }

  #of(name: string): StaleMarker {
    return this.#staleMarkers.peek(name) ?? none;
  }
}
