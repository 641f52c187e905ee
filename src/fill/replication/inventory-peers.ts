/**
 * The interface to other replicas' inventories: which chunks on a peer's disk this replica may lack. On the mesh it is
 * mesh/services/inventory-client.ts.
 */
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { ShelfDigests } from "./shelf.ts";

interface PageRequest {
  /** `nextAfter` of the page before; empty for the first. */
  readonly after: string;
  readonly chunksMax: number;
}

export interface InventoryRequest extends PageRequest {
  /** Only chunks that this replica keeps, as the answering replica sees the members; empty for all. */
  readonly keptBy: string;
}

interface Page {
  /** Empty on the last page. */
  readonly nextAfter: string;
  /** Chunks that this page covers, with those that it leaves out. */
  readonly passed: number;
  /** Chunks on the disk in all. */
  readonly total: number;
}

export interface InventoryPage extends Page {
  readonly chunks: readonly ChunkKey[];
}

export interface CompareRequest extends PageRequest {
  /** The replica that asks. */
  readonly keptBy: string;
  /** Of the chunks on its disk that both replicas keep. Shelves with the same digest at the peer are left out. */
  readonly common: ShelfDigests;
  /** The peer's extra digests of which this replica lacks nothing. Undefined to compare them all. */
  readonly extra: ShelfDigests | undefined;
}

/** Chunks that the peer holds and the asking replica keeps, in shelves that differ. */
export interface ComparePage extends Page {
  readonly paths: readonly string[];
  /** The chunks of `paths`, from a peer of an earlier version. Else they are to be asked for. */
  readonly chunks: readonly ChunkKey[] | undefined;
  /** Undefined from a peer of an earlier version. */
  readonly extra: ShelfDigests | undefined;
}

/** Paths in one call of {@link InventoryPeers.nameChunks}. They fit into the largest request. */
export const namedPathsMax = 128;

export interface InventoryPeers {
  /** @throws OrcaError `peer_unavailable` where no valid answer came in time; else the peer's error. */
  compare(peer: Member, request: CompareRequest): Promise<ComparePage>;
  /** The chunks of at most {@link namedPathsMax} paths, without those not held any more. Throws as `compare` does. */
  nameChunks(peer: Member, paths: readonly string[]): Promise<readonly ChunkKey[]>;
}
