/**
 * An OrcaError as an S3 client sees it. A client receives an error's own message only for its own mistakes. Otherwise it
 * receives the fixed sentence of the error table, because a message from below may name hosts, paths and accounts that
 * are not the client's business. The log has the message, under the same request id.
 */
import { errorTable } from "../base/error-table.ts";
import type { OrcaError } from "../base/orca-error.ts";

import { Absence } from "../object/versions/absence.ts";
import { type ErrorElement, ExplainedError } from "./errors/explained-error.ts";
import { deleteMarkerHeaders, versionElements } from "./headers/delete-marker.ts";
import { element, escapeXml, xmlDeclaration } from "./xml.ts";

export interface ErrorContext {
  readonly requestId: string;
  /** @see S3ListenerOptions.hostId */
  readonly hostId: string;
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
  /** S3 XML, or empty if the answer has no body. */
  readonly body: string;
}

const retryAfterSecondsMax = 3600;

/**
 * The answer to a request that failed before its first byte was sent. A 304 gets the validators of its object from
 * ObjectHeaders.forNotModified; this one is for a 304 without an object.
 */
export function errorResponse(error: OrcaError, context: ErrorContext): ErrorResponse {
  const { status, retryAfter } = errorTable[error.code];
  const headers = ["x-amz-request-id", context.requestId, "x-amz-id-2", context.hostId];
  if (error.code === "method_not_allowed") headers.push("Allow", "GET, HEAD");
  if (error instanceof Absence) headers.push(...deleteMarkerHeaders(error));
  if (retryAfter) headers.push("Retry-After", String(retryAfterSeconds(error)));
  if (error.code === "invalid_range" && context.objectSizeBytes !== undefined) {
    headers.push("Content-Range", `bytes */${context.objectSizeBytes}`);
  }
  if (context.isHead || status === 304) return { status, headers, body: "" };
  return withBody(status, headers, errorXml(error, context));
}

/** An answer of the origin that is passed on. */
export interface RelayedError {
  readonly status: number;
  readonly s3Code: string;
  /** As it stands in the origin's XML. */
  readonly messageXml: string;
}

/** The origin's status, code and message, under Orca's own names and ids. */
export function relayedErrorResponse(error: RelayedError, context: ErrorContext): ErrorResponse {
  const { status, s3Code, messageXml } = error;
  const headers = ["x-amz-request-id", context.requestId, "x-amz-id-2", context.hostId];
  if (context.isHead) return { status, headers, body: "" };
  return withBody(status, headers, documentOf(s3Code, messageXml, "", context));
}

function withBody(status: number, headers: string[], body: string): ErrorResponse {
  headers.push("Content-Type", "application/xml", "Content-Length", String(Buffer.byteLength(body)));
  return { status, headers, body };
}

function errorXml(error: OrcaError, context: ErrorContext): string {
  const { objectSizeBytes } = context;
  const size =
    error.code === "invalid_range" && objectSizeBytes !== undefined
      ? element("ActualObjectSize", String(objectSizeBytes))
      : "";
  const explained = error instanceof ExplainedError ? error.elements : [];
  const details = size + elementsOf(error instanceof Absence ? versionElements(error) : explained);
  return documentOf(errorTable[error.code].s3Code, escapeXml(messageFor(error)), details, context);
}

/**
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#RESTErrorResponses
 * `messageXml` is escaped text, `details` are elements.
 */
function documentOf(s3Code: string, messageXml: string, details: string, context: ErrorContext): string {
  const { requestId, hostId, bucket, key } = context;
  const resource = bucket === "" ? "/" : key === "" ? `/${bucket}` : `/${bucket}/${key}`;
  return (
    xmlDeclaration +
    element(
      "Error",
      element("Code", s3Code) +
        element("Message", messageXml) +
        (bucket === "" ? "" : element("BucketName", escapeXml(bucket))) +
        (key === "" ? "" : element("Key", escapeXml(key))) +
        details +
        element("Resource", escapeXml(resource)) +
        element("RequestId", escapeXml(requestId)) +
        element("HostId", escapeXml(hostId)),
    )
  );
}

function elementsOf(elements: readonly ErrorElement[]): string {
  return elements.map(([name, text]) => element(name, escapeXml(text))).join("");
}

function messageFor(error: OrcaError): string {
  const { ownMessage, clientMessage } = errorTable[error.code];
  const isOurs = error.source === "client" || error.source === "edge";
  return ownMessage && isOurs ? error.message : clientMessage;
}

/** Whole seconds (RFC 9110 §10.2.3): what the origin asked for, within reason, else one. */
function retryAfterSeconds(error: OrcaError): number {
  const asked = error.retryAfterSeconds ?? 1;
  return asked >= 1 ? Math.min(Math.ceil(asked), retryAfterSecondsMax) : 1;
}
