/**
 * Maps an origin's HTTP status to an error. The status alone decides: bodies differ between clones, are absent on HEAD,
 * and cost a read. S3 and Azure Blob agree on the statuses.
 */
import { type ErrorCode, OrcaError } from "../base/orca-error.ts";

/** A header by its lower-case name. */
export type HeaderOf = (name: string) => string | undefined;

/**
 * The error for an unexpected answer. 404 means that the pinned version no longer exists. A caller for which it means
 * something else (metadata, listings) checks it first.
 */
export function errorOfStatus(status: number, header: HeaderOf, action: string, nowMs: number): OrcaError {
  const retryAfterSeconds = parseRetryAfter(header("retry-after"), nowMs);
  const region = header("x-amz-bucket-region");
  const hint = region === undefined || status < 300 ? "" : `; the bucket lies in region "${region}"`;
  const message = `${action}: the origin answered ${status}${hint}`;
  return new OrcaError(
    codeOfStatus(status),
    "origin",
    message,
    retryAfterSeconds === undefined ? {} : { retryAfterSeconds },
  );
}

function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case 401:
    case 403:
      return "origin_denied";
    case 404:
    case 412:
    case 416:
      return "origin_etag_changed";
    case 408:
      return "origin_unavailable";
    case 429:
    case 503:
      return "origin_throttled";
    default:
      return status >= 500 ? "origin_unavailable" : "origin_unsupported";
  }
}

/** Seconds of a `Retry-After`, which holds seconds or a date (RFC 9110 §10.2.3). */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value);
  const dateMs = Date.parse(value);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, Math.ceil((dateMs - nowMs) / 1000));
}
