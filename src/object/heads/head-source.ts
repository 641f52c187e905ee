/** A source of metadata, as a directory asks it. */
import type { OrcaError } from "../../base/orca-error.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { FirstBytes, ObjectHead, ObjectLocation } from "../../origin/origin.ts";
import type { Asker } from "../../trace/trace.ts";
import type { TimedAnswer } from "../answer-cache.ts";
import type { LookupResult } from "../object-record.ts";

/** What the caller knows already. */
export interface HeadQuestion {
  /** An ETag that is no longer the object's; empty for none. */
  readonly staleEtag: string;
  /** The cached ETag, which a client contradicts: empty for a cached error, undefined if there is no contradiction. */
  readonly contradictedEtag: string | undefined;
  /** The caller has a cached answer: if the coordinator is unreachable, no other source need be asked. */
  readonly isRefresh: boolean;
  /** With `isRefresh`: the caller's entry ends soon, and the coordinator's shall be renewed if it does, too. */
  readonly isAhead?: boolean | undefined;
  /** The request that asks first. */
  readonly asker?: Asker | undefined;
  /** The bytes that it wants; undefined if it wants none, or nothing is gained by asking for both at once. */
  readonly firstBytes?: FirstBytes | undefined;
  /** The last version that was seen, with `firstBytes`. */
  readonly lastVersion?: ObjectVersion | undefined;
}

/** Why a directory asks. */
export interface AskOptions {
  /** The entry that is asked about: for a refresh, or because a client contradicts it. */
  readonly kept?: TimedAnswer<LookupResult>;
  readonly isRefresh?: boolean;
  /** With `isRefresh`: the entry ends soon. */
  readonly isAhead?: boolean;
  readonly opening?: Pick<HeadQuestion, "firstBytes" | "lastVersion"> | undefined;
}

export interface HeadAnswer {
  /** The metadata, or a lasting error: `no_such_key`, `origin_missing_etag`, `origin_unsupported`. */
  readonly head: ObjectHead | OrcaError;
  /** The remaining TTL. 0: the answer serves only callers that wait. Undefined: the origin itself answered. */
  readonly remainingMs: number | undefined;
}

/** An origin (origin-heads.ts), or the cluster, which asks the origin once for all replicas (cluster-heads.ts). */
export interface HeadSource {
  /** The id of the origin. */
  readonly id: string;
  /** True for an origin: its answer cannot be stale, and each question is a request that costs money. */
  readonly isOrigin: boolean;
  /** @throws OrcaError for a passing fault, which is not a fact about the object. */
  head(location: ObjectLocation, question: HeadQuestion): Promise<HeadAnswer>;
  /** Whether a question with `firstBytes` would be a GET that brings them, rather than a HEAD. It changes nothing. */
  wouldOpen?(
    location: ObjectLocation,
    firstBytes: FirstBytes | undefined,
    lastVersion: ObjectVersion | undefined,
  ): boolean;
}
