/**
 * Lets one line of each kind into the log once a minute. A store, a disk or a peer that fails does so for every request,
 * and the log usually lies on a disk, too.
 */
import type { Clock } from "./clock.ts";
import { LruMap } from "./lru-map.ts";

const intervalMs = 60_000;

/** Kinds are error codes and reasons, of which there are few. The bound is for a mistake: a kind that holds a name. */
const kindsMax = 256;

export class LogPace {
  readonly #clock: Clock;
  readonly #loggedAtMs = new LruMap<string, number>({ entriesMax: kindsMax });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True for the first line of `kind`, and then once a minute. The caller logs the line where it is true. */
  isDue(kind: string): boolean {
    const nowMs = this.#clock.monotonic();
    const loggedAtMs = this.#loggedAtMs.peek(kind);
    if (loggedAtMs !== undefined && nowMs - loggedAtMs < intervalMs) return false;
    this.#loggedAtMs.set(kind, nowMs);
    return true;
  }
}
