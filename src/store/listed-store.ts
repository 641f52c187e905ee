/** A store that can say what it holds, chunk by chunk in an order that does not change, without being held up by it. */
import type { ChunkKey } from "./chunk-store.ts";

export interface ListedStore {
  readonly chunkCount: number;

  /** What can be written without anything else giving way. */
  readonly spareBytes: number;

  /** Paths of the next held chunks behind `after` (empty: from the first), at most `pathsMax`; fewer are the last. */
  pathsAfter(after: string, pathsMax: number): readonly string[];

  holds(path: string): boolean;

  /** Which chunk a path stands for, as its file says; undefined where it is gone or damaged. Never rejects. */
  refOf(path: string): Promise<ChunkKey | undefined>;

  /** Lets go of the chunk. Resolves with what came free on disk, 0 where nothing did. Never rejects. */
  discard(path: string): Promise<number>;
}
