/**
 * Objects over HTTP, as in S3 and Azure Blob: the headers of a pinned range, the checks of its answer before any byte is
 * accepted, and the metadata of a HEAD. An origin that ignores a header must not deliver wrong bytes.
 */
import { OrcaError } from "../base/orca-error.ts";
import { contentCodingOf } from "../chunk/content-coding.ts";
import { etagBytesMax, etagFault } from "../chunk/etag.ts";
import { usableDateMs } from "../chunk/object-date.ts";
import type { ResponseHead } from "../http-client/response-head.ts";
import type { TraceContexts } from "../trace/trace-contexts.ts";
import type { ObjectHead, RangeRequest } from "./origin.ts";

/** The names in which the two dialects differ. */
export interface ObjectDialect {
  readonly metadataPrefix: string;
  readonly versionHeader: string;
  /** By default as S3 names it. */
  readonly storageOf?: (headers: ReadonlyMap<string, string>) => ObjectStorage;
}

/** Whether the bytes of an object can be read, in the words of S3. */
export type ObjectStorage = Pick<ObjectHead, "storageClass" | "restore" | "archiveStatus">;

/**
 * The `User-Agent` of a request to an origin, with the id of the client's request. It is the one header for this that all
 * origins take and write into their own logs. Signatures leave it out: SigV4 because proxies change it, and Azure's
 * because it covers only headers that it names. A header of Orca's own could be refused, and a proxy that removed it
 * would break a signature over it.
 */
export function userAgentHeaders(requestId: string | undefined): { readonly "user-agent"?: string } {
  if (requestId === undefined) return {};
  // RFC 9110 §5.6.5: these characters are escaped in a comment. A peer may have chosen the id.
  return { "user-agent": `orca (request ${requestId.replaceAll(/[()\\]/g, "\\$&")})` };
}

/**
 * The headers that name the client's request to an origin, none of which a signature covers: the id, and the context of the
 * client's trace where it sent one.
 */
export function askerHeaders(
  requestId: string | undefined,
  traceContexts: TraceContexts | undefined,
): Readonly<Record<string, string>> {
  return { ...userAgentHeaders(requestId), ...traceContexts?.headers(requestId) };
}

export function rangeHeaders(request: RangeRequest): { readonly range: string; readonly "if-match": string } {
  const last = request.offset + request.lengthBytes - 1;
  return { range: `bytes=${request.offset}-${last}`, "if-match": `"${request.etag}"` };
}

/** The ETag without quotes. Undefined if it cannot identify bytes: absent, weak, or not of use (etag.ts). */
export function strongEtag(header: string | undefined): string | undefined {
  if (header === undefined || header.startsWith("W/")) return undefined;
  const etag = header.startsWith('"') && header.endsWith('"') ? header.slice(1, -1) : header;
  return etagFault(etag) === undefined ? etag : undefined;
}

/**
 * Checks that a 2xx answer announces exactly the bytes of `request`.
 * @throws OrcaError origin_etag_changed, origin_missing_etag, origin_unsupported (the origin ignores ranges, or encodes
 *   the bytes otherwise than its metadata says) or
 *   origin_unavailable (any other inconsistency; another attempt may succeed).
 */
export function checkRangeResponse(head: ResponseHead, request: RangeRequest, action: string): void {
  const fail = (code: "origin_unavailable" | "origin_unsupported", reason: string): never => {
    throw new OrcaError(code, "origin", `${action}: ${reason}`);
  };
  checkEtag(head, request.etag, action);
  const contentEncoding = head.headers.get("content-encoding");
  if (request.contentCoding !== undefined && contentCodingOf(contentEncoding) !== request.contentCoding) {
    const said = `the object's metadata says "${request.contentCoding}"`;
    fail("origin_unsupported", `the bytes came with Content-Encoding "${contentEncoding ?? ""}", ${said}`);
  }
  const { offset, lengthBytes, objectSizeBytes } = request;
  const isWhole = lengthBytes === objectSizeBytes;
  if (head.status === 206) {
    const expected = `bytes ${offset}-${offset + lengthBytes - 1}/${objectSizeBytes}`;
    const received = head.headers.get("content-range");
    if (received !== expected)
      fail("origin_unavailable", `expected Content-Range "${expected}", received "${received}"`);
  } else if (head.status !== 200 || !isWhole) {
    fail("origin_unsupported", `the origin answered ${head.status} to a range`);
  }
  if (head.contentLength !== lengthBytes) {
    fail("origin_unavailable", `expected ${lengthBytes} bytes, the origin announced ${head.contentLength}`);
  }
}

