/**
 * Decides which blocks of a chunk a flight fetches. A run begins with a block that is missing, and ends where nobody
 * wants more, or before the first block that a tier of this replica holds or another flight fetches. So no block is
 * fetched twice.
 */
import { segmentSizeBytes } from "../base/memory-budget.ts";
import type { ChunkKey, ChunkStore, Presence } from "../store/chunk-store.ts";
import { blockPresences } from "./block-presence.ts";
import type { FlightTable } from "./flight-table.ts";
import type { MemoryChunks } from "./memory-chunks.ts";
import { blockStartOf, type Run } from "./run.ts";

export interface RunsOptions {
  readonly memory: Pick<MemoryChunks, "peek">;
  readonly disk: ChunkStore | undefined;
}

export class Runs {
  readonly #options: RunsOptions;

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  /**
   * The run for a reader that misses the byte at `offset` and wants all until `end`. `skipDisk`: the disk could not read
   * what it believes to hold.
   */
  missing(
    key: ChunkKey,
    { offset, end, skipDisk }: { readonly offset: number; readonly end: number; readonly skipDisk: boolean },
    tables: readonly FlightTable[],
  ): Run {
    const isTaken = this.#isTaken(key, tables);
    const onDisk = this.#onDisk(key);
    return runTo(key, offset, end, (at) => isTaken(at) || (!skipDisk && onDisk(at) === "held"));
  }

  /** The first run that is missing of what is wanted; undefined where none is, or only a look at the disk can tell. */
  firstMissing(
    key: ChunkKey,
    wanted: { readonly offset: number; readonly end: number },
    tables: readonly FlightTable[],
  ): Run | undefined {
    const { end } = wanted;
    const isTaken = this.#isTaken(key, tables);
    const onDisk = this.#onDisk(key);
    const to = Math.min(end, key.version.chunkLength(key.index));
    for (let offset = blockStartOf(wanted.offset); offset < to; offset += segmentSizeBytes) {
      if (isTaken(offset) || onDisk(offset) !== "absent") continue;
      return runTo(key, offset, end, (at) => isTaken(at) || onDisk(at) !== "absent");
    }
    return undefined;
  }

  /** The run that the disk holds and memory does not, from the byte at `offset` on. */
  onDisk(
    key: ChunkKey,
    { offset, end }: { readonly offset: number; readonly end: number },
    tables: readonly FlightTable[],
  ): Run {
    const isTaken = this.#isTaken(key, tables);
    const onDisk = this.#onDisk(key);
    return runTo(key, offset, end, (at) => isTaken(at) || onDisk(at) !== "held");
  }

  /** Where the first block of `run` begins that a tier holds; undefined where none does. */
  firstHeld(key: ChunkKey, run: Run, skipDisk: boolean): number | undefined {
    const isInMemory = this.#isTaken(key, []);
    const onDisk = this.#onDisk(key);
    for (let offset = blockStartOf(run.from); offset < run.to; offset += segmentSizeBytes) {
      if (isInMemory(offset) || (!skipDisk && onDisk(offset) === "held")) return offset;
    }
    return undefined;
  }

  /** How many blocks of the chunk are held in memory, or on disk as a partial chunk. */
  heldBlocks(key: ChunkKey): number {
    const { memory, disk } = this.#options;
    const chunk = memory.peek(key.version.memoryKey(key.index));
    const blocks = Math.ceil(key.version.chunkLength(key.index) / segmentSizeBytes);
    let held = 0;
    for (let index = 0; index < blocks; index += 1) {
      if (chunk?.block(index) || disk?.partial?.holds(key, index)) held += 1;
    }
    return held;
  }

  /** Whether the block with the byte at an offset is in memory or in a flight. */
  #isTaken(key: ChunkKey, tables: readonly FlightTable[]): (offset: number) => boolean {
    const chunk = this.#options.memory.peek(key.version.memoryKey(key.index));
    const flights = tables.flatMap((table) => table.of(key));
    return (offset) =>
      chunk?.segmentAt(offset) !== undefined || flights.some((flight) => flight.covers(offset));
  }

  #onDisk(key: ChunkKey): (offset: number) => Presence {
    const presences = blockPresences(this.#options.disk, key);
    return (offset) => presences(Math.floor(offset / segmentSizeBytes));
  }
}

/** The run from the block of `offset` to `end`, or to the first block after that one that is taken. */
function runTo(key: ChunkKey, offset: number, end: number, isTaken: (at: number) => boolean): Run {
  const lengthBytes = key.version.chunkLength(key.index);
  const from = blockStartOf(offset);
  let to = from + segmentSizeBytes;
  while (to < end && to < lengthBytes && !isTaken(to)) to += segmentSizeBytes;
  return { from, to: Math.min(to, lengthBytes) };
}
