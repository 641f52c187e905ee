/**
 * What every tier that keeps whole chunks outside this process's heap can do. The interface is narrow on purpose:
 * a read is one verified 1 MiB block into memory the caller owns, a write is one whole chunk, and a store that is
 * in trouble answers with a miss and a counter, never with an error a reader would have to handle.
 */
import type { ChunkBytes } from "../chunk/chunk-bytes.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";

/** One chunk of one version of an object. */
export interface ChunkKey {
  readonly version: ObjectVersion;
  readonly index: number;
}

/** What a store believes without asking the medium. `unknown`: only a read can tell. */
export type Presence = "held" | "absent" | "unknown";

/** `stored`: now held. `present`: it was held already. `refused`: not kept (full, switched off, failed); counted. */
export type PutResult = "stored" | "present" | "refused";

export interface ChunkStore {
  readonly name: "memory" | "disk" | "cachestore";

  /** A hint, answered without I/O. */
  presence(ref: ChunkKey): Presence;

  /**
   * Reads block `blockIndex` (1 MiB each, the last one shorter) of a chunk into `target`, which is exactly as long as
   * the block. True when `target` holds the block, verified against its checksum. False is a miss: the chunk is not
   * held, or was found damaged, which is counted and deleted. Never rejects.
   */
  readBlock(ref: ChunkKey, blockIndex: number, target: Buffer): Promise<boolean>;

  /**
   * Keeps a whole chunk. The store borrows `chunk` until the promise settles and does not release it. Commits are
   * all or nothing: a chunk that is not whole and verified is never seen by `presence` or `readBlock`. Never rejects.
   */
  put(ref: ChunkKey, chunk: ChunkBytes): Promise<PutResult>;

  /** Lets go of a chunk; nothing happens where it is not held. */
  delete(ref: ChunkKey): Promise<void>;
}
