/**
 * How the fill sees other replicas: somebody who can be asked for a stretch of a chunk. The wire is behind it
 * (mesh/fill-client.ts), and in the simulation a network in memory.
 */

import type { ByteSink } from "../base/byte-sink.ts";
import type { Member } from "../membership/member.ts";
import type { ChunkKey } from "../store/chunk-store.ts";

/** A stretch of one chunk: `offset + lengthBytes <=` the chunk's length, `lengthBytes > 0`. */
export interface PeerRead {
  readonly ref: ChunkKey;
  /** From the start of the chunk. */
  readonly offset: number;
  readonly lengthBytes: number;
  /** Replicas that come before the asked one and could not be reached. */
  readonly passedOver: readonly string[];
  /** Only what is held or being filled there: no fill is started. */
  readonly cachedOnly: boolean;
}

/** Where the answerer has the bytes from. */
export type PeerSource = "memory" | "disk" | "flight" | "origin" | "cachestore";

/** What is known behind the last byte. */
export interface PeerReadEnd {
  readonly source: PeerSource;
  /** SHA-256 of the whole chunk; undefined where the answerer does not know it. */
  readonly sha256: Uint8Array | undefined;
}

export interface ChunkPeers {
  /**
   * Brings a stretch from `peer` into `sink` as the bytes arrive there. On a rejection the sink holds a true prefix of
   * the stretch, and it is not touched once the promise has settled.
   * @throws NotCoordinator; OrcaError `peer_unavailable` where the peer could not be reached, broke off, fell silent or
   * broke the protocol; `not_held` with `cachedOnly`; else what the peer said, such as the origin's errors.
   */
  read(peer: Member, request: PeerRead, sink: ByteSink, signal: AbortSignal): Promise<PeerReadEnd>;
}
