/** The memory tier as a ChunkStore, so that it is held to the contract of the other tiers. */
import type { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import type { ChunkKey, ChunkStore, Presence, PutResult } from "../../src/store/chunk-store.ts";
import type { MemoryTier } from "../../src/store/memory-tier.ts";

export class MemoryStore implements ChunkStore {
  readonly name = "memory";
  readonly #tier: MemoryTier;

  constructor(tier: MemoryTier) {
    this.#tier = tier;
  }

  presence(key: ChunkKey): Presence {
    return this.#tier.peek(pathOf(key)) ? "held" : "absent";
  }

  async readBlock(key: ChunkKey, blockIndex: number, target: Buffer): Promise<boolean> {
    const block = this.#tier.get(pathOf(key))?.segments[blockIndex];
    block?.bytes.copy(target);
    return block !== undefined;
  }

  async put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    if (this.#tier.peek(pathOf(key))) return "present";
    this.#tier.put(pathOf(key), chunk);
    return "stored";
  }

  async delete(key: ChunkKey): Promise<void> {
    this.#tier.delete(pathOf(key));
  }
}

function pathOf(key: ChunkKey): string {
  return key.version.chunkPath(key.index);
}
