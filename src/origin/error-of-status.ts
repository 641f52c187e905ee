/**
 * Maps an origin's HTTP status to an error. The status alone decides, but for Azure's 409: bodies differ between clones,
 * are absent on HEAD, and cost a read. S3 and Azure Blob agree on the statuses.
 */
import { type ErrorCode, OrcaError, type OrcaErrorOptions } from "../base/orca-error.ts";

/** A header by its lower-case name. */
export type HeaderOf = (name: string) => string | undefined;

/** What an answer says beyond its status, for messages and for a person who must act. It decides nothing else. */
export interface AnswerDetail {
  /** The origin's own code: `SignatureDoesNotMatch`, `ContainerNotFound`. */
  readonly remoteCode?: string | undefined;
  /** Region that the bucket is in. */
  readonly region?: string | undefined;
  readonly cause?: unknown;
}

/** An answer of the origin that is an error. */
export class OriginAnswer extends OrcaError {
  readonly status: number;
  readonly remoteCode: string | undefined;
  readonly region: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    status: number,
    { remoteCode, region, ...detail }: AnswerDetail & OrcaErrorOptions = {},
  ) {
    super(code, "origin", message, detail);
    this.status = status;
    this.remoteCode = remoteCode;
    this.region = region;
  }
}

/** `SignatureDoesNotMatch`. Nothing else that an origin sends belongs in a message. */
const codeShape = /^[A-Za-z]\w{2,63}$/;

/**
 * The error for an unexpected answer. 404 means that the pinned version no longer exists. A caller for which it means
 * something else (metadata, listings) checks it first.
 */
export function errorOfStatus(
  status: number,
  header: HeaderOf,
  action: string,
  nowMs: number,
  detail: AnswerDetail = {},
): OriginAnswer {
  const retryAfterSeconds = parseRetryAfter(header("retry-after"), nowMs);
  const region = detail.region ?? header("x-amz-bucket-region");
  const hint = region === undefined || status < 300 ? "" : `; the bucket lies in region "${region}"`;
  const given = detail.remoteCode ?? header("x-ms-error-code") ?? "";
  const remoteCode = codeShape.test(given) ? given : undefined;
  const answer = remoteCode === undefined ? String(status) : `${status} ${remoteCode}`;
  const message = `${action}: the origin answered ${answer}${hint}`;
  const wait = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
  return new OriginAnswer(codeOfAnswer(status, remoteCode), message, status, {
    ...detail,
    remoteCode,
    region,
    ...wait,
  });
}

/** Azure's codes for a blob whose bytes are in the archive tier, or on their way out of it. */
const archivedCodes: ReadonlySet<string | undefined> = new Set(["BlobArchived", "BlobBeingRehydrated"]);

function codeOfAnswer(status: number, remoteCode: string | undefined): ErrorCode {
  return status === 409 && archivedCodes.has(remoteCode) ? "invalid_object_state" : codeOfStatus(status);
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
