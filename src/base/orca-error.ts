/**
 * The one error class of Orca and the one table of what each code means on the wire. A miss is a value and a
 * bug is an AssertionFailure; everything else that can go wrong in operation is an OrcaError, so that whoever
 * catches it can decide by `code` alone and never by the text of a message.
 */

import { AssertionFailure } from "./assert.ts";

interface ErrorMeaning {
  /** HTTP status an S3 client sees. */
  readonly status: number;
  /** `Code` of the S3 error body. */
  readonly s3Code: string;
  /** Whether the same request may be tried again against the same target. */
  readonly retryable: boolean;
}

export const errorTable = {
  no_such_key: { status: 404, s3Code: "NoSuchKey", retryable: false },
  no_such_bucket: { status: 404, s3Code: "NoSuchBucket", retryable: false },
  invalid_argument: { status: 400, s3Code: "InvalidArgument", retryable: false },
  invalid_uri: { status: 400, s3Code: "InvalidURI", retryable: false },
  invalid_request: { status: 400, s3Code: "InvalidRequest", retryable: false },
  request_timeout: { status: 400, s3Code: "RequestTimeout", retryable: false },
  key_too_long: { status: 400, s3Code: "KeyTooLongError", retryable: false },
  access_denied: { status: 403, s3Code: "AccessDenied", retryable: false },
  invalid_range: { status: 416, s3Code: "InvalidRange", retryable: false },
  precondition_failed: { status: 412, s3Code: "PreconditionFailed", retryable: false },
  not_modified: { status: 304, s3Code: "NotModified", retryable: false },
  method_not_allowed: { status: 405, s3Code: "MethodNotAllowed", retryable: false },
  not_implemented: { status: 501, s3Code: "NotImplemented", retryable: false },
  overloaded: { status: 503, s3Code: "SlowDown", retryable: false },
  shutting_down: { status: 503, s3Code: "ServiceUnavailable", retryable: false },
  origin_throttled: { status: 503, s3Code: "SlowDown", retryable: true },
  origin_unavailable: { status: 502, s3Code: "OriginUnreachable", retryable: true },
  origin_denied: { status: 502, s3Code: "OriginUnauthorized", retryable: false },
  origin_etag_changed: { status: 502, s3Code: "OriginETagChanged", retryable: false },
  origin_missing_etag: { status: 502, s3Code: "OriginMissingETag", retryable: false },
  origin_unsupported: { status: 502, s3Code: "OriginUnsupported", retryable: false },
  peer_unavailable: { status: 500, s3Code: "InternalError", retryable: true },
  not_coordinator: { status: 500, s3Code: "InternalError", retryable: true },
  not_held: { status: 500, s3Code: "InternalError", retryable: false },
  store_unavailable: { status: 500, s3Code: "InternalError", retryable: false },
  store_denied: { status: 500, s3Code: "InternalError", retryable: false },
  config_invalid: { status: 500, s3Code: "InternalError", retryable: false },
  internal: { status: 500, s3Code: "InternalError", retryable: false },
} as const satisfies Record<string, ErrorMeaning>;

export type ErrorCode = keyof typeof errorTable;

/** The part of Orca that met the fault first. */
export type ErrorSource =
  | "client"
  | "edge"
  | "object"
  | "fill"
  | "memory"
  | "disk"
  | "cachestore"
  | "origin"
  | "membership"
  | "mesh"
  | "config"
  | "replica";

export interface OrcaErrorOptions {
  readonly cause?: unknown;
  /** Seconds the origin asked us to wait (`Retry-After`), where it did. */
  readonly retryAfterSeconds?: number;
}

export class OrcaError extends Error {
  override readonly name = "OrcaError";
  readonly code: ErrorCode;
  readonly source: ErrorSource;
  readonly retryAfterSeconds: number | undefined;

  /** `message` names the action first and quotes values: `Cannot read chunk "…": expected 8 bytes, received 5`. */
  constructor(code: ErrorCode, source: ErrorSource, message: string, options: OrcaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.source = source;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  get retryable(): boolean {
    return errorTable[this.code].retryable;
  }

  /**
   * `thrown` itself where it is an OrcaError already, else an OrcaError of `code` that keeps it as its cause.
   * A failed assertion is thrown on: a bug is not turned into an answer.
   */
  static from(thrown: unknown, code: ErrorCode, source: ErrorSource, action: string): OrcaError {
    if (thrown instanceof OrcaError) return thrown;
    if (thrown instanceof AssertionFailure) throw thrown;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return new OrcaError(code, source, `${action}: ${reason}`, { cause: thrown });
  }
}
