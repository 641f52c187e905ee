/**
 * The order of use of the chunks that a scan finds. The policy gets them when the scan has ended, the one used least
 * recently first. A chunk that was used since it was stored gets the place of a favourite. A chunk that only arrived gets
 * the place of a new one, so that arrivals just before a restart do not outrank what clients request again and again.
 *
 * Invariant: a row waits while its time is not 0. It waits until the policy gets it or its chunk is removed.
 */
import type { EvictionPolicy } from "../eviction/eviction-policy.ts";
import { sharedNumbers } from "../eviction/shared-columns.ts";

/** Times are seconds since 2020, doubled, so that 32 bits reach to 2088. The lowest bit says that the chunk was used. */
const beginningS = Date.UTC(2020) / 1000;
const newest = 2 ** 32 - 1;
const usedBit = 1;

export class ScanOrder {
  /** By row. Shared with the thread that sorts them. */
  readonly #times: Uint32Array;
  /** Whether rows may still begin to wait. */
  isOpen = true;

  constructor(rowsMax: number) {
    this.#times = sharedNumbers(rowsMax + 1);
  }

  /** A file that a read has found before the scan has no time: it is the one used last. */
  wait(row: number, usedAtMs: number | undefined): void {
    this.#times[row] = usedAtMs === undefined ? newest : timeOf(usedAtMs);
  }

  /** Notes a use. Returns whether the row waits. */
  use(row: number): boolean {
    const waits = this.#times[row] !== 0;
    if (waits) this.#times[row] = newest;
    return waits;
  }

  forget(row: number): void {
    this.#times[row] = 0;
  }

  /** The times of the rows up to `row`. From now on no row begins to wait. */
  close(row: number): Uint32Array {
    this.isOpen = false;
    return this.#times.subarray(0, row + 1);
  }

  /** Gives the policy those of the rows that wait. */
  rank(rows: Uint32Array, policy: Pick<EvictionPolicy, "insert" | "reinsert">): void {
    for (const row of rows) {
      const time = this.#times[row] as number;
      this.#times[row] = 0;
      if (time === 0) continue;
      if ((time & usedBit) === 0) policy.insert(row);
      else policy.reinsert(row);
    }
  }
}

/** A use sets the modification time of a file to a whole second (use-marks.ts). A write leaves one with a fraction. */
function timeOf(usedAtMs: number): number {
  const isUsed = usedAtMs % 1000 === 0;
  const seconds = Math.floor(usedAtMs / 1000) - beginningS;
  return Math.min(newest - 1, Math.max(2, seconds * 2)) | Number(isUsed);
}

/** The rows that wait, the oldest time first: a radix sort. Runs in the writing thread. */
export function sortedRows(shared: Uint32Array): Uint32Array {
  // The event loop may write to the shared times meanwhile.
  const times = shared.slice();
  let rows = sharedNumbers(times.reduce((count, time) => count + Number(time !== 0), 0));
  let place = 0;
  for (let row = 1; row < times.length; row += 1) {
    if (times[row] === 0) continue;
    rows[place] = row;
    place += 1;
  }
  for (const shift of [0, 16]) rows = sortedBy(rows, (row) => ((times[row] as number) >>> shift) & 0xffff);
  return rows;
}

/** Keeps the order of rows with equal digits. */
function sortedBy(rows: Uint32Array, digitOf: (row: number) => number): Uint32Array {
  const begins = new Uint32Array(65_537);
  for (const row of rows) begins[digitOf(row) + 1] = (begins[digitOf(row) + 1] as number) + 1;
  for (let digit = 1; digit < begins.length; digit += 1) {
    begins[digit] = (begins[digit] as number) + (begins[digit - 1] as number);
  }
  const sorted = sharedNumbers(rows.length);
  for (const row of rows) {
    const digit = digitOf(row);
    sorted[begins[digit] as number] = row;
    begins[digit] = (begins[digit] as number) + 1;
  }
  return sorted;
}
