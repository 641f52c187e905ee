/**
 * The marks of the rows of a disk, in the eight bits that the table keeps for them: whether the row is the first to be
 * evicted, and the period of its last mark on disk (disk/use-marks.ts).
 *
 * Invariant: firstToGoBytes is the sum of the sizes of the rows that are marked as the first to be evicted.
 */
import type { ChunkTable } from "./chunk-table.ts";

/** The lowest bit. The others are the period. */
const firstToGo = 1;

/** Told of each use that counts. */
export interface UsePeriods {
  /** Returns the period in which the use is noted on disk, or `period`, that of the last one, if it is none of its own. */
  use(row: number, period: number): number;
}

export class RowMarks {
  readonly #table: ChunkTable;
  readonly #periods: UsePeriods | undefined;
  #firstToGoBytes = 0;

  constructor(table: ChunkTable, periods: UsePeriods | undefined) {
    this.#table = table;
    this.#periods = periods;
  }

  get firstToGoBytes(): number {
    return this.#firstToGoBytes;
  }

  /** Whether that changes anything. */
  setFirstToGo(row: number, isFirst: boolean): boolean {
    const marks = this.#table.marksOf(row);
    if (((marks & firstToGo) !== 0) === isFirst) return false;
    this.#table.setMarks(row, marks ^ firstToGo);
    const sizeBytes = this.#table.sizeOf(row);
    this.#firstToGoBytes += isFirst ? sizeBytes : -sizeBytes;
    return true;
  }

  use(row: number): void {
    const marks = this.#table.marksOf(row);
    const period = marks >>> 1;
    const marked = this.#periods?.use(row, period) ?? period;
    if (marked !== period) this.#table.setMarks(row, (marks & firstToGo) | (marked << 1));
  }

  /** Whether a use of the row is noted on disk, or will be. */
  wasUsed(row: number): boolean {
    return this.#table.marksOf(row) >>> 1 > 0;
  }
}
