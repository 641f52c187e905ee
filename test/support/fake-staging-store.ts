/** A FakeStore that stages chunks, knows their digests, lists what it holds, and can be made to keep nothing. */
import { createHash } from "node:crypto";
import type { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import type { ChunkKey, PutResult } from "../../src/store/chunk-store.ts";
import { orderOfPath } from "../../src/store/chunk-table/chunk-order.ts";
import type { StagedChunk, StageResult, StagingStore } from "../../src/store/disk/staged-chunk.ts";
import type { ListedStore } from "../../src/store/listed-store.ts";
import { FakeStore } from "./fake-store.ts";

export class FakeStagingStore extends FakeStore implements StagingStore, ListedStore {
  /** As of when the chunk was stored: bytes that change later do not match. */
  readonly digests = new Map<string, string>();
  readonly keys = new Map<string, ChunkKey>();
  /** Stages that are neither committed nor discarded. */
  stagesOpen = 0;
  takesNoStages = false;
  /** Stages take no bytes from this byte of a chunk on. */
  takesUntil = Number.POSITIVE_INFINITY;
  onAppend: () => void = () => {};
  onDigest: () => void = () => {};
  knowsDigests = true;

  sha256({ version, index }: ChunkKey): string | undefined {
    this.onDigest();
    return this.knowsDigests ? this.digests.get(version.chunkPath(index)) : undefined;
  }

  /** Flips a bit of a held chunk; its digest stays what it was. */
  damage({ version, index }: ChunkKey): void {
    const bytes = this.chunks.get(version.chunkPath(index)) as Buffer;
    bytes[0] = (bytes[0] as number) ^ 1;
  }

  hold(key: ChunkKey, bytes: Buffer): void {
    const path = key.version.chunkPath(key.index);
    this.chunks.set(path, bytes);
    this.digests.set(path, createHash("sha256").update(bytes).digest("hex"));
    this.keys.set(path, key);
  }

  override async put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    const result = await super.put(key, chunk);
    if (result === "stored") this.hold(key, this.chunks.get(key.version.chunkPath(key.index)) as Buffer);
    return result;
  }

  spareBytes = Number.MAX_SAFE_INTEGER;
  /** Paths that are marked as the first to be evicted. */
  readonly firstToGo = new Set<string>();

  get chunkCount(): number {
    return this.chunks.size;
  }

  pathsAfter(after: string, pathsMax: number, fromOrder = 0): readonly string[] {
    return [...this.chunks.keys()]
      .filter((path) => (after === "" ? orderOfPath(path) >= fromOrder : inOrder(path, after) > 0))
      .sort(inOrder)
      .slice(0, pathsMax);
  }

  async chunkKeyOf(path: string): Promise<ChunkKey | undefined> {
    return this.chunks.has(path) ? this.keys.get(path) : undefined;
  }

  evictFirst(path: string, isFirst: boolean): void {
    if (isFirst && this.chunks.has(path)) this.firstToGo.add(path);
    else this.firstToGo.delete(path);
  }

  override readBlock(key: ChunkKey, blockIndex: number, target: Buffer): Promise<boolean> {
    this.firstToGo.delete(key.version.chunkPath(key.index));
    return super.readBlock(key, blockIndex, target);
  }

  stage(key: ChunkKey): StagedChunk | undefined {
    if (this.takesNoStages || this.presence(key) !== "absent") return undefined;
    const staged: Buffer[] = [];
    let stagedBytes = 0;
    let over = false;
    this.stagesOpen += 1;
    const end = (): void => {
      if (!over) this.stagesOpen -= 1;
      over = true;
    };
    return {
      get stagedBytes() {
        return stagedBytes;
      },
      append: async (bytes) => {
        this.onAppend();
        if (over || stagedBytes + bytes.length > this.takesUntil) {
          end();
          return false;
        }
        staged.push(Buffer.from(bytes));
        stagedBytes += bytes.length;
        return true;
      },
      commit: async (expected): Promise<StageResult> => {
        end();
        const bytes = Buffer.concat(staged);
        if (expected && expected !== createHash("sha256").update(bytes).digest("hex")) return "mismatch";
        if (this.presence(key) === "held") return "present";
        this.hold(key, bytes);
        return "stored";
      },
      discard: async () => end(),
    };
  }
}

function inOrder(left: string, right: string): number {
  return orderOfPath(left) - orderOfPath(right) || (left < right ? -1 : left === right ? 0 : 1);
}
