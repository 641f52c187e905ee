/**
 * An OrcaError as an S3 client sees it. Only what the client itself got wrong is told in the error's own words; for the
 * rest a fixed sentence stands in, since the message of an error that came from below may name hosts, paths and
 * accounts that are none of the client's business. The log has the message, and the request id leads to it.
 */
import { type ErrorCode, errorTable, type OrcaError } from "../base/orca-error.ts";
import { element, escapeXml, xmlDeclaration } from "./xml.ts";

export interface ErrorContext {
  readonly requestId: string;
  /** Whether the request was a HEAD, whose answer has no body. */
  readonly isHead: boolean;
  /** As the client named them; empty where not known. */
  readonly bucket: string;
  readonly key: string;
  /** For invalid_range, where the object is known. */
  readonly objectSizeBytes?: number | undefined;
}

export interface ErrorResponse {
  readonly status: number;
  /** Flat `[name, value, …]`. */
  readonly headers: string[];
  /** S3 XML, or empty where the answer has no body. */
  readonly body: string;
}

const retryAfterSecondsMax = 3600;

/**
 * The answer to a request that failed before its first byte was sent. A 304 gets the validators of its object from
 * ObjectHeaders.forNotModified instead; here it is only what is left when there are none.
 */
export function errorResponse(error: OrcaError, context: ErrorContext): ErrorResponse {
  const { status } = errorTable[error.code];
  const headers = ["x-amz-request-id", context.requestId];
  if (error.code === "method_not_allowed") headers.push("Allow", "GET, HEAD");
  if (status === 503) headers.push("Retry-After", String(retryAfterSeconds(error)));
  if (error.code === "invalid_range" && context.objectSizeBytes !== undefined) {
    headers.push("Content-Range", `bytes */${context.objectSizeBytes}`);
  }
  if (context.isHead || status === 304) return { status, headers, body: "" };
  const body = errorXml(error, context);
  headers.push("Content-Type", "application/xml", "Content-Length", String(Buffer.byteLength(body)));
  return { status, headers, body };
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#RESTErrorResponses */
function errorXml(error: OrcaError, context: ErrorContext): string {
  const { requestId, bucket, key, objectSizeBytes } = context;
  const resource = bucket === "" ? "/" : key === "" ? `/${bucket}` : `/${bucket}/${key}`;
  return (
    xmlDeclaration +
    element(
      "Error",
      element("Code", errorTable[error.code].s3Code) +
        element("Message", escapeXml(clientMessage(error))) +
        (bucket === "" ? "" : element("BucketName", escapeXml(bucket))) +
        (key === "" ? "" : element("Key", escapeXml(key))) +
        (error.code === "invalid_range" && objectSizeBytes !== undefined
          ? element("ActualObjectSize", String(objectSizeBytes))
          : "") +
        element("Resource", escapeXml(resource)) +
        element("RequestId", escapeXml(requestId)),
    )
  );
}

function clientMessage(error: OrcaError): string {
  const isOwnWords = error.source === "client" || error.source === "edge";
  return isOwnWords && ownWordCodes.has(error.code) ? error.message : sentences[error.code];
}

/** What the client got wrong, and is told in the error's own words where the edge itself wrote them. */
const ownWordCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "invalid_argument",
  "invalid_uri",
  "invalid_request",
  "request_timeout",
  "key_too_long",
  "method_not_allowed",
  "not_implemented",
]);

const sentences: Readonly<Record<ErrorCode, string>> = {
  no_such_key: "The specified key does not exist.",
  no_such_bucket: "The specified bucket does not exist.",
  invalid_argument: "An argument of the request is not valid.",
  invalid_uri: "The specified URI could not be parsed.",
  invalid_request: "The request is not valid.",
  request_timeout: "The request did not arrive in time.",
  key_too_long: "The specified key is too long.",
  access_denied: "Access denied.",
  invalid_range: "The requested range is malformed or cannot be satisfied.",
  precondition_failed: "At least one of the preconditions you specified did not hold.",
  not_modified: "Not modified.",
  method_not_allowed: "The specified method is not allowed against this resource.",
  not_implemented: "The request asks for something that Orca does not implement.",
  overloaded: "Orca is overloaded. Reduce your request rate.",
  shutting_down: "This replica is shutting down. Try again.",
  origin_throttled: "The origin asks to slow down. Reduce your request rate.",
  origin_unavailable: "The origin could not be reached or did not answer.",
  origin_denied: "The origin refused Orca's credentials.",
  origin_etag_changed: "The object changed at the origin while it was being read. Try again.",
  origin_missing_etag: "The origin sent no ETag for the object, so it cannot be served.",
  origin_unsupported: "The origin holds an object of a kind that Orca does not serve.",
  peer_unavailable: "Orca met an internal error. Try again.",
  not_coordinator: "Orca met an internal error. Try again.",
  not_held: "Orca met an internal error. Try again.",
  store_unavailable: "Orca met an internal error. Try again.",
  store_denied: "Orca met an internal error. Try again.",
  config_invalid: "Orca met an internal error. Try again.",
  internal: "Orca met an internal error. Try again.",
};

/** Whole seconds (RFC 9110 §10.2.3): what the origin asked for, within reason, else one. */
function retryAfterSeconds(error: OrcaError): number {
  const asked = error.retryAfterSeconds ?? 1;
  return asked >= 1 ? Math.min(Math.ceil(asked), retryAfterSecondsMax) : 1;
}
