/**
 * Lets a few lines of each kind into the log in a minute, and counts the others. A store, a disk, a peer or a client that
 * fails does so for every request, and the log usually lies on a disk, too.
 */
import type { Clock } from "./clock.ts";
import { LruMap } from "./lru-map.ts";

const intervalMs = 60_000;

/** Kinds are error codes and reasons, of which there are few. The bound is for a mistake: a kind that holds a name. */
const kindsMax = 256;

/** A minute, from its first line on. */
interface Interval {
  readonly startedMs: number;
  lines: number;
  suppressed: number;
}

/** To be added to the fields of a line: how many lines of its kind were left out since the one before. */
export interface SuppressedLines {
  readonly suppressed?: number;
}

const noneSuppressed: SuppressedLines = {};

export class LogPace {
  readonly #clock: Clock;
  readonly #linesMax: number;
  readonly #intervals = new LruMap<string, Interval>({ entriesMax: kindsMax });

  /** `linesMax` lines of each kind in a minute. */
  constructor(clock: Clock, linesMax = 1) {
    this.#clock = clock;
    this.#linesMax = linesMax;
  }

  /** Undefined where the line of `kind` is to be left out. Else the caller logs it, with these fields. */
  take(kind: string): SuppressedLines | undefined {
    const nowMs = this.#clock.monotonic();
    const interval = this.#intervals.peek(kind);
    if (!interval || nowMs - interval.startedMs >= intervalMs) {
      this.#intervals.set(kind, { startedMs: nowMs, lines: 1, suppressed: 0 });
      return interval && interval.suppressed > 0 ? { suppressed: interval.suppressed } : noneSuppressed;
    }
    if (interval.lines < this.#linesMax) {
      interval.lines += 1;
      return noneSuppressed;
    }
    interval.suppressed += 1;
    return undefined;
  }

  /** {@link take} for a caller that does not tell how many were left out, because a counter does. */
  isDue(kind: string): boolean {
    return this.take(kind) !== undefined;
  }
}
