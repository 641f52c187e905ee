/**
 * A pace of log lines ({@link LogPace}) that all threads of the edge share, so that a kind of line has one bound however many
 * threads log it. Its minute is one of the wall clock, which alone is the same in all threads. Where that is set back or
 * forth, a minute ends early.
 *
 * Invariants:
 * 1. A kind has a row, which is found by a hash of 32 bits and never freed. Kinds beyond {@link rowsMax} share the last one.
 * 2. The begin of a minute and its lines change as one word, so no two threads begin the same minute.
 */
import type { Clock } from "../../base/clock.ts";
import type { SuppressedLines } from "../../base/log-pace.ts";
import { hashOfText } from "../../store/eviction/shared-columns.ts";

const minuteSeconds = 60;

/** As many kinds as a {@link LogPace} knows. */
const rowsMax = 256;

/** Of a row: the hash of its kind, when its minute began with the lines since, and how many lines were left out. */
const wordsPerRow = 3;
export const paceWords = (rowsMax + 1) * wordsPerRow;

/** The lines are in the low byte, the second of the begin above it. That comes again after half a year. */
const lineBits = 8;
const secondsMask = 0xff_ffff;

export class ProcessLogPace {
  readonly #clock: Clock;
  readonly #linesMax: number;
  readonly #words: Int32Array<SharedArrayBuffer>;

  /** `linesMax` lines of each kind in a minute: at most 255. `words` are the same in all threads. */
  constructor(clock: Clock, linesMax: number, words: Int32Array<SharedArrayBuffer>) {
    this.#clock = clock;
    this.#linesMax = linesMax;
    this.#words = words;
  }

  /** @see LogPace.take */
  take(kind: string): SuppressedLines | undefined {
    const [minuteAt, suppressedAt] = this.#rowOf(kind);
    const words = this.#words;
    const nowSeconds = Math.floor(this.#clock.now() / 1000) & secondsMask;
    for (;;) {
      const known = Atomics.load(words, minuteAt);
      const [startedSeconds, lines] = [known >>> lineBits, known & ((1 << lineBits) - 1)];
      // Also after a step of the clock back: the difference is large then.
      const isOver = lines === 0 || ((nowSeconds - startedSeconds) & secondsMask) >= minuteSeconds;
      if (!isOver && lines >= this.#linesMax) {
        Atomics.add(words, suppressedAt, 1);
        return undefined;
      }
      const next = isOver ? (nowSeconds << lineBits) | 1 : known + 1;
      if (Atomics.compareExchange(words, minuteAt, known, next) !== known) continue;
      const suppressed = isOver ? Atomics.exchange(words, suppressedAt, 0) : 0;
      return suppressed > 0 ? { suppressed } : {};
    }
  }

  #rowOf(kind: string): readonly [minuteAt: number, suppressedAt: number] {
    // 0 is that of a free row.
    const hash = hashOfText(kind) | 0 || 1;
    for (let probe = 0; probe < rowsMax; probe += 1) {
      const at = (((hash >>> 0) + probe) % rowsMax) * wordsPerRow;
      const found = Atomics.compareExchange(this.#words, at, 0, hash);
      if (found === 0 || found === hash) return [at + 1, at + 2];
    }
    const last = rowsMax * wordsPerRow;
    return [last + 1, last + 2];
  }
}
