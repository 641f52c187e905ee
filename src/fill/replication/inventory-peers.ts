/**
 * The interface to other replicas' inventories: a page of the chunks on a peer's disk. On the mesh it is
 * mesh/services/inventory-client.ts.
 */
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";

export interface InventoryRequest {
  /** `nextAfter` of the page before; empty for the first. */
  readonly after: string;
  readonly chunksMax: number;
  /** Only chunks that this replica keeps, as the answering replica sees the members; empty for all. */
  readonly keptBy: string;
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

export interface InventoryPeers {
  /** @throws OrcaError `peer_unavailable` where no valid answer came in time; else the peer's error. */
  list(peer: Member, request: InventoryRequest): Promise<InventoryPage>;
}
