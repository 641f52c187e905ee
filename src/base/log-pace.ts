/**
 * Lets each kind of trouble into the log once a minute at most: a store that fails does so for every request, and the
 * log usually lies on a disk, too.
 */
import type { Clock } from "./clock.ts";

const intervalMs = 60_000;

export class LogPace {
  readonly #clock: Clock;
  /** Kinds are error codes and names of checks, of which there are only so many. */
  readonly #toldAtMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  isDue(kind: string): boolean {
    const nowMs = this.#clock.monotonic();
    const toldAtMs = this.#toldAtMs.get(kind);
    if (toldAtMs !== undefined && nowMs - toldAtMs < intervalMs) return false;
    this.#toldAtMs.set(kind, nowMs);
    return true;
  }
}
