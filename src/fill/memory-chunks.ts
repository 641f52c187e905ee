/** Memory and cachestore, as fills and readers use them. */
import type { ByteSink } from "../base/byte-sink.ts";
import type { ChunkBytes } from "../chunk/chunk-bytes.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { ChunkKey, Presence, PutResult } from "../store/chunk-store.ts";

/** The cachestore, as fills use it. It never fails: an operation that it cannot do is a miss or stores nothing. */
export interface Cachestore {
  /** `absent` also while the store is left alone after failures. */
  presence(key: ChunkKey): Presence;
  /** A miss leaves a true prefix of the range in `sink`. Never rejects. */
  read(
    key: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss">;
  put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult>;
}

/** The memory tier, as the filler and the readers use it. */
export interface MemoryChunks {
  readonly bytes: number;
  /** For a use that counts. Undefined where the block at `offset` is not held. */
  getOf(version: ObjectVersion, index: number, offset: number): ChunkBytes | undefined;
  peek(memoryKey: string): ChunkBytes | undefined;
  /**
   * Returns the chunk if this put made it whole. `ahead`: the blocks were fetched before any reader asked for them.
   */
  put(memoryKey: string, chunk: ChunkBytes, ahead: boolean, version: ObjectVersion): ChunkBytes | undefined;
  delete(memoryKey: string): void;
}
