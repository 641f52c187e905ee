/**
 * The headers of an object's responses. All but a few are the same for every response of one version, so they are laid
 * out once, in the flat `[name, value, …]` form that `ServerResponse.writeHead` takes without touching it again; a
 * response copies that array and adds what is its own. Checksum headers of the origin are never among them: they are of
 * the whole object, and clients would check the range they got against them.
 */
import type { ObjectHead } from "../origin/origin.ts";
import { encodeHeaderWord, isHeaderName, isHeaderValue } from "./header-value.ts";
import { formatHttpDate } from "./http-date.ts";
import type { SatisfiableRange } from "./range.ts";

/** What S3 says where nobody said anything. */
const defaultContentType = "binary/octet-stream";

export class ObjectHeaders {
  readonly #sizeText: string;
  /** Of every 200 and 206. */
  readonly #common: readonly string[];
  /** Of a 304 (RFC 9110 §15.4.5). */
  readonly #validators: readonly string[];

  constructor(head: ObjectHead) {
    this.#sizeText = String(head.sizeBytes);
    const validators: string[] = [];
    append(validators, "ETag", `"${head.etag}"`);
    append(validators, "Last-Modified", formatHttpDate(head.lastModifiedMs));
    append(validators, "Cache-Control", head.cacheControl);
    append(validators, "Expires", head.expires);
    this.#validators = validators;

    const common = [...validators, "Accept-Ranges", "bytes"];
    const contentType = head.contentType ?? "";
    const isSendable = contentType !== "" && isHeaderValue(contentType);
    append(common, "Content-Type", isSendable ? contentType : defaultContentType);
    append(common, "Content-Encoding", head.contentEncoding);
    append(common, "Content-Language", head.contentLanguage);
    append(common, "Content-Disposition", head.contentDisposition);
    append(common, "x-amz-version-id", head.versionId);
    appendMetadata(common, head.metadata);
    this.#common = common;
  }

  /**
   * Of a 200 for `whole` and of a 206 for `range`, with a body (GET) or as if there were one (HEAD). `range` must lie
   * inside the object. `overrides` is a flat list of headers that take the place of the object's own.
   */
  forBody(
    range: SatisfiableRange,
    requestId: string,
    cacheStatus: string,
    overrides: readonly string[],
  ): string[] {
    const headers = overrides.length === 0 ? this.#common.slice() : overridden(this.#common, overrides);
    if (range.kind === "whole") {
      headers.push(
        "Content-Length",
        this.#sizeText,
        "x-amz-request-id",
        requestId,
        "Cache-Status",
        cacheStatus,
      );
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
      cacheStatus,
    );
    return headers;
  }

  /** Of a 304. */
  forNotModified(requestId: string, cacheStatus: string): string[] {
    return [...this.#validators, "x-amz-request-id", requestId, "Cache-Status", cacheStatus];
  }
}

/** Leaves out what is empty and what node:http would refuse. */
function append(headers: string[], name: string, value: string | undefined): void {
  if (value !== undefined && value !== "" && isHeaderValue(value)) headers.push(name, value);
}

/**
 * A value that a header cannot hold is encoded, a name that a header cannot have is left out and counted, both as S3
 * does (`x-amz-missing-meta`). ISO-8859-1 goes as it came: it is how node:http hands over an origin's raw bytes, so the
 * client reads the very bytes that the origin sent.
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

function overridden(headers: readonly string[], overrides: readonly string[]): string[] {
  const kept: string[] = [...overrides];
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
