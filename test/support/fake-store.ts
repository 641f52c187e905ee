/**
 * A ChunkStore in the heap with a hand on every switch: what it believes, what it loses, and when a commit settles.
 */

import type { Segment } from "../../src/base/memory-budget.ts";
import type { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import type {
  ChunkKey,
  ChunkStore,
  MemoryHold,
  PartialBlocks,
  Presence,
  PutResult,
} from "../../src/store/chunk-store.ts";

/** Blocks of chunks that are not whole, in the heap. */
export class FakePartialBlocks implements PartialBlocks {
  readonly blocks = new Map<string, Map<number, Buffer>>();
  /** Each block that was stored, as `<chunk path>#<block>`. */
  readonly puts: string[] = [];
  blockReads = 0;
  /** Held before a put is answered; resolved by default. */
  putGate: Promise<void> = Promise.resolve();
  refuses = false;
  /** Believes that it holds what it cannot read. */
  isBroken = false;

  holds(key: ChunkKey, blockIndex: number): boolean {
    return this.blocks.get(pathOf(key))?.has(blockIndex) ?? false;
  }

  holdsAny(key: ChunkKey): boolean {
    return (this.blocks.get(pathOf(key))?.size ?? 0) > 0;
  }

  async readBlock(key: ChunkKey, blockIndex: number, target: Buffer): Promise<boolean> {
    this.blockReads += 1;
    const bytes = this.blocks.get(pathOf(key))?.get(blockIndex);
    if (!bytes || this.isBroken) return false;
    bytes.copy(target);
    return true;
  }

  async putBlocks(key: ChunkKey, firstBlock: number, segments: readonly Segment[]): Promise<PutResult> {
    await this.putGate;
    if (this.refuses) return "not_stored";
    const path = pathOf(key);
    const blocks = this.blocks.get(path) ?? new Map<number, Buffer>();
    this.blocks.set(path, blocks);
    for (const [at, { bytes }] of segments.entries()) {
      this.puts.push(`${path}#${firstBlock + at}`);
      blocks.set(firstBlock + at, Buffer.from(bytes));
    }
    return "stored";
  }

  async delete(key: ChunkKey): Promise<void> {
    this.blocks.delete(pathOf(key));
  }
}

export class FakeStore implements ChunkStore {
  readonly name = "disk";
  readonly chunks = new Map<string, Buffer>();
  readonly puts: string[] = [];
  blockReads = 0;
  /** Overrides what the store believes. */
  believes: Presence | undefined;
  /** Held before a commit is answered; resolved by default. */
  commitGate: Promise<void> = Promise.resolve();
  /** Held before a block is read. */
  readGate: Promise<void> | undefined;
  refuses = false;
  isSetAside = false;
  /** Undefined for a disk that keeps whole chunks only. */
  partial: FakePartialBlocks | undefined = new FakePartialBlocks();

  presence(key: ChunkKey): Presence {
    return this.believes ?? (this.chunks.has(pathOf(key)) ? "held" : "absent");
  }

  async readBlock(key: ChunkKey, blockIndex: number, target: Buffer, _hold?: MemoryHold): Promise<boolean> {
    this.blockReads += 1;
    if (this.readGate) await this.readGate;
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
