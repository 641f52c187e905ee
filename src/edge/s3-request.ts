/**
 * Parses method, target and host of a request into an S3 request. Nearly every request is a GET of `/bucket/key` in plain
 * ASCII, and at 30,000 requests a second a URL object would cost more than the rest of the edge. So the target is scanned
 * once, and decoded only if it holds something to decode.
 */
import { OrcaError } from "../base/orca-error.ts";
import { percentDecode } from "../base/percent-encoding.ts";
import { isVersionId } from "../chunk/version-id.ts";
import { keySizeBytesMax } from "../object/bucket.ts";
import { noOverrides, parseOverrides } from "./headers/response-overrides.ts";
import { type ListObjectsRequest, parseListRequest } from "./list-request.ts";
import { type BucketPageRequest, parseBucketPage } from "./listing/bucket-page.ts";
import { noPart, parsePartNumber } from "./parts/part-number.ts";
import { parseQuery, type Query } from "./query.ts";
import { quoted } from "./quoted.ts";
import {
  type SubResourceRequest,
  subResourceRequest,
  unservedSubResource,
} from "./sub-resources/sub-resource.ts";

interface ObjectRequestOf<Kind> {
  readonly kind: Kind;
  /** As the client names it. */
  readonly bucket: string;
  /** 1 to 1024 bytes of UTF-8, as the client wrote it: opaque and never normalised. */
  readonly key: string;
  /** Undefined for the current version. */
  readonly versionId: string | undefined;
  /** `response-content-type` and the like as a flat `[header name, value, …]`; nearly always empty. */
  readonly overrides: readonly string[];
  /** `?partNumber`, or {@link noPart}. */
  readonly partNumber: number;
}

/** Two members, not one with two kinds, so that narrowing by both kinds excludes the request. */
export type ObjectRequest = ObjectRequestOf<"get-object"> | ObjectRequestOf<"head-object">;

export interface BucketRequest {
  readonly kind: "head-bucket" | "get-bucket-location";
  readonly bucket: string;
}

export interface ListBucketsRequest {
  readonly kind: "list-buckets";
  /** Undefined for the whole list. */
  readonly page?: BucketPageRequest;
}

export interface RejectedRequest {
  readonly kind: "rejected";
  readonly error: OrcaError;
  /** Empty if the request was rejected before the bucket was known. */
  readonly bucket: string;
  readonly key: string;
}

export type S3Request =
  | ObjectRequest
  | BucketRequest
  | SubResourceRequest
  | ListBucketsRequest
  | ListObjectsRequest
  | RejectedRequest;

export type AcceptedRequest = Exclude<S3Request, RejectedRequest>;

/** A request that names a bucket. */
export type BucketedRequest = Exclude<AcceptedRequest, ListBucketsRequest>;

export interface S3RequestOptions {
  /** If set, `bucket.domain` in the Host names the bucket, and the domain itself is path-style. */
  readonly domain?: string | undefined;
}

const slash = 0x2f;
const questionMark = 0x3f;
const percent = 0x25;

/** Never throws. `rawUrl` and `host` are as node:http gives them; the bucket of the answer may or may not exist. */
export function parseS3Request(
  method: string,
  rawUrl: string,
  host: string | undefined,
  options: S3RequestOptions,
): S3Request {
  const isHead = method === "HEAD";
  if (method !== "GET" && !isHead) {
    const message = `Cannot serve ${quoted(method)}: Orca is read-only and serves GET and HEAD`;
    return rejected(new OrcaError("method_not_allowed", "client", message));
  }
  let target = rawUrl;
  let authority = host;
  if (rawUrl.charCodeAt(0) !== slash) {
    const absolute = targetOf(rawUrl);
    if (absolute === undefined) return invalidUri("the target");
    // RFC 9112 §3.2.2: the authority of an absolute target replaces the Host header.
    ({ target, authority } = absolute);
  }

  let bucketEnd = -1;
  let pathEnd = target.length;
  let isPlain = true;
  for (let index = 1; index < target.length; index += 1) {
    const code = target.charCodeAt(index);
    if (code === slash) {
      if (bucketEnd < 0) bucketEnd = index;
    } else if (code === questionMark) {
      pathEnd = index;
      break;
    } else if (code === percent || code <= 0x20 || code >= 0x7f) {
      isPlain = false;
    }
  }

  const hostBucket = options.domain === undefined ? "" : bucketOfHost(authority ?? "", options.domain);
  if (bucketEnd < 0) bucketEnd = pathEnd;
  let bucket: string | undefined = hostBucket === "" ? target.slice(1, bucketEnd) : hostBucket;
  let key: string | undefined = target.slice(hostBucket === "" ? bucketEnd + 1 : 1, pathEnd);
  if (!isPlain) {
    if (hostBucket === "") bucket = percentDecode(bucket);
    key = percentDecode(key);
    if (bucket === undefined || key === undefined) return invalidUri("the path");
  }

  if (bucket === "" && key === "") return parseListBuckets(target.slice(pathEnd + 1));
  if (!isBucketName(bucket)) {
    const message = `Cannot find bucket ${quoted(bucket)}: no bucket can have that name`;
    return rejected(new OrcaError("no_such_bucket", "client", message), bucket, key);
  }
  const rawQuery = target.slice(pathEnd + 1);
  return key === ""
    ? parseBucketRequest(isHead, bucket, rawQuery)
    : parseObjectRequest(isHead, bucket, key, rawQuery);
}

function parseListBuckets(rawQuery: string): S3Request {
  const query = parseQuery(rawQuery);
  if (query === undefined) return invalidUri("the query");
  const page = parseBucketPage(query);
  if (page instanceof OrcaError) return rejected(page);
  return { kind: "list-buckets", ...(page && { page }) };
}

