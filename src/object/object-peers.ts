/**
 * How metadata sees other replicas: the coordinators of objects and of prefixes, who are asked in place of the origin.
 * The wire is behind it (mesh/object-client.ts), and in the simulation a network in memory.
 */
import type { OrcaError } from "../base/orca-error.ts";
import type { Member } from "../membership/member.ts";
import type { ListPage, ListRequest, ObjectHead, ObjectLocation } from "../origin/origin.ts";

export interface PeerHeadRequest {
  readonly originId: string;
  readonly location: ObjectLocation;
  /** An ETag found not to be the object's any more: what is cached with it is no answer. Empty for none. */
  readonly staleEtag: string;
  /**
   * What the caller believes and a client's precondition contradicts, empty for "there is no such object". What is cached
   * with it is an answer only when the origin was asked about that a moment ago. Undefined where nothing is contradicted.
   */
  readonly contradictedEtag: string | undefined;
}

/** What the coordinator knows, and for how long it may still be believed. */
export interface PeerHeadAnswer {
  /** The metadata, or the lasting reason why there is none: `no_such_key`, `origin_missing_etag`, `origin_unsupported`. */
  readonly head: ObjectHead | OrcaError;
  /** 0 is for this one request. */
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

/** An object by its origin. */
export interface ObjectName {
  readonly originId: string;
  readonly location: ObjectLocation;
}

/** @throws (all of them) NotCoordinator; OrcaError `peer_unavailable` where the peer cannot answer; else what it said. */
export interface ObjectPeers {
  head(peer: Member, request: PeerHeadRequest): Promise<PeerHeadAnswer>;
  list(peer: Member, request: PeerListRequest): Promise<PeerListAnswer>;
}

/** The other end: what this replica answers to those who hold it for the coordinator (object/object-server.ts). */
export interface ObjectAnswers {
  /** @throws NotCoordinator; OrcaError `internal` for an origin that is not configured; what the origin said. */
  head(request: PeerHeadRequest): Promise<PeerHeadAnswer>;
  /** @throws as {@link head}. */
  list(request: PeerListRequest): Promise<PeerListAnswer>;
  /** Forgets the object's metadata here, and tells the others. @returns the id under which the members know it. */
  invalidate(name: ObjectName): string;
}
