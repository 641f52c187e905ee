/**
 * The interface of every tier that holds whole chunks. It is narrow on purpose. A read is one verified block of 1 MiB
 * into the caller's memory, and a write is one whole chunk. A store in trouble answers with a miss and counts it; it
 * never throws an error that a reader would have to handle.
 */
import type { Segment } from "../base/memory-budget.ts";
import type { ChunkBytes } from "../chunk/chunk-bytes.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";

/** One chunk of one version of an object. */
export interface ChunkKey {
  readonly version: ObjectVersion;
  readonly index: number;
}

/** The belief of a store, without a look at the medium. `unknown`: only a read can tell. */
export type Presence = "held" | "absent" | "unknown";

/** `stored`: now held. `present`: it was held already. `not_stored`: nothing was kept (full, closed, failed); counted. */
export type PutResult = "stored" | "present" | "not_stored";

/** Memory that a store may have to keep: a read that it has given up may still write there. A Segment is one. */
export interface MemoryHold {
  retain(): unknown;
  release(): void;
}

/** The blocks of chunks that are not whole. Like a store, it never rejects: what it cannot do is a miss or `not_stored`. */
export interface PartialBlocks {
  /** Whether a block is held: a belief, without a look at the medium. Before the end of a disk's scan it may be wrong once. */
  holds(key: ChunkKey, blockIndex: number): boolean;

  /** Whether some block of a chunk is certainly held, for people who inspect the cache. */
  holdsAny(key: ChunkKey): boolean;

  /** @see ChunkStore.readBlock */
  readBlock(key: ChunkKey, blockIndex: number, target: Buffer, hold?: MemoryHold): Promise<boolean>;

  /**
   * Stores the blocks from `firstBlock` on, each on its own: `not_stored` where one of them is not held afterwards.
   * Borrows the segments until the promise settles.
   */
  putBlocks(key: ChunkKey, firstBlock: number, segments: readonly Segment[]): Promise<PutResult>;

  /** Deletes all blocks of a chunk: it is whole, or it is forgotten. */
  delete(key: ChunkKey): Promise<void>;
}

export interface ChunkStore {
  /** Undefined where the store keeps whole chunks only. */
  readonly partial?: PartialBlocks | undefined;
  /** The store does not answer, so it is not used until it does: it believes that it holds nothing. */
  readonly isSetAside?: boolean;
  readonly name: "memory" | "disk" | "cachestore";

  /** A hint, answered without I/O. */
  presence(key: ChunkKey): Presence;

  /**
   * Reads block `blockIndex` (1 MiB each, the last one shorter) of a chunk into `target`, which is exactly as long as
   * the block. True: `target` holds the block, verified against its checksum. False is a miss: the chunk is not held,
   * or it is damaged; then the store counts that and deletes the chunk. Never rejects. A read that the store gives up is a miss,
   * too; as long as it may still write into `target`, the store retains `hold`.
   */
  readBlock(key: ChunkKey, blockIndex: number, target: Buffer, hold?: MemoryHold): Promise<boolean>;

  /**
   * Stores a whole chunk. The store borrows `chunk` until the promise settles and does not release it. A commit is all
   * or nothing: `presence` and `readBlock` never see a chunk that is not whole and verified. Never rejects.
   */
  put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult>;

  /** Deletes a chunk, if it is held. */
  delete(key: ChunkKey): Promise<void>;
}
