/**
 * Reports what this replica holds of an object, tier by tier. It does no I/O: for the disk and the cachestore it
 * reports what this replica believes. It does not count as a use of a chunk, and it lets readers run between a thousand
 * chunks and the next.
 */
import { nextTurn } from "../../base/clock.ts";
import { segmentSizeBytes } from "../../base/memory-budget.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { GuardedCachestore } from "../../store/cachestore/guarded-cachestore.ts";
import type { ChunkKey, ChunkStore } from "../../store/chunk-store.ts";
import type { ChunkFlights } from "../chunk-flights.ts";
import type { MemoryChunks } from "../memory-chunks.ts";
import { type CacheAnswers, type ChunkTiers, inspectedChunksMax, tierBits } from "./cache-peers.ts";

export interface HeldChunksOptions {
  readonly memory: Pick<MemoryChunks, "peek">;
  readonly disk: Pick<ChunkStore, "presence" | "partial"> | undefined;
  readonly cachestore: Pick<GuardedCachestore, "peek"> | undefined;
  readonly flights: Pick<ChunkFlights, "has">;
}

/** So many look-ups take about a millisecond. */
const lookupsPerTurn = 1000;

/** Partial chunks on disk are looked for block by block, so not in larger objects: an answer must come within seconds. */
const blocksMax = 1_048_576;

export class HeldChunks implements CacheAnswers {
  readonly #options: HeldChunksOptions;

  constructor(options: HeldChunksOptions) {
    this.#options = options;
  }

  async inspect(version: ObjectVersion): Promise<ChunkTiers> {
    if (version.chunkCount > inspectedChunksMax) {
      throw new OrcaError(
        "invalid_argument",
        "fill",
        `Cannot inspect "${version.objectKey}": it has ${version.chunkCount} chunks, at most ${inspectedChunksMax} can be inspected`,
      );
    }
    const tiers = new Uint8Array(version.chunkCount);
    const findsBlocks = version.sizeBytes <= blocksMax * segmentSizeBytes;
    const lookupsPerChunk = 1 + (findsBlocks ? Math.ceil(version.chunkSizeBytes / segmentSizeBytes) : 0);
    const chunksPerTurn = Math.max(1, Math.floor(lookupsPerTurn / lookupsPerChunk));
    for (let index = 0; index < tiers.length; index += 1) {
      tiers[index] = this.#tiersOf({ version, index }, findsBlocks);
      if (index % chunksPerTurn === chunksPerTurn - 1) await nextTurn();
    }
    return tiers;
  }

  #tiersOf(key: ChunkKey, findsBlocks: boolean): number {
    const { memory, disk, cachestore, flights } = this.#options;
    let bits = 0;
    const chunk = memory.peek(key.version.memoryKey(key.index));
    if (chunk) bits |= tierBits.memory;
    const isWholeOnDisk = disk?.presence(key) === "held";
    if (isWholeOnDisk || (findsBlocks && disk?.partial?.holdsAny(key))) bits |= tierBits.disk;
    if (bits !== 0 && !chunk?.isWhole && !isWholeOnDisk) bits |= tierBits.partial;
    if (flights.has(key)) bits |= tierBits.flight;
    if (cachestore?.peek(key) === "held") bits |= tierBits.cachestore;
    return bits;
  }
}
