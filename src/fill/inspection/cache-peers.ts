/**
 * How a replica asks others what they hold of an object, for people who want to see it. The wire is behind it
 * (mesh/cache-client.ts); no read depends on it.
 */
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { Member } from "../../membership/member.ts";

/** What one byte of a {@link ChunkTiers} says, as bits; frozen in proto/orca/v1/cache.proto. */
export const tierBits = { memory: 1, disk: 2, flight: 4, cachestore: 8 } as const;

export type TierName = keyof typeof tierBits;

/** One byte for each chunk of a version: the sum of {@link tierBits} of where it is held. */
export type ChunkTiers = Uint8Array;

/** More is not inspected: an answer must fit into a message, and making one must not hold up readers. */
export const inspectedChunksMax = 100_000;

export interface CachePeers {
  /** @throws OrcaError `peer_unavailable` where the peer cannot answer; else what it said. */
  inspect(peer: Member, version: ObjectVersion): Promise<ChunkTiers>;
}

/** The other end: what this replica answers (held-chunks.ts). */
export interface CacheAnswers {
  /** @throws OrcaError `invalid_argument` for a version with more than {@link inspectedChunksMax} chunks. */
  inspect(version: ObjectVersion): Promise<ChunkTiers>;
}
