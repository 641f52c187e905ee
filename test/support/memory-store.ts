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

  presence(ref: ChunkKey): Presence {
    return this.#tier.peek(pathOf(ref)) ? "held" : "absent";
  }

  async readBlock(ref: ChunkKey, blockIndex: number, target: Buffer): Promise<boolean> {
    const block = this.#tier.get(pathOf(ref))?.segments[blockIndex];
    block?.bytes.copy(target);
    return block !== undefined;
  }

  async put(ref: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    if (this.#tier.peek(pathOf(ref))) return "present";
    this.#tier.put(pathOf(ref), chunk);
    return "stored";
  }

  async delete(ref: ChunkKey): Promise<void> {
    this.#tier.delete(pathOf(ref));
  }
}

function pathOf(ref: ChunkKey): string {
  return ref.version.chunkPath(ref.index);
}
