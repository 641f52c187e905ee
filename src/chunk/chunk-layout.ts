/**
 * How an object is divided into chunks: the chunk size for an object's size, and the chunk of an offset. This is pure
 * arithmetic without any waiting, so that property tests find every off-by-one.
 */
import { assert } from "../base/assert.ts";
import { GiB, MiB } from "../base/units.ts";

/** Objects of at least `minObjectSizeBytes` have chunks of `chunkSizeBytes`. */
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

/** `tiers` are in ascending order of `minObjectSizeBytes`, and the first one starts at 0. */
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

/** The chunk with the byte at `offset`. */
export function chunkIndexAt(offset: number, chunkSizeBytes: number): number {
  return Math.floor(offset / chunkSizeBytes);
}
