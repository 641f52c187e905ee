/**
 * What an HTTP status of an origin means to Orca. The status alone decides: bodies differ between clones, are not
 * there on HEAD, and cost a read; S3 and Azure Blob agree on the statuses.
 */
import { type ErrorCode, OrcaError } from "../base/orca-error.ts";

/** A header by its lower-case name. */
export type HeaderOf = (name: string) => string | undefined;

/**
 * The error for an answer that was not what was asked for. 404 reads as a pinned version that is gone; who asks for
 * metadata or a listing knows another meaning for it and looks at it first.
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

/** Seconds of a `Retry-After`, which is a number of them or a date (RFC 9110 §10.2.3). */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value);
  const dateMs = Date.parse(value);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, Math.ceil((dateMs - nowMs) / 1000));
}
