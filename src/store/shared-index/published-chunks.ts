/**
 * Keeps the blocks of the chunks in memory in the index that all threads read. The memory tier calls it whenever it takes
 * or drops a chunk. A chunk of which a block found no row is still in memory: other threads ask the engine for it.
 */
import type { Segment } from "../../base/memory-budget.ts";
import { MiB } from "../../base/units.ts";
import type { ChunkBytes } from "../../chunk/chunk-bytes.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import { blockKeyOf, setBlock } from "./block-key.ts";
import { noRow } from "./pin-protocol.ts";
import type { SharedIndex } from "./shared-index.ts";

/** The rows of a chunk's blocks in the index, by the number of the block in its chunk. */
export type PublishedRows = (number | undefined)[];

export class PublishedChunks {
  readonly #index: SharedIndex;

  constructor(index: SharedIndex) {
    this.#index = index;
  }

  /** Publishes the blocks of the chunk that are held and are not in the index yet. */
  publish(version: ObjectVersion, chunkIndex: number, chunk: ChunkBytes, rows: PublishedRows): void {
    const key = blockKeyOf(version);
    for (let block = 0; block < chunk.blockCount; block += 1) {
      const segment = chunk.block(block);
      if (segment === undefined || rows[block] !== undefined) continue;
      setBlock(key, version.chunkSizeBytes, chunkIndex, block * MiB);
      const row = this.#index.insert(key, segment);
      if (row !== noRow) rows[block] = row;
    }
  }

  /** To be called before the chunk is released. */
  withdraw(chunk: ChunkBytes, rows: PublishedRows): void {
    for (const [block, row] of rows.entries()) {
      if (row !== undefined) this.#index.remove(row, chunk.block(block) as Segment);
    }
    rows.length = 0;
  }

  /** Whether a thread reads the block now, so that dropping it frees no memory at once. */
  isPinned(rows: PublishedRows, block: number): boolean {
    const row = rows[block];
    return row !== undefined && this.#index.isPinned(row);
  }

  /** How often other threads have used the chunk since the last call. */
  takeUses(rows: PublishedRows): number {
    let uses = 0;
    for (const row of rows) if (row !== undefined) uses += this.#index.takeUses(row);
    return uses;
  }
}
