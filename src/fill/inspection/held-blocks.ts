/**
 * Reports where this replica holds each block of some chunks, as its readers would look for it. Like held-chunks.ts it
 * does no I/O, counts as no use of a chunk, and lets readers run in between.
 */
import { nextTurn } from "../../base/clock.ts";
import { segmentSizeBytes } from "../../base/memory-budget.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { GuardedCachestore } from "../../store/cachestore/guarded-cachestore.ts";
import type { ChunkStore } from "../../store/chunk-store.ts";
import { blockPresences } from "../block-presence.ts";
import type { ChunkFlights } from "../chunk-flights.ts";
import type { FlightSource } from "../flight.ts";
import type { MemoryChunks } from "../memory-chunks.ts";

/**
 * The bits of one byte; frozen in proto/orca/v1/cache.proto. `scanning`: the scan of the disk has not ended, so only a
 * read can tell. The two highest bits are the source of the flight, as its place in {@link flightSources}.
 */
export const blockBits = { memory: 1, disk: 2, flight: 4, cachestore: 8, scanning: 16 } as const;

export const flightSources: readonly FlightSource[] = ["origin", "disk", "cachestore", "peer"];

const sourceShift = 6;

/** The source of the flight in a byte with that bit. */
export function flightSourceIn(bits: number): FlightSource {
  return flightSources[bits >> sourceShift] ?? "origin";
}

export interface HeldBlocksOptions {
  readonly memory: Pick<MemoryChunks, "peek">;
  readonly disk: ChunkStore | undefined;
  readonly cachestore: Pick<GuardedCachestore, "peek"> | undefined;
  readonly flights: Pick<ChunkFlights, "find">;
}

/** So many look-ups take about a millisecond. */
const blocksPerTurn = 1000;

export function blocksIn(version: ObjectVersion, chunkIndex: number): number {
  return Math.ceil(version.chunkLength(chunkIndex) / segmentSizeBytes);
}

export class HeldBlocks {
  readonly #options: HeldBlocksOptions;

  constructor(options: HeldBlocksOptions) {
    this.#options = options;
  }

  /** A byte for each block of `chunkCount` chunks. The caller bounds their number. */
  async of(version: ObjectVersion, firstChunk: number, chunkCount: number): Promise<Uint8Array> {
    const found: number[] = [];
    const { memory, disk, cachestore, flights } = this.#options;
    for (let index = firstChunk; index < firstChunk + chunkCount; index += 1) {
      const key = { version, index };
      const chunk = memory.peek(version.memoryKey(index));
      const onDisk = blockPresences(disk, key);
      const inStore = cachestore?.peek(key) === "held" ? blockBits.cachestore : 0;
      const blocks = blocksIn(version, index);
      for (let block = 0; block < blocks; block += 1) {
        const offset = block * segmentSizeBytes;
        const flight = flights.find(key, offset);
        let bits: number = inStore;
        if (chunk?.segmentAt(offset)) bits |= blockBits.memory;
        const presence = onDisk(block);
        if (presence === "held") bits |= blockBits.disk;
        if (presence === "unknown") bits |= blockBits.scanning;
        if (flight) bits |= blockBits.flight | (flightSources.indexOf(flight.source) << sourceShift);
        found.push(bits);
        if (found.length % blocksPerTurn === 0) await nextTurn();
      }
    }
    return Uint8Array.from(found);
  }
}
