/**
 * The headers of an object's responses. Most are the same for every response of one version, so they are laid out once,
 * in the flat `[name, value, …]` form that `ServerResponse.writeHead` sends as it is. A response copies that array and
 * adds its own. The origin's checksums cover the whole object, so only a whole object has them: a client would compare them
 * with the range that it received.
 */
import type { Staleness } from "../object/object-record.ts";
import type { ObjectHead } from "../origin/origin.ts";
import { encodeHeaderWord, isHeaderName, isHeaderValue } from "./header-value.ts";
import { staleCacheStatus } from "./headers/cache-status.ts";
import { formatHttpDate } from "./http-date.ts";
import type { SatisfiableRange } from "./range.ts";

/** S3's Content-Type for an object without one. */
const defaultContentType = "binary/octet-stream";

const noHeaders: readonly string[] = [];

export class ObjectHeaders {
  readonly #sizeText: string;
  readonly #stale: Staleness | undefined;
  /** Of every 200 and 206. */
  readonly #common: readonly string[];
  /** Of a 304 (RFC 9110 §15.4.5). */
  readonly #validators: readonly string[];
  /** Of a 200 to a request with `x-amz-checksum-mode: ENABLED`. */
  readonly #checksums: readonly string[];

  /**
   * @param hostId @see S3ListenerOptions.hostId
   * @param stale of an answer that has expired: its responses say so (RFC 9111 §5.1, RFC 9211).
   */
  constructor(head: ObjectHead, hostId: string, stale?: Staleness) {
    this.#stale = stale;
    this.#sizeText = String(head.sizeBytes);
    const validators: string[] = [];
    append(validators, "ETag", `"${head.etag}"`);
    append(validators, "Last-Modified", formatHttpDate(head.lastModifiedMs));
    append(validators, "Cache-Control", head.cacheControl);
    append(validators, "Expires", head.expires);
    append(validators, "x-amz-id-2", hostId);
    if (stale) append(validators, "Age", String(Math.ceil(stale.ageMs / 1000)));
    this.#validators = validators;

    const common = [...validators, "Accept-Ranges", "bytes"];
    const contentType = head.contentType ?? "";
    const isSendable = contentType !== "" && isHeaderValue(contentType);
    append(common, "Content-Type", isSendable ? contentType : defaultContentType);
    append(common, "Content-Encoding", head.contentEncoding);
    append(common, "Content-Language", head.contentLanguage);
    append(common, "Content-Disposition", head.contentDisposition);
    append(common, "x-amz-version-id", head.versionId);
    append(common, "x-amz-storage-class", head.storageClass);
    append(common, "x-amz-restore", head.restore);
    append(common, "x-amz-archive-status", head.archiveStatus);
    append(common, "x-amz-website-redirect-location", head.websiteRedirectLocation);
    appendMetadata(common, head.metadata);
    this.#common = common;

    this.#checksums = head.checksums ? checksumHeaders(head.checksums) : noHeaders;
  }

  /**
   * Headers of a 200 (`whole`) or a 206 (`range`), for GET and HEAD alike. `range` must lie inside the object.
   * `overrides` is a flat list of headers that replace the object's own. `checksumMode` is what the client sent as
   * `x-amz-checksum-mode`.
   */
  forBody(
    range: SatisfiableRange,
    requestId: string,
    cacheStatus: string,
    overrides: readonly string[],
    checksumMode?: string | string[],
  ): string[] {
    const status = this.#stale ? staleCacheStatus(this.#stale, cacheStatus) : cacheStatus;
    const headers = overrides.length === 0 ? this.#common.slice() : overridden(this.#common, overrides);
    if (range.kind === "whole") {
      headers.push("Content-Length", this.#sizeText, "x-amz-request-id", requestId, "Cache-Status", status);
      if (checksumMode !== undefined && /^enabled$/i.test(String(checksumMode)))
        headers.push(...this.#checksums);
      return headers;
    }
    headers.push(
      "Content-Length",
      String(range.end - range.start),
      "Content-Range",
      `bytes ${range.start}-${range.end - 1}/${this.#sizeText}`,
      "x-amz-request-id",
      requestId,
      "Cache-Status",
      status,
    );
    if (range.partsCount !== undefined) headers.push("x-amz-mp-parts-count", String(range.partsCount));
    return headers;
  }

  /** Of a 304. */
  forNotModified(requestId: string, cacheStatus: string): string[] {
    const status = this.#stale ? staleCacheStatus(this.#stale, cacheStatus) : cacheStatus;
    return [...this.#validators, "x-amz-request-id", requestId, "Cache-Status", status];
  }
}

function checksumHeaders(checksums: Readonly<Record<string, string>>): readonly string[] {
  const headers: string[] = [];
  for (const [name, value] of Object.entries(checksums)) if (isHeaderName(name)) append(headers, name, value);
  return headers;
}

/** Leaves out empty values and values that node:http would reject. */
function append(headers: string[], name: string, value: string | undefined): void {
  if (value !== undefined && value !== "" && isHeaderValue(value)) headers.push(name, value);
}

/**
 * As in S3, a value that a header cannot hold is encoded, and a name that a header cannot have is left out and counted
 * (`x-amz-missing-meta`). ISO-8859-1 passes unchanged: node:http delivers an origin's raw bytes in it, so the client
 * receives exactly the bytes that the origin sent.
 */
function appendMetadata(headers: string[], metadata: Readonly<Record<string, string>>): void {
  let missing = 0;
  for (const [name, value] of Object.entries(metadata)) {
    if (isHeaderName(name)) {
      headers.push(`x-amz-meta-${name}`, isHeaderValue(value) ? value : encodeHeaderWord(value));
    } else {
      missing += 1;
    }
  }
  if (missing > 0) headers.push("x-amz-missing-meta", String(missing));
}

/** The author of a link chose its type: a browser must not guess another one, such as HTML, from the bytes. */
function overridden(headers: readonly string[], overrides: readonly string[]): string[] {
  const kept: string[] = [...overrides, "X-Content-Type-Options", "nosniff"];
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    if (!isNameIn(overrides, name)) kept.push(name, headers[index + 1] as string);
  }
  return kept;
}

function isNameIn(headers: readonly string[], name: string): boolean {
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] === name) return true;
  }
  return false;
}
