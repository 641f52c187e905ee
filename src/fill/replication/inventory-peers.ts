/**
 * How replication sees other replicas' disks: somebody who can be asked for a page of what is on one. The wire is behind
 * it (mesh/chunk-list-client.ts).
 */
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";

export interface InventoryRequest {
  /** `nextAfter` of the page before; empty for the first. */
  readonly after: string;
  readonly chunksMax: number;
  /** Only chunks that this replica is to keep, as the answerer sees the members; empty for all. */
  readonly keptBy: string;
  /** Where there are any: only these, in one page, and the answerer pledges to keep those it names for a while. */
  readonly paths: readonly string[];
}

export interface InventoryPage {
  readonly chunks: readonly ChunkKey[];
  /** Empty on the last page. */
  readonly nextAfter: string;
  /** Chunks that were looked at for this page. */
  readonly passed: number;
  /** Chunks on the disk in all. */
  readonly total: number;
}

/** Paths that one request may name. */
export const listedPathsMax = 128;

export interface InventoryPeers {
  /** @throws OrcaError `peer_unavailable` where no good answer came in time; else what the peer said. */
  list(peer: Member, request: InventoryRequest): Promise<InventoryPage>;
}