/** A time in a listing, cut to whole seconds, like the Last-Modified of the same object. */
export function wholeSeconds(date: string): number | undefined {
  return usableDateMs(Math.floor(Date.parse(date) / 1000) * 1000);
}

/** @throws OrcaError origin_etag_changed, origin_missing_etag. */
export function checkEtag(head: ResponseHead, pinnedEtag: string, action: string): void {
  const etag = strongEtag(head.headers.get("etag"));
  if (etag === pinnedEtag) return;
  if (etag !== undefined) {
    throw new OrcaError("origin_etag_changed", "origin", `${action}: the object is another version now`);
  }
  throw new OrcaError(
    "origin_missing_etag",
    "origin",
    `${action}: the bytes came without an ETag that Orca can use`,
  );
}

/**
 * The metadata in a 200 to a HEAD, or in another answer whose object has `sizeBytes`.
 * @throws OrcaError origin_missing_etag; origin_unsupported if the size is missing.
 */
export function objectHeadOf(
  head: ResponseHead,
  dialect: ObjectDialect,
  action: string,
  sizeBytes = head.contentLength,
): ObjectHead {
  const { headers } = head;
  const etag = strongEtag(headers.get("etag"));
  if (etag === undefined) {
    const expected = `a strong one, without control characters, of at most ${etagBytesMax} bytes`;
    const message = `${action}: the origin gave no ETag that Orca can use (${expected})`;
    throw new OrcaError("origin_missing_etag", "origin", message);
  }
  if (sizeBytes === undefined) {
    throw new OrcaError("origin_unsupported", "origin", `${action}: the origin gave no Content-Length`);
  }
  return {
    sizeBytes,
    etag,
    lastModifiedMs: usableDateMs(Date.parse(headers.get("last-modified") ?? "")),
    contentType: headers.get("content-type"),
    contentEncoding: headers.get("content-encoding"),
    contentLanguage: headers.get("content-language"),
    contentDisposition: headers.get("content-disposition"),
    cacheControl: headers.get("cache-control"),
    expires: headers.get("expires"),
    versionId: headers.get(dialect.versionHeader),
    ...(dialect.storageOf ?? storageOf)(headers),
    // Azure has none.
    websiteRedirectLocation: headers.get("x-amz-website-redirect-location"),
    ...checksumsOf(headers),
    metadata: metadataOf(headers, dialect.metadataPrefix),
  };
}

function storageOf(headers: ReadonlyMap<string, string>): ObjectStorage {
  const storageClass = headers.get("x-amz-storage-class");
  const restore = headers.get("x-amz-restore");
  const archiveStatus = headers.get("x-amz-archive-status");
  return {
    storageClass,
    ...(restore !== undefined && { restore }),
    ...(archiveStatus !== undefined && { archiveStatus }),
  };
}

/** Whether a header tells a checksum of an object, or its kind. */
export function isChecksumHeader(name: string): boolean {
  return /^x-amz-checksum-[\w-]+$/.test(name);
}

/** Of S3 alone, and only of a HEAD that asks for them. */
function checksumsOf(headers: ReadonlyMap<string, string>): Pick<ObjectHead, "checksums"> {
  const found = [...headers].filter(([name]) => isChecksumHeader(name));
  return found.length === 0 ? {} : { checksums: Object.fromEntries(found) };
}

function metadataOf(headers: ReadonlyMap<string, string>, prefix: string): Readonly<Record<string, string>> {
  const entries: [string, string][] = [];
  for (const [name, value] of headers) {
    if (name.startsWith(prefix) && name.length > prefix.length)
      entries.push([name.slice(prefix.length), value]);
  }
  // Not assigned one by one: an uploader may choose the name `__proto__`.
  return Object.fromEntries(entries);
}
