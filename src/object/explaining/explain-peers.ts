/**
 * The interface to what another replica believes of an object, for people who ask which way a read would go. On the mesh
 * it is mesh/services/cache.ts. No read depends on it.
 */
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { Member } from "../../membership/member.ts";
import type { FirstBytes, ObjectLocation } from "../../origin/origin.ts";
import type { MetadataBelief } from "./metadata-belief.ts";

export interface ExplainQuestion {
  readonly originId: string;
  readonly location: ObjectLocation;
  /** What a client would want first. Undefined where that cannot be asked for together with metadata. */
  readonly firstBytes?: FirstBytes | undefined;
  /** Undefined where the caller knows no version: then no blocks are looked for. */
  readonly version?: ObjectVersion | undefined;
  readonly firstChunk: number;
  readonly chunkCount: number;
}

/** Requests of one replica to one origin, as they stand. */
export interface OriginNow {
  readonly inFlight: number;
  readonly inFlightMax: number;
  readonly waiting: number;
  /** Requests that may be in flight while the origin throttles; undefined while it does not. */
  readonly throttledTo?: number | undefined;
}

export interface ExplainAnswer {
  /** Of the directory that asks the origin. */
  readonly metadata: MetadataBelief;
  readonly origin: OriginNow;
  /** A byte for each block of the chunks asked about (fill/inspection/held-blocks.ts); empty without a version. */
  readonly blocks: Uint8Array;
}

/** A question about more blocks (1 MiB each) is rejected: an answer must fit into a message, and must not delay readers. */
export const explainedBlocksMax = 65_536;

export interface ExplainPeers {
  /** @throws OrcaError `peer_unavailable` where the peer cannot answer; else the peer's error. */
  explain(peer: Member, question: ExplainQuestion): Promise<ExplainAnswer>;
}

/** The other end: answers for this replica. */
export interface ExplainAnswers {
  /** @throws OrcaError `invalid_argument` for an origin that is not configured here, or too many blocks. */
  explain(question: ExplainQuestion): Promise<ExplainAnswer>;
}
