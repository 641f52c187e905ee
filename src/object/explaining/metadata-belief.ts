/**
 * What a directory believes of one object, for a person who asks which way a read would go. To look changes nothing: no
 * order of eviction, no counter, and no question to anybody.
 */
import type { Clock } from "../../base/clock.ts";
import type { ErrorCode } from "../../base/orca-error.ts";
import type { FirstBytes, ObjectLocation } from "../../origin/origin.ts";
import type { AnswerCache } from "../answer-cache.ts";
import type { HeadSource } from "../heads/head-source.ts";
import type { LookupResult } from "../object-record.ts";
import type { SeenVersions } from "../seen-versions.ts";
import { entryName } from "../versions/entry-name.ts";

/** A version, without its place. */
export interface BelievedVersion {
  readonly etag: string;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
}

export interface MetadataBelief {
  /** `expired`: kept after its end, and no answer unless the source fails. */
  readonly state: "fresh" | "expired" | "unknown";
  /** How long a fresh entry lasts, or an expired one is kept. Infinity for an object that is immutable. */
  readonly remainingMs: number;
  /** The fresh entry is a lasting error, such as the absence of the object. */
  readonly error?: ErrorCode | undefined;
  /** Of the entry, or else the last version that was seen. */
  readonly version?: BelievedVersion | undefined;
  /** A question is in flight, which the next client joins. */
  readonly isAsking: boolean;
  /** The request that a directory in front of the origin would send for a client that knows nothing. */
  readonly request: "GET" | "HEAD";
}

/** The parts of a directory. */
interface BeliefParts {
  readonly answers: AnswerCache<LookupResult>;
  readonly seen: Pick<SeenVersions, "lastOf">;
  readonly clock: Clock;
  readonly source: HeadSource;
}

/** `firstBytes`: what a client would want first. */
export function beliefOf(
  { answers, seen, clock, source }: BeliefParts,
  location: ObjectLocation,
  firstBytes: FirstBytes | undefined,
): MetadataBelief {
  const name = entryName(location);
  const nowMs = clock.monotonic();
  const timed = answers.kept(name);
  const isFresh = timed !== undefined && timed.expiresMs > nowMs;
  const isKept = timed !== undefined && timed.keptUntilMs > nowMs;
  const lastVersion = seen.lastOf(name, location);
  const known = isKept && timed.answer.kind === "found" ? timed.answer.record.version : lastVersion;
  const opens = source.wouldOpen?.(location, firstBytes, lastVersion) ?? false;
  return {
    state: isFresh ? "fresh" : isKept ? "expired" : "unknown",
    remainingMs: isKept ? (isFresh ? timed.expiresMs : timed.keptUntilMs) - nowMs : 0,
    ...(isFresh && timed.answer.kind === "error" && { error: timed.answer.error.code }),
    ...(known && { version: believedOf(known) }),
    isAsking: answers.isAsking(name),
    request: opens ? "GET" : "HEAD",
  };
}

function believedOf({ etag, sizeBytes, chunkSizeBytes }: BelievedVersion): BelievedVersion {
  return { etag, sizeBytes, chunkSizeBytes };
}
