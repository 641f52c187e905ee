/**
 * A chunk that is written to a store piece by piece, as it comes from another replica, and is never whole in memory. It
 * may break off anywhere and go on there: the hash runs with the bytes, so nothing is read again. Until it is
 * committed nobody sees it, and what a killed process leaves of it is swept at the next start.
 */
import type { ChunkKey, ChunkStore } from "../chunk-store.ts";

/** `mismatch`: the bytes are not those of the SHA-256. Whatever the result, nothing unfinished is left behind. */
export type StageResult = "stored" | "present" | "mismatch" | "not_stored";

export interface StagedChunk {
  /** How much of the chunk is written: the offset of the next byte. */
  readonly stagedBytes: number;

  /**
   * Writes the bytes that come next: 1 byte to 1 MiB of a segment, which is borrowed until the promise settles. One call
   * at a time. False: they cannot be kept (full, failed, or memory was short), and the stage is over. Never rejects.
   */
  append(bytes: Buffer): Promise<boolean>;

  /** Keeps the chunk, all of which is written, if its hex SHA-256 is the expected one. Never rejects. */
  commit(expectedSha256: string | undefined): Promise<StageResult>;

  /** Lets go of what is written. Of a stage that is over, there is nothing. */
  discard(): Promise<void>;
}

/** A store that takes chunks piece by piece. */
export interface StagingStore extends ChunkStore {
  /** Undefined where the chunk is held, comes or goes already, or the store takes none now. No room is reserved yet. */
  stage(key: ChunkKey): StagedChunk | undefined;
}