interface AbsoluteTarget {
  /** Path and query. */
  readonly target: string;
  readonly authority: string;
}

/** A whole URL as target, as proxies get it. Undefined for anything else. */
export function targetOf(rawUrl: string): AbsoluteTarget | undefined {
  const absolute = /^https?:\/\/([^/?#@]+)(\/[^]*|\?[^]*|)$/i.exec(rawUrl);
  if (absolute === null) return undefined;
  const [, authority = "", rest = ""] = absolute;
  return { target: rest.startsWith("/") ? rest : `/${rest}`, authority };
}

/**
 * `my.bucket` of `My.Bucket.s3.example.com:8443` for the domain `s3.example.com`. Empty if the host is the domain itself,
 * an address or another name.
 */
function bucketOfHost(host: string, domain: string): string {
  const colon = host.lastIndexOf(":");
  // The dot of a full name: DNS and URL parsers keep it.
  const name = (colon < 0 ? host : host.slice(0, colon)).toLowerCase().replace(/\.$/, "");
  const suffix = domain.toLowerCase();
  const dot = name.length - suffix.length - 1;
  return dot > 0 && name.endsWith(suffix) && name[dot] === "." ? name.slice(0, dot) : "";
}

/** Wider than S3's rule for new buckets: a configured bucket may be a directory's name, or Azure's `$web`. */
function isBucketName(name: string): boolean {
  return /^(?!\.{1,2}$)[\w.$-]{1,255}$/.test(name);
}

/** A character of a string is at most three bytes of UTF-8, so most keys need not be looked at. */
function isKeyTooLong(key: string): boolean {
  return key.length * 3 > keySizeBytesMax && Buffer.byteLength(key) > keySizeBytesMax;
}

function parseObjectRequest(isHead: boolean, bucket: string, key: string, rawQuery: string): S3Request {
  const kind = isHead ? "head-object" : "get-object";
  if (isKeyTooLong(key)) {
    const message = `Cannot find ${quoted(key)}: a key is at most ${keySizeBytesMax} bytes long`;
    return rejected(new OrcaError("key_too_long", "client", message), bucket, key);
  }
  // The AWS SDKs append these to every GET and HEAD.
  if (rawQuery === "" || rawQuery === "x-id=GetObject" || rawQuery === "x-id=HeadObject") {
    return { kind, bucket, key, versionId: undefined, overrides: noOverrides, partNumber: noPart };
  }
  const query = parseQuery(rawQuery);
  if (query === undefined) return invalidUri("the query", bucket, key);
  const subResource = subResourceRequest(bucket, key, query);
  if (subResource) return subResource;
  const versionId = query.get("versionId");
  const fault = faultOfSubResource(query) ?? faultOfVersion(versionId);
  if (fault !== undefined) return rejected(fault, bucket, key);
  const partNumber = parsePartNumber(query.get("partNumber"));
  if (partNumber instanceof OrcaError) return rejected(partNumber, bucket, key);
  const overrides = parseOverrides(query);
  if (overrides instanceof OrcaError) return rejected(overrides, bucket, key);
  return { kind, bucket, key, versionId, overrides, partNumber };
}

function parseBucketRequest(isHead: boolean, bucket: string, rawQuery: string): S3Request {
  const query = parseQuery(rawQuery);
  if (query === undefined) return invalidUri("the query", bucket);
  const subResource = subResourceRequest(bucket, "", query);
  if (subResource) return subResource;
  const fault = faultOfSubResource(query, listsVersions);
  if (fault !== undefined) return rejected(fault, bucket);
  if (query.has("location")) return { kind: "get-bucket-location", bucket };
  if (isHead) return { kind: "head-bucket", bucket };

  if (query.has(listsVersions)) {
    const list = parseListRequest("list-object-versions", bucket, query);
    return list instanceof OrcaError ? rejected(list, bucket) : list;
  }
  const listType = query.get("list-type");
  if (listType !== undefined && listType !== "2") {
    const message = `Cannot list objects: list-type ${quoted(listType)} is not "2"`;
    return rejected(new OrcaError("invalid_argument", "client", message), bucket);
  }
  const kind = listType === undefined ? "list-objects-v1" : "list-objects-v2";
  const list = parseListRequest(kind, bucket, query);
  return list instanceof OrcaError ? rejected(list, bucket) : list;
}

/** Of a bucket, and of no object. */
const listsVersions = "versions";

/** `served` is one of them that is answered. */
function faultOfSubResource(query: Query, served = ""): OrcaError | undefined {
  const name = unservedSubResource(query, served);
  return name === undefined ? undefined : notImplemented(`?${name}`, "Orca serves objects and listings only");
}

/** Only the origin knows more of version ids than their form. */
function faultOfVersion(versionId: string | undefined): OrcaError | undefined {
  if (versionId === undefined || isVersionId(versionId)) return undefined;
  const reason = versionId === "" ? "Version id cannot be the empty string" : "Invalid version id specified";
  return new OrcaError("invalid_version_id", "client", reason);
}

function notImplemented(what: string, reason: string): OrcaError {
  return new OrcaError("not_implemented", "client", `Cannot serve ${what}: ${reason}`);
}

/** The message quotes nothing of the target, which may hold a presigned signature: messages are logged. */
function invalidUri(part: string, bucket = "", key = ""): RejectedRequest {
  const message = `Cannot read ${part} of the request: it is not percent-encoded UTF-8 in the form HTTP defines`;
  return rejected(new OrcaError("invalid_uri", "client", message), bucket, key);
}

function rejected(error: OrcaError, bucket = "", key = ""): RejectedRequest {
  return { kind: "rejected", error, bucket, key };
}
