/**
 * A chunk that is written to a store in pieces, as they arrive from another replica, and is never whole in memory. The
 * transfer may break off at any byte and continue there: each piece is hashed when it is written, so no byte is read
 * again. Readers do not see the chunk before its commit. The next start sweeps the file that a killed process leaves.
 */
import type { ChunkKey, ChunkStore, MemoryHold } from "../chunk-store.ts";

/** `mismatch`: the bytes do not match the SHA-256. Whatever the result, no unfinished file remains. */
export type StageResult = "stored" | "present" | "mismatch" | "not_stored";

export interface StagedChunk {
  /** The number of bytes written: the offset of the next byte. */
  readonly stagedBytes: number;

  /**
   * Writes the next bytes: 1 byte to 1 MiB of a segment, which is borrowed until the promise settles. One call at a
   * time. False: the bytes cannot be stored (full, failed, or memory was short), and the stage has ended. Never
   * rejects. A write that hangs is given up, too, if there is a `hold`: it is retained until the write ends.
   */
  append(bytes: Buffer, hold?: MemoryHold): Promise<boolean>;

  /** Stores the completely written chunk if its hex SHA-256 is the expected one. Never rejects. */
  commit(expectedSha256: string | undefined): Promise<StageResult>;

  /** Deletes the written bytes. Does nothing if the stage has ended. */
  discard(): Promise<void>;
}

/** A store that accepts chunks in pieces. */
export interface StagingStore extends ChunkStore {
  /** Undefined if the chunk is held, stored or deleted at the moment, or the store accepts none. Reserves no room yet. */
  stage(key: ChunkKey): StagedChunk | undefined;
}
