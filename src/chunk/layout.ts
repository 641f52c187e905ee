/**
 * How an object is cut: which chunk size an object of a given size has, and which chunks a byte range touches.
 * Pure arithmetic, apart from everything that waits, so that every off-by-one is found by a property test.
 */
import { assert } from "../base/assert.ts";
import { GiB, MiB } from "../base/units.ts";

/** From `minObjectSizeBytes` on (inclusive), objects are cut into chunks of `chunkSizeBytes`. */
export interface ChunkTier {
  readonly minObjectSizeBytes: number;
  readonly chunkSizeBytes: number;
}

/** The frozen default: 8 MiB; 64 MiB from 1 GiB on; 128 MiB from 10 GiB on. */
export const defaultChunkTiers: readonly ChunkTier[] = [
  { minObjectSizeBytes: 0, chunkSizeBytes: 8 * MiB },
  { minObjectSizeBytes: GiB, chunkSizeBytes: 64 * MiB },
  { minObjectSizeBytes: 10 * GiB, chunkSizeBytes: 128 * MiB },
];

/** `tiers` in ascending order of `minObjectSizeBytes`, the first one starting at 0. */
export function chunkSizeFor(objectSizeBytes: number, tiers: readonly ChunkTier[]): number {
  let chunkSizeBytes = 0;
  for (const tier of tiers) {
    if (objectSizeBytes >= tier.minObjectSizeBytes) chunkSizeBytes = tier.chunkSizeBytes;
  }
  assert(chunkSizeBytes > 0, "the first chunk tier starts at 0");
  return chunkSizeBytes;
}

export function chunkCount(objectSizeBytes: number, chunkSizeBytes: number): number {
  return Math.ceil(objectSizeBytes / chunkSizeBytes);
}

/** `chunkSizeBytes`, or the remainder for the last chunk. */
export function chunkLength(objectSizeBytes: number, chunkSizeBytes: number, index: number): number {
  const offset = index * chunkSizeBytes;
  assert(index >= 0 && offset < objectSizeBytes, "a chunk index lies inside its object");
  return Math.min(chunkSizeBytes, objectSizeBytes - offset);
}

/** The chunk that holds the byte at `offset`. */
export function chunkIndexAt(offset: number, chunkSizeBytes: number): number {
  return Math.floor(offset / chunkSizeBytes);
}
