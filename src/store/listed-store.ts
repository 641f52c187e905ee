/** A store that lists the chunks it holds, in an order that does not change and a bounded number at a time. */
import type { ChunkKey } from "./chunk-store.ts";

export interface ListedStore {
  readonly chunkCount: number;

  /** The bytes that can be written without evicting a chunk that is not marked by {@link evictFirst}. */
  readonly spareBytes: number;

  /**
   * Paths of the next held chunks after `after` (empty: those from `fromOrder` on, or from the first), at most `pathsMax`;
   * fewer are the last. The order is that of chunk-table/chunk-order.ts. `after` need not be held any more.
   */
  pathsAfter(after: string, pathsMax: number, fromOrder?: number): readonly string[];

  /** Reads from its file which chunk a path names; undefined if the file is missing or damaged. Never rejects. */
  chunkKeyOf(path: string): Promise<ChunkKey | undefined>;

  /** Marks a chunk as the first to be evicted, or removes the mark. A use of the chunk removes the mark, too. */
  evictFirst(path: string, isFirst: boolean): void;
}
