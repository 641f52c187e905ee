/** A FakeStore that takes chunks piece by piece, knows their digests, and can be made to refuse. */
import { createHash } from "node:crypto";
import type { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import type { ChunkKey, PutResult } from "../../src/store/chunk-store.ts";
import type { StagedChunk, StageResult, StagingStore } from "../../src/store/disk/staged-chunk.ts";
import type { ListedStore } from "../../src/store/listed-store.ts";
import { FakeStore } from "./fake-store.ts";

export class FakeStagingStore extends FakeStore implements StagingStore, ListedStore {
  /** Taken when a chunk came: bytes that change later do not match. */
  readonly digests = new Map<string, string>();
  readonly refs = new Map<string, ChunkKey>();
  /** Stages that are neither committed nor let go of. */
  stagesOpen = 0;
  refusesStages = false;
  /** Pieces are refused from this byte of a chunk on. */
  refusesFrom = Number.POSITIVE_INFINITY;
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

  hold(ref: ChunkKey, bytes: Buffer): void {
    const path = ref.version.chunkPath(ref.index);
    this.chunks.set(path, bytes);
    this.digests.set(path, createHash("sha256").update(bytes).digest("hex"));
    this.refs.set(path, ref);
  }

  override async put(ref: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    const result = await super.put(ref, chunk);
    if (result === "stored") this.hold(ref, this.chunks.get(ref.version.chunkPath(ref.index)) as Buffer);
    return result;
  }

  spareBytes = Number.MAX_SAFE_INTEGER;
  discards = 0;

  get chunkCount(): number {
    return this.chunks.size;
  }

  pathsAfter(after: string, pathsMax: number): readonly string[] {
    return [...this.chunks.keys()]
      .filter((path) => path > after)
      .sort()
      .slice(0, pathsMax);
  }

  holds(path: string): boolean {
    return this.chunks.has(path);
  }

  async refOf(path: string): Promise<ChunkKey | undefined> {
    return this.holds(path) ? this.refs.get(path) : undefined;
  }

  async discard(path: string): Promise<number> {
    const sizeBytes = this.chunks.get(path)?.length ?? 0;
    this.chunks.delete(path);
    this.discards += 1;
    return sizeBytes;
  }

  stage(ref: ChunkKey): StagedChunk | undefined {
    if (this.refusesStages || this.presence(ref) !== "absent") return undefined;
    const pieces: Buffer[] = [];
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
        if (over || stagedBytes + bytes.length > this.refusesFrom) {
          end();
          return false;
        }
        pieces.push(Buffer.from(bytes));
        stagedBytes += bytes.length;
        return true;
      },
      commit: async (expected): Promise<StageResult> => {
        end();
        const bytes = Buffer.concat(pieces);
        if (expected && expected !== createHash("sha256").update(bytes).digest("hex")) return "mismatch";
        if (this.presence(ref) === "held") return "present";
        this.hold(ref, bytes);
        return "stored";
      },
      discard: async () => end(),
    };
  }
}
