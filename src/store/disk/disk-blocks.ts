/**
 * The blocks of partial chunks on a disk. Each is a chunk of one block (ObjectVersion.blocks) in a store of chunks. So the
 * names of the files say which blocks are there, as a bitmap would, and no file is ever changed: a block is written aside,
 * hashed and linked, and it is believed only after its size, footer, stored key and checksum, like any chunk. A kill in
 * the middle of a write loses that block. Each block is evicted by its own use, so one that is read again and again stays
 * while the rest of its chunk goes.
 *
 * The price is a file and 80 bytes of index for each MiB, instead of one for a whole chunk.
 */

import { type Segment, segmentSizeBytes } from "../../base/memory-budget.ts";
import { ChunkBytes } from "../../chunk/chunk-bytes.ts";
import type { ChunkKey, ChunkStore, MemoryHold, PartialBlocks, PutResult } from "../chunk-store.ts";

const miss = Promise.resolve(false);

export class DiskBlocks implements PartialBlocks {
  readonly #store: Pick<ChunkStore, "presence" | "readBlock" | "put" | "delete">;

  constructor(store: Pick<ChunkStore, "presence" | "readBlock" | "put" | "delete">) {
    this.#store = store;
  }

  holds(key: ChunkKey, blockIndex: number): boolean {
    return isDivisible(key) && this.#store.presence(blockKey(key, blockIndex)) !== "absent";
  }

  holdsAny(key: ChunkKey): boolean {
    if (!isDivisible(key)) return false;
    for (let blockIndex = 0; blockIndex < blockCount(key); blockIndex += 1) {
      if (this.#store.presence(blockKey(key, blockIndex)) === "held") return true;
    }
    return false;
  }

  readBlock(key: ChunkKey, blockIndex: number, target: Buffer, hold?: MemoryHold): Promise<boolean> {
    return isDivisible(key) ? this.#store.readBlock(blockKey(key, blockIndex), 0, target, hold) : miss;
  }

  async putBlocks(key: ChunkKey, firstBlock: number, segments: readonly Segment[]): Promise<PutResult> {
    if (!isDivisible(key)) return "not_stored";
    const results = await Promise.all(
      segments.map((segment, position) => this.#put(blockKey(key, firstBlock + position), segment)),
    );
    if (results.includes("not_stored")) return "not_stored";
    return results.includes("stored") ? "stored" : "present";
  }

  async delete(key: ChunkKey): Promise<void> {
    if (!isDivisible(key)) return;
    for (let blockIndex = 0; blockIndex < blockCount(key); blockIndex += 1) {
      const block = blockKey(key, blockIndex);
      if (this.#store.presence(block) === "held") await this.#store.delete(block);
    }
  }

  async #put(block: ChunkKey, segment: Segment): Promise<PutResult> {
    const bytes = new ChunkBytes([segment.retain()], segment.bytes.length);
    try {
      return await this.#store.put(block, bytes);
    } finally {
      bytes.release();
    }
  }
}

/** A chunk of one block is never partial, and the blocks of one with an odd size are not those of its object. */
function isDivisible({ version: { chunkSizeBytes } }: ChunkKey): boolean {
  return chunkSizeBytes > segmentSizeBytes && chunkSizeBytes % segmentSizeBytes === 0;
}

function blockCount({ version, index }: ChunkKey): number {
  return Math.ceil(version.chunkLength(index) / segmentSizeBytes);
}

function blockKey({ version, index }: ChunkKey, blockIndex: number): ChunkKey {
  const blocksPerChunk = version.chunkSizeBytes / segmentSizeBytes;
  return { version: version.blocks, index: index * blocksPerChunk + blockIndex };
}
