/**
 * The interface to other replicas as sources of chunks: a peer can be asked for a range of one chunk. On the mesh it is
 * mesh/fill-chunk/fill-client.ts, and in the simulation a network in memory.
 */

import type { PlacedSink } from "../base/byte-sink.ts";
import type { Member } from "../membership/member.ts";
import type { ChunkKey } from "../store/chunk-store.ts";

/** A range of one chunk: `offset + lengthBytes <=` the chunk's length, `lengthBytes > 0`. */
export interface PeerRead {
  readonly key: ChunkKey;
  /** From the start of the chunk. */
  readonly offset: number;
  readonly lengthBytes: number;
  /** Replicas that rank before the asked one and that the caller could not reach. */
  readonly passedOver: readonly string[];
  /** Only bytes that the peer holds or is fetching: it starts no fill. */
  readonly cachedOnly: boolean;
  /** Of the client's request that asks first. */
  readonly requestId?: string | undefined;
}

/** Where the peer has the bytes from. */
export type PeerSource = "memory" | "disk" | "flight" | "origin" | "cachestore";

/** What is known after the last byte. */
export interface PeerReadEnd {
  readonly source: PeerSource;
  /** SHA-256 of the whole chunk; undefined where the peer does not know it. */
  readonly sha256: Uint8Array | undefined;
}

export interface ChunkPeers {
  /**
   * Reads a range from `peer` into `sink`, as the bytes arrive there. On a rejection the sink holds a true prefix of
   * the range. The sink is not used after the promise has settled.
   * @throws NotCoordinator; OrcaError `peer_unavailable` where the peer could not be reached, broke off, was silent or
   * broke the protocol; `not_held` with `cachedOnly`; `invalid_range` where it refuses the range; else the peer's error, such as one of its origin.
   */
  read(peer: Member, request: PeerRead, sink: PlacedSink, signal: AbortSignal): Promise<PeerReadEnd>;
}
