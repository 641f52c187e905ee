/**
 * The flights of later blocks that a reader has started ahead. It has joined each of them, so that none is cut. They reach
 * twice as far with each chunk that the reader enters, and with each block that it takes from a flight. So a client that
 * reads only a little causes little read-ahead, and a far origin soon has as many requests as it may.
 */
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { Asker } from "../trace/trace.ts";
import type { Flight } from "./flight.ts";
import type { ReadPath } from "./read-path.ts";

export class FlightsAhead {
  readonly #path: Pick<ReadPath, "flights" | "readAheadMax">;
  readonly #version: ObjectVersion;
  readonly #end: number;
  readonly #asker: Asker | undefined;
  /** Chunks after the one that is read. */
  #depth = 1;
  #flights: Flight[] = [];

  /** For a reader that wants `version` until `end`. */
  constructor(
    path: Pick<ReadPath, "flights" | "readAheadMax">,
    version: ObjectVersion,
    end: number,
    asker: Asker | undefined,
  ) {
    this.#path = path;
    this.#version = version;
    this.#end = end;
    this.#asker = asker;
  }

  get isDeepest(): boolean {
    return this.#depth >= this.#path.readAheadMax;
  }

  /** Starts or joins the flights of what is wanted from byte `from` of the object on. The reader is in chunk `index`. */
  start(index: number, from: number): void {
    const { chunkSizeBytes } = this.#version;
    this.#depth = Math.min(this.#path.readAheadMax, this.#depth * 2);
    const lastIndex = Math.floor((this.#end - 1) / chunkSizeBytes);
    const until = Math.min(lastIndex, index + this.#depth);
    let offset = from % chunkSizeBytes;
    for (let ahead = Math.floor(from / chunkSizeBytes); ahead <= until; ahead += 1) {
      this.#startChunk(ahead, offset);
      offset = 0;
    }
  }

  /** Leaves those of the chunks before `index`. */
  leaveBefore(index: number): void {
    const flights = this.#flights;
    this.#flights = flights.filter(({ key }) => key.index >= index);
    for (const flight of flights) if (flight.key.index < index) flight.leave();
  }

  #startChunk(index: number, offset: number): void {
    const version = this.#version;
    const end = Math.min(this.#end - index * version.chunkSizeBytes, version.chunkLength(index));
    const flight = this.#path.flights.readAhead({ version, index }, { offset, end, asker: this.#asker });
    if (flight === undefined || this.#flights.includes(flight)) return;
    flight.join();
    this.#flights.push(flight);
  }
}
