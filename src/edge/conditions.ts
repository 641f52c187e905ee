/**
 * Evaluates conditional requests in the order of RFC 9110 §13.2.2, which S3 documents for GetObject, too. A request
 * without conditions, the common case, allocates nothing here, and reads nothing of the object: with many small objects
 * each read is one of memory that no cache of the processor holds.
 */
import type { Clock } from "../base/clock.ts";
import { parseHttpDate } from "./http-date.ts";

/** The headers of a request, names in lower case, as node:http delivers them. */
export interface ConditionHeaders {
  readonly "if-match"?: string | undefined;
  readonly "if-none-match"?: string | undefined;
  readonly "if-modified-since"?: string | undefined;
  readonly "if-unmodified-since"?: string | undefined;
  readonly "if-range"?: string | undefined;
}

/** What a condition is compared with. */
export interface Validators {
  /** Without quotes. */
  readonly etag: string;
  /** Milliseconds since the epoch, whole seconds. Undefined where the origin tells no date. */
  readonly lastModifiedMs: number | undefined;
}

export type ConditionResult = "proceed" | "not_modified" | "precondition_failed";

/**
 * Whether a GET or HEAD of an existing object proceeds. An unreadable date is ignored, and so is every date for an object
 * that has none (RFC 9110 §13.1.3, §13.1.4). As in S3, an If-Modified-Since in the future is ignored. An ETag condition overrides the
 * date condition of the same direction, even if the date condition would have failed.
 */
export function evaluateConditions(
  headers: ConditionHeaders,
  validators: Validators,
  clock: Pick<Clock, "now">,
): ConditionResult {
  const ifMatch = headers["if-match"];
  const ifUnmodifiedSince = headers["if-unmodified-since"];
  if (ifMatch !== undefined) {
    if (!matchesList(ifMatch, validators.etag, "strong")) return "precondition_failed";
  } else if (ifUnmodifiedSince !== undefined && validators.lastModifiedMs !== undefined) {
    const since = parseHttpDate(ifUnmodifiedSince, clock.now());
    if (since !== undefined && validators.lastModifiedMs > since) return "precondition_failed";
  }

  const ifNoneMatch = headers["if-none-match"];
  const ifModifiedSince = headers["if-modified-since"];
  if (ifNoneMatch !== undefined) {
    if (matchesList(ifNoneMatch, validators.etag, "weak")) return "not_modified";
  } else if (ifModifiedSince !== undefined && validators.lastModifiedMs !== undefined) {
    const nowMs = clock.now();
    const since = parseHttpDate(ifModifiedSince, nowMs);
    if (since !== undefined && since <= nowMs && validators.lastModifiedMs <= since) return "not_modified";
  }
  return "proceed";
}

/** Whether a request is for named versions only. `*` stands for any version. */
export function pinsVersion({ "if-match": ifMatch }: ConditionHeaders): boolean {
  return ifMatch !== undefined && ifMatch.trim() !== "*";
}

/**
 * Whether the Range header applies (RFC 9110 §13.1.5). Without If-Range it always does; with it, only if If-Range names
 * exactly this version by a strong ETag. Otherwise the client may hold part of another version and receives the whole of
 * this one.
 *
 * A date never names a version. It would have to be strong (§8.8.2.2): no two versions may share its second. A cache may
 * conclude that from a Last-Modified that lies a second before the response was made, which does not hold here:
 * (1) version A is written and fetched; (2) B replaces it within the same second; (3) a minute later a client reads half
 * of A, with the Date of that minute, and takes the date for strong; (4) the metadata expires and B is fetched, minutes
 * after its second; (5) the client asks for the rest by the date that A and B share. Orca no longer knows of A, and other
 * replicas never may have. Nobody loses by it: a client that has an ETag must not send a date, and Orca sends an ETag
 * with every object.
 */
export function rangeApplies(ifRange: string | undefined, { etag }: Pick<Validators, "etag">): boolean {
  return ifRange === undefined || matchesTag(ifRange.trim(), etag, "strong");
}

/** How much a `W/` prefix matters (RFC 9110 §8.8.3.2): with `strong`, a weak tag matches nothing. */
type Comparison = "strong" | "weak";

/** One member of a list of ETags. Commas may stand inside the quotes. Some clients omit the quotes. */
const listMember = /(?:W\/)?"[^"]*"|[^\s,]+/g;

function matchesList(list: string, etag: string, comparison: Comparison): boolean {
  if (list.trim() === "*") return true;
  for (const [member] of list.matchAll(listMember)) {
    if (matchesTag(member, etag, comparison)) return true;
  }
  return false;
}

function matchesTag(tag: string, etag: string, comparison: Comparison): boolean {
  const isWeak = tag.startsWith("W/");
  if (isWeak && comparison === "strong") return false;
  const opaque = isWeak ? tag.slice(2) : tag;
  if (opaque.length === etag.length) return opaque === etag;
  return opaque.length === etag.length + 2 && opaque === `"${etag}"`;
}
