/**
 * A ChunkStore in the heap with a hand on every switch: what it believes, what it loses, and when a commit settles.
 */
import type { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import type { ChunkKey, ChunkStore, MemoryHold, Presence, PutResult } from "../../src/store/chunk-store.ts";

export class FakeStore implements ChunkStore {
  readonly name = "disk";
  readonly chunks = new Map<string, Buffer>();
  readonly puts: string[] = [];
  blockReads = 0;
  /** Overrides what the store believes. */
  believes: Presence | undefined;
  /** Held before a commit is answered; resolved by default. */
  commitGate: Promise<void> = Promise.resolve();
  refuses = false;
  isSetAside = false;

  presence(key: ChunkKey): Presence {
    return this.believes ?? (this.chunks.has(pathOf(key)) ? "held" : "absent");
  }

  async readBlock(key: ChunkKey, blockIndex: number, target: Buffer, _hold?: MemoryHold): Promise<boolean> {
    this.blockReads += 1;
    const bytes = this.chunks.get(pathOf(key));
    if (!bytes) return false;
    bytes.copy(target, 0, blockIndex * 2 ** 20, blockIndex * 2 ** 20 + target.length);
    return true;
  }

  async put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    this.puts.push(pathOf(key));
    await this.commitGate;
    if (this.refuses) return "not_stored";
    if (this.chunks.has(pathOf(key))) return "present";
    this.chunks.set(pathOf(key), Buffer.concat(chunk.segments.map((segment) => segment.bytes)));
    return "stored";
  }

  async delete(key: ChunkKey): Promise<void> {
    this.chunks.delete(pathOf(key));
  }
}

function pathOf(key: ChunkKey): string {
  return key.version.chunkPath(key.index);
}
