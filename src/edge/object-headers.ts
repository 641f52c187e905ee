/**
 * The headers of an object's responses. Most are the same for every response of one version, so they are laid out once, as
 * the lines that are sent (headers/header-lines.ts). A response adds its own. The origin's checksums cover the whole object,
 * so only a whole object has them: a client would compare them with the range that it received.
 */
import { ownText } from "../object/heap-text.ts";
import type { Staleness } from "../object/object-record.ts";
import type { ObjectHead } from "../origin/origin.ts";
import { encodeHeaderWord, isHeaderName, isHeaderValue } from "./header-value.ts";
import { staleCacheStatus } from "./headers/cache-status.ts";
import { flatOf, linesOf } from "./headers/header-lines.ts";
import { formatHttpDate } from "./http-date.ts";
import type { SatisfiableRange } from "./range.ts";

/** S3's Content-Type for an object without one. */
const defaultContentType = "binary/octet-stream";

export class ObjectHeaders {
  readonly #sizeText: string;
  readonly #stale: Staleness | undefined;
  /** Of every 200 and 206. Those of a 304 (RFC 9110 §15.4.5) come first. */
  readonly #common: string;
  readonly #validatorsLength: number;
  /** Of a 200 to a request with `x-amz-checksum-mode: ENABLED`. */
  readonly #checksums: string;

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

    const common = ["Accept-Ranges", "bytes"];
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
    const validatorLines = linesOf(validators);
    this.#validatorsLength = validatorLines.length;
    this.#common = ownText(validatorLines + linesOf(common));

    this.#checksums = head.checksums ? ownText(linesOf(checksumHeaders(head.checksums))) : "";
  }

  /** Characters that are kept for the next response. */
  get length(): number {
    return this.#common.length + this.#checksums.length;
  }

  /**
   * The header lines of a 200 (`whole`) or a 206 (`range`), for GET and HEAD alike. `range` must lie inside the object.
   * `overrides` is a flat list of headers that replace the object's own. `checksumMode` is what the client sent as
   * `x-amz-checksum-mode`.
   */
  forBody(
    range: SatisfiableRange,
    requestId: string,
    cacheStatus: string,
    overrides: readonly string[],
    checksumMode?: string | string[],
  ): string {
    const status = this.#stale ? staleCacheStatus(this.#stale, cacheStatus) : cacheStatus;
    const common = overrides.length === 0 ? this.#common : overridden(this.#common, overrides);
    const ids = `x-amz-request-id: ${requestId}\r\nCache-Status: ${status}\r\n`;
    if (range.kind === "whole") {
      const lines = `${common}Content-Length: ${this.#sizeText}\r\n${ids}`;
      if (checksumMode === undefined || !/^enabled$/i.test(String(checksumMode))) return lines;
      return lines + this.#checksums;
    }
    const { start, end, partsCount } = range;
    const place = `bytes ${start}-${end - 1}/${this.#sizeText}`;
    const lines = `${common}Content-Length: ${end - start}\r\nContent-Range: ${place}\r\n${ids}`;
    return partsCount === undefined ? lines : `${lines}x-amz-mp-parts-count: ${partsCount}\r\n`;
  }

  /** The header lines of a 304. */
  forNotModified(requestId: string, cacheStatus: string): string {
    const status = this.#stale ? staleCacheStatus(this.#stale, cacheStatus) : cacheStatus;
    const validators = this.#common.slice(0, this.#validatorsLength);
    return `${validators}x-amz-request-id: ${requestId}\r\nCache-Status: ${status}\r\n`;
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
function overridden(common: string, overrides: readonly string[]): string {
  const kept: string[] = [...overrides, "X-Content-Type-Options", "nosniff"];
  const headers = flatOf(common);
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    if (!isNameIn(overrides, name)) kept.push(name, headers[index + 1] as string);
  }
  return linesOf(kept);
}

function isNameIn(headers: readonly string[], name: string): boolean {
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] === name) return true;
  }
  return false;
}
