/**
 * Keeps the order of use across restarts: the writing thread sets the modification time of a used chunk's file to the
 * second of the use. The scan reads that time anyway, so there is no journal that must be read, shortened and repaired.
 *
 * A chunk is marked once an hour at most. Marks wait for a job of one slice every few seconds, so that a busy replica
 * writes at most 103 inodes a second for this. A use that finds the queue full is not marked; the next use may be.
 *
 * Invariant: at most {@link pendingMax} rows wait, and at most one job of marks is under way.
 */
import type { Clock, Timer } from "../../base/clock.ts";

const marksPerJob = 512;
const pendingMax = 4096;
const restMs = 5000;
const periodMs = 3_600_000;
/** A row notes the period of its last mark in seven bits. 0 is none. */
const periodsMax = 127;

/** Marks the rows, and calls `done`. */
export type MarkRows = (rows: readonly number[], done: () => void) => void;

export class UseMarks {
  readonly #clock: Clock;
  readonly #markRows: MarkRows;
  readonly #pending: number[] = [];
  #timer: Timer | undefined;
  #isMarking = false;
  #isClosed = false;

  constructor(clock: Clock, markRows: MarkRows) {
    this.#clock = clock;
    this.#markRows = markRows;
  }

  /** Notes a use of a row that was marked in `period`. Returns the period in which it is marked now. */
  use(row: number, period: number): number {
    const now = 1 + (Math.floor(this.#clock.monotonic() / periodMs) % periodsMax);
    if (period === now || this.#isClosed || this.#pending.length >= pendingMax) return period;
    this.#pending.push(row);
    if (this.#timer === undefined && !this.#isMarking) this.#rest();
    return now;
  }

  /** Marks what waits, and accepts no more uses. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    while (this.#pending.length > 0) this.#markRows(this.#pending.splice(0, marksPerJob), () => {});
  }

  #rest(): void {
    this.#timer = this.#clock.timer(restMs, () => {
      this.#timer = undefined;
      this.#isMarking = true;
      this.#markRows(this.#pending.splice(0, marksPerJob), () => {
        this.#isMarking = false;
        if (this.#pending.length > 0 && !this.#isClosed) this.#rest();
      });
    });
  }
}
