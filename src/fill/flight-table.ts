/**
 * The flights in progress, by chunk.
 *
 * Invariant: the runs of the flights of one chunk do not overlap. A flight that was cut gives up the blocks after its
 * end at once, so another one may fetch them while the first is still ending.
 */
import { assert } from "../base/assert.ts";
import type { ChunkKey } from "../store/chunk-store.ts";
import type { Flight } from "./flight.ts";
import type { Run } from "./run.ts";

const none: readonly Flight[] = [];

export class FlightTable {
  readonly #flights = new Map<string, Flight[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Whether some block of the chunk is being fetched. */
  has(key: ChunkKey): boolean {
    return this.#flights.has(keyOf(key));
  }

  /** The flight whose run has the byte at `offset`. */
  find(key: ChunkKey, offset: number): Flight | undefined {
    for (const flight of this.of(key)) if (flight.covers(offset)) return flight;
    return undefined;
  }

  /** The flights of a chunk. */
  of(key: ChunkKey): readonly Flight[] {
    return this.#flights.get(keyOf(key)) ?? none;
  }

  /** Where the first flight begins that has blocks of `run`. One that was cut before its first byte has none. */
  firstIn(key: ChunkKey, run: Run): number | undefined {
    let first: number | undefined;
    for (const { from, to } of this.of(key)) {
      const isIn = Math.max(from, run.from) < Math.min(to, run.to);
      if (isIn && from < (first ?? Infinity)) first = from;
    }
    return first;
  }

  add(flight: Flight): void {
    assert(this.firstIn(flight.key, flight) === undefined, "flights of one chunk have runs of their own");
    const key = keyOf(flight.key);
    const flights = this.#flights.get(key);
    if (flights) flights.push(flight);
    else this.#flights.set(key, [flight]);
    this.#size += 1;
  }

  delete(flight: Flight): void {
    const key = keyOf(flight.key);
    const flights = this.#flights.get(key) ?? [];
    const at = flights.indexOf(flight);
    assert(at >= 0, "a flight leaves once");
    flights.splice(at, 1);
    if (flights.length === 0) this.#flights.delete(key);
    this.#size -= 1;
  }

  *values(): Generator<Flight> {
    for (const flights of this.#flights.values()) yield* flights;
  }
}

function keyOf({ version, index }: ChunkKey): string {
  return version.memoryKey(index);
}
