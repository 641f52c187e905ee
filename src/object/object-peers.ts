/**
 * Other replicas as metadata sees them: the coordinators of objects and prefixes, which a replica asks in place of the
 * origin. The mesh implements the interface over the network (mesh/services/object-client.ts), the simulation in memory.
 */
import type { OrcaError } from "../base/orca-error.ts";
import type { Member } from "../membership/member.ts";
import type {
  FirstBytes,
  ListPage,
  ListRequest,
  ObjectHead,
  ObjectLocation,
  ObjectPart,
  PartRequest,
} from "../origin/origin.ts";

export interface PeerHeadRequest {
  readonly originId: string;
  readonly location: ObjectLocation;
  /** An ETag that is no longer the object's: an entry with it is no answer. Empty for none. */
  readonly staleEtag: string;
  /**
   * The caller's cached ETag, which a client's precondition contradicts; empty if the caller has an error cached. An entry
   * with it is an answer only if the origin was asked about it a moment ago. Undefined without a contradiction.
   */
  readonly contradictedEtag: string | undefined;
  /** Of the client's request that asks first. */
  readonly requestId?: string | undefined;
  /** The bytes that the client wants, where they are of the first chunk: the coordinator of the object fills that. */
  readonly firstBytes?: FirstBytes | undefined;
  /** The caller's entry is in use and ends soon. The coordinator renews an entry that does so as well. */
  readonly isAhead?: boolean | undefined;
}

/** The coordinator's answer, and how long the caller may cache it. */
export interface PeerHeadAnswer {
  /** The metadata, or a lasting error: `no_such_key`, `origin_missing_etag`, `origin_unsupported`. */
  readonly head: ObjectHead | OrcaError;
  /** 0: the answer serves this one request. */
  readonly remainingMs: number;
  /** The origin fails, and the answer has expired: how old it is. Undefined for an answer that holds. */
  readonly staleAgeMs?: number | undefined;
}

export interface PeerPartRequest {
  readonly originId: string;
  readonly request: PartRequest;
  /** Of the client's request that asks first. */
  readonly requestId?: string | undefined;
}

export interface PeerPartAnswer {
  readonly part: ObjectPart;
  /** 0: the answer serves this one request. */
  readonly remainingMs: number;
}

export interface PeerListRequest {
  readonly originId: string;
  readonly request: ListRequest;
}

export interface PeerListAnswer {
  readonly page: ListPage;
  readonly remainingMs: number;
}

/** An object and its origin. */
export interface ObjectName {
  readonly originId: string;
  readonly location: ObjectLocation;
}

/** @throws (each) NotCoordinator; OrcaError `peer_unavailable` if the peer cannot answer; else the peer's own error. */
export interface ObjectPeers {
  head(peer: Member, request: PeerHeadRequest): Promise<PeerHeadAnswer>;
  part(peer: Member, request: PeerPartRequest): Promise<PeerPartAnswer>;
  list(peer: Member, request: PeerListRequest): Promise<PeerListAnswer>;
}

/** The receiving side: answers peers that take this replica for the coordinator (object/object-server.ts). */
export interface ObjectAnswers {
  /** @throws NotCoordinator; OrcaError `invalid_argument` if the origin is not configured; the origin's error. */
  head(request: PeerHeadRequest): Promise<PeerHeadAnswer>;
  /** @throws as {@link head}. */
  part(request: PeerPartRequest): Promise<PeerPartAnswer>;
  /** @throws as {@link head}. */
  list(request: PeerListRequest): Promise<PeerListAnswer>;
  /** Forgets the object's metadata here and publishes an invalidation. @returns the id of that rumor. */
  invalidate(name: ObjectName): string;
}
