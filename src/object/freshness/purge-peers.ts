/**
 * The interfaces of a purge between replicas: the replica that leads it asks each replica to forget objects. On the mesh it
 * is mesh/services/cache.ts.
 */
import type { ObjectPrefix } from "../../chunk/object-prefix.ts";
import type { Member } from "../../membership/member.ts";

export interface PurgeScope {
  /**
   * `metadata`: chunks stay, and are used again if the origin still has their version. `pins`: nothing is forgotten; pins
   * end, and are counted as chunks of the disk.
   */
  readonly what: "metadata" | "all" | "pins";
  /** Also the chunks, in the cachestore, of the versions that a replica knows. */
  readonly cachestore: boolean;
}

interface PurgedChunks {
  readonly chunks: number;
  readonly bytes: number;
}

/** What a replica has forgotten; null for a tier that is not there or was not asked about. */
export interface PurgedReplica {
  readonly objects: number;
  readonly memory: PurgedChunks;
  readonly disk: PurgedChunks | null;
  /** Requests to delete, and those of them that the store did not answer. */
  readonly cachestore: { readonly chunks: number; readonly failed: number } | null;
}

/** Answers for this replica. */
export interface PurgeAnswers {
  /** @throws OrcaError `overloaded` while it clears its cache already; the signal's reason. */
  purge(prefix: ObjectPrefix, scope: PurgeScope, signal: AbortSignal): Promise<PurgedReplica>;
}

export interface PurgePeers {
  /** @throws OrcaError `peer_unavailable` where the peer cannot answer; else the peer's error; the signal's reason. */
  purge(peer: Member, prefix: ObjectPrefix, scope: PurgeScope, signal: AbortSignal): Promise<PurgedReplica>;
}
