/**
 * The interface to what other replicas hold of an object, for people who inspect the cache. On the mesh it is
 * mesh/services/cache.ts. No read depends on it.
 */
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { Member } from "../../membership/member.ts";

/**
 * The bits of one byte of {@link ChunkTiers}; frozen in proto/orca/v1/cache.proto. With `partial`, memory and disk hold
 * some blocks of the chunk, and neither holds it whole.
 */
export const tierBits = { memory: 1, disk: 2, flight: 4, cachestore: 8, partial: 16 } as const;

export type TierName = keyof typeof tierBits;

/** One byte for each chunk of a version: the sum of the {@link tierBits} of the tiers that hold it. */
export type ChunkTiers = Uint8Array;

/** A version with more chunks is not inspected: an answer must fit into a message, and must not delay readers. */
export const inspectedChunksMax = 100_000;

export interface CachePeers {
  /** @throws OrcaError `peer_unavailable` where the peer cannot answer; else the peer's error. */
  inspect(peer: Member, version: ObjectVersion): Promise<ChunkTiers>;
}

/** The other end: answers for this replica (held-chunks.ts). */
export interface CacheAnswers {
  /** @throws OrcaError `invalid_argument` for a version with more than {@link inspectedChunksMax} chunks. */
  inspect(version: ObjectVersion): Promise<ChunkTiers>;
}
