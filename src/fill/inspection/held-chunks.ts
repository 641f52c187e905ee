/**
 * What this replica holds of an object, tier by tier, from memory alone: what it believes of its disk and of the cachestore
 * is told as it is believed. It counts as no use of a chunk, and stands back for readers between one stretch and the next.
 */
import { nextTurn } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { GuardedCachestore } from "../../store/cachestore/guarded-cachestore.ts";
import type { ChunkKey, ChunkStore } from "../../store/chunk-store.ts";
import type { ChunkFlights } from "../chunk-flights.ts";
import type { MemoryChunks } from "../filler.ts";
import { type CacheAnswers, type ChunkTiers, inspectedChunksMax, tierBits } from "./cache-peers.ts";

export interface HeldChunksOptions {
  readonly memory: Pick<MemoryChunks, "peek">;
  readonly disk: Pick<ChunkStore, "presence"> | undefined;
  readonly cachestore: Pick<GuardedCachestore, "peek"> | undefined;
  readonly flights: Pick<ChunkFlights, "find">;
}

/** About a millisecond of look-ups. */
const chunksPerTurn = 1000;

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
        `Cannot inspect "${version.objectKey}": it has ${version.chunkCount} chunks, at most ${inspectedChunksMax} are looked at`,
      );
    }
    const tiers = new Uint8Array(version.chunkCount);
    for (let index = 0; index < tiers.length; index += 1) {
      tiers[index] = this.#tiersOf({ version, index });
      if (index % chunksPerTurn === chunksPerTurn - 1) await nextTurn();
    }
    return tiers;
  }

  #tiersOf(ref: ChunkKey): number {
    const { memory, disk, cachestore, flights } = this.#options;
    let bits = 0;
    if (memory.peek(ref.version.memoryKey(ref.index))) bits |= tierBits.memory;
    if (disk?.presence(ref) === "held") bits |= tierBits.disk;
    if (flights.find(ref)) bits |= tierBits.flight;
    if (cachestore?.peek(ref) === "held") bits |= tierBits.cachestore;
    return bits;
  }
}
