/**
 * Releases what has expired in caches, whether or not somebody asks for it again. A sweep looks at all entries, a slice in
 * each turn of the event loop, because there may be millions.
 */
import type { Clock, Timer } from "../../base/clock.ts";

/** A cache that is swept. */
export interface Swept {
  readonly size: number;
  /** In any order. Entries may come and go during the iteration. */
  sweptNames(): IterableIterator<string>;
  dropIfStale(name: string): void;
}

/** Sweeps begin this often, or once in a TTL if that is shorter. */
const periodMsMax = 60_000;
const periodMsMin = 1000;

/** Entries that are looked at in one turn, less than a millisecond. */
export const sweepSliceMax = 1000;

export class Sweep {
  readonly #clock: Clock;
  readonly #periodMs: number;
  readonly #caches: readonly Swept[];
  /** Armed from the first entry until a sweep that leaves none. */
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(clock: Clock, ttlMs: number, caches: readonly Swept[]) {
    this.#clock = clock;
    this.#periodMs = Math.max(periodMsMin, Math.min(ttlMs, periodMsMax));
    this.#caches = caches;
  }

  /** Sweeps after a period. To be called when an entry may have been added. */
  later(): void {
    if (this.#timer || this.#isClosed) return;
    this.#timer = this.#clock.timer(this.#periodMs, () => this.#run(this.#slices()));
  }

  /** Until then sweeps keep the process alive, once there are entries. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #run(slices: Generator<void>): void {
    this.#timer = undefined;
    if (!slices.next().done) this.#timer = this.#clock.timer(0, () => this.#run(slices));
    else if (this.#caches.some(({ size }) => size > 0)) this.later();
  }

  /** Entries that are added during the sweep are left to the next one, so that it ends. */
  *#slices(): Generator<void> {
    let looks = 0;
    for (const cache of this.#caches) {
      let left = cache.size;
      for (const name of cache.sweptNames()) {
        if (left === 0) break;
        left -= 1;
        cache.dropIfStale(name);
        looks += 1;
        if (looks % sweepSliceMax === 0) yield;
      }
    }
  }
}
