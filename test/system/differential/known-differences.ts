/**
 * Each difference between Ceph RGW and Orca that is meant to be, with its reason: RGW departs from AWS or from RFC 9110, or
 * the read is not one of a read-only cache. A difference that no row covers fails the suite.
 */
import type { Difference } from "./answer.ts";
import { bucketQueries, objects, type Read } from "./reads.ts";

export interface KnownDifference {
  readonly name: string;
  readonly reason: string;
  readonly covers: (read: Read, difference: Difference) => boolean;
}

const header = (name: string, value: RegExp) => (read: Read) => value.test(read.headers[name] ?? "");
const hasQuery =
  (...names: string[]) =>
  (read: Read): boolean =>
    names.some((name) => read.query[name] !== undefined);
const isList = ({ key, bucket, query }: Read): boolean =>
  key === undefined && bucket !== "" && Object.keys(query).every((name) => !subresources.has(name));
/** @param change `<what RGW answers> <what Orca answers>`. */
const status =
  (change: RegExp) =>
  ({ what, store, orca }: Difference): boolean =>
    what === "status" && change.test(`${store} ${orca}`);
const about =
  (what: RegExp) =>
  (difference: Difference): boolean =>
    what.test(difference.what);

const subresources = new Set([...bucketQueries, "attributes"]);

function row(
  name: string,
  isRead: (read: Read) => boolean,
  isDifference: (difference: Difference) => boolean,
  reason: string,
): KnownDifference {
  return { name, reason, covers: (read, difference) => isRead(read) && isDifference(difference) };
}

const ranges: readonly KnownDifference[] = [
  row(
    "Content-Range of a 416",
    header("range", /./),
    ({ what, store }) => what === "content-range" && store === "none",
    "RFC 9110 asks for the size of the object. RGW does not tell it.",
  ),
  row(
    "malformed range, or several",
    header("range", /^(?:bytes=(?:-0|a-b|-|3-0|0-1,3-4)|0-1)$/),
    status(/^(?:206|200|416) (?:200|416)$/),
    "RGW sends 206 with some bytes for `bytes=-0`, for `bytes=a-b` and for several ranges.",
  ),
  row(
    "range of an empty object",
    header("range", /./),
    status(/^416 200$/),
    "RGW has 416 for each range of an empty object, also for one that S3 ignores.",
  ),
  row(
    "range of another unit, or of none",
    header("range", /^(?:items=|0-1$)/),
    about(/^(?:status|content-range)$/),
    "RFC 9110 and AWS ignore it. RGW sends the whole object with a Content-Range.",
  ),
  row(
    "If-Range",
    header("if-range", /./),
    status(/^206 200$/),
    "RGW ignores If-Range. Orca follows RFC 9110.",
  ),
];

const conditions: readonly KnownDifference[] = [
  row(
    "If-Match or If-None-Match with `*`",
    (read) => read.headers["if-match"] === "*" || read.headers["if-none-match"] === "*",
    status(/^(?:412 200|200 304)$/),
    "RFC 9110: `*` matches each ETag. RGW compares it as text.",
  ),
  row(
    "headers of a 304",
    (read) => read.headers["if-none-match"] !== undefined || read.headers["if-modified-since"] !== undefined,
    ({ what, store }) => /^(?:etag|last-modified|cache-control|expires)$/.test(what) && store === "none",
    "RFC 9110 asks for ETag, Cache-Control and Expires. RGW sends none.",
  ),
  row(
    "If-Modified-Since that is no date",
    header("if-modified-since", /^yesterday$/),
    status(/^400 200$/),
    "RFC 9110: a date that cannot be read is ignored. RGW has 400.",
  ),
  row(
    "If-Modified-Since in the future",
    header("if-modified-since", /2100/),
    status(/^304 (?:200|206)$/),
    "RFC 9110 and AWS ignore an If-Modified-Since in the future. RGW has 304.",
  ),
];

const queries: readonly KnownDifference[] = [
  row(
    "partNumber that is no number from 1 to 10,000",
    (read) => hasQuery("partNumber")(read) && !/^[1-9]\d{0,3}$|^10000$/.test(read.query["partNumber"] ?? ""),
    status(/^(?:200|206|404) 400$/),
    "RGW 16 ignores `partNumber`. AWS has 400 InvalidArgument.",
  ),
  row(
    "partNumber beside a Range",
    (read) => hasQuery("partNumber")(read) && header("range", /./)(read),
    status(/^(?:200|206|404|416) 400$/),
    "RGW 16 ignores `partNumber`. AWS has 400 InvalidRequest.",
  ),
  row(
    "partNumber of an object from one PUT",
    (read) => hasQuery("partNumber")(read) && read.key !== objects.multipart,
    ({ what, store, orca }) =>
      (what === "status" && /^200 (?:206|416)$/.test(`${store} ${orca}`)) ||
      (what === "content-range" && store === "none"),
    "RGW 16 ignores `partNumber`. AWS has 206 for part 1, which is the whole, and 416 for others.",
  ),
  row(
    "partNumber from 2 on of an object in parts",
    (read) => hasQuery("partNumber")(read) && read.key === objects.multipart,
    status(/^200 501$/),
    "RGW 16 ignores `partNumber` and sends the whole object. Orca does so for part 1 and guesses no other part.",
  ),
  row(
    "unknown versionId",
    hasQuery("versionId"),
    ({ what, store, orca }) => what === "code" && store === "NoSuchKey" && orca === "NoSuchVersion",
    "AWS has NoSuchVersion. RGW has NoSuchKey for a version that does not exist, and for that of a delete marker.",
  ),
  row(
    "response-* without a signature",
    (read) => read.who === "nobody" && hasQuery("response-content-type")(read),
    about(/./),
    "AWS has 400. RGW sends a 200 and a 400 in one.",
  ),
  row(
    "sub-resources that RGW ignores",
    hasQuery("attributes", "encryption", "torrent"),
    status(/^(?:200|400|403|404) (?:403|501)$/),
    "RGW 16 answers with the object or the listing. Orca sends neither for them.",
  ),
  row(
    "HEAD of a sub-resource",
    (read) =>
      read.method === "HEAD" && hasQuery("acl", "tagging", "retention", "legal-hold", "attributes")(read),
    about(/./),
    "Orca answers HEAD as GET, without the body. RGW answers some of them with the head of the object.",
  ),
  row(
    "uploads and versions",
    hasQuery("uploads", "versions"),
    status(/^(?:200|403) 501$/),
    "Unfinished uploads are no business of a read-only cache, and Orca serves the current version only.",
  ),
];

const lists: readonly KnownDifference[] = [
  row(
    "fractions of a second in a list",
    isList,
    ({ what, store, orca }) =>
      what.endsWith("<LastModified>") && store.replace(/\.\d+Z$/, "") === orca.replace(/\.\d+Z$/, ""),
    "AWS has whole seconds, with `.000Z`. RGW tells the milliseconds.",
  ),
  row("`Type` in a list", isList, about(/<Type>$/), "RGW's own element. AWS has none."),
  row(
    "`NextMarker` without a delimiter",
    (read) => isList(read) && !hasQuery("delimiter")(read),
    about(/^<NextMarker>$/),
    "AWS sends it only with a delimiter. Otherwise the last key is the marker.",
  ),
  row(
    "encoding-type=url",
    (read) => read.query["encoding-type"] === "url",
    ({ what, store, orca }) =>
      /<(?:Key|Prefix|Delimiter|Marker|StartAfter)>$/.test(what) && decoded(store) === decoded(orca),
    "AWS leaves slashes as they are and encodes the prefix. RGW does the opposite. Both mean the same keys.",
  ),
  row(
    "key markers with encoding-type=url",
    (read) => hasQuery("versions")(read) && read.query["encoding-type"] === "url",
    ({ what, store, orca }) => /^<(?:Next)?KeyMarker>$/.test(what) && store === decoded(orca),
    "AWS encodes KeyMarker and NextKeyMarker. RGW does not.",
  ),
  row(
    "start-after beside a continuation token",
    (read) => hasQuery("start-after")(read) && hasQuery("continuation-token")(read),
    about(/^<StartAfter>$/),
    "AWS tells a key to start after only where it has counted. RGW repeats it on each page.",
  ),
  row(
    "empty start-after",
    (read) => read.query["start-after"] === "",
    about(/^<StartAfter>$/),
    "RGW repeats an empty start-after.",
  ),
  row(
    "invalid `max-keys`, `encoding-type` or `continuation-token`",
    (read) => isList(read) && hasQuery("max-keys", "encoding-type", "continuation-token")(read),
    status(/^200 400$/),
    "AWS has 400 InvalidArgument. RGW takes what it can.",
  ),
];

const buckets: readonly KnownDifference[] = [
  row(
    "HeadBucket",
    ({ method, key }) => method === "HEAD" && key === undefined,
    about(/^(?:content-length|x-amz-bucket-region|content-type)$/),
    "Orca tells the region, as AWS does.",
  ),
  row(
    "GetBucketLocation",
    hasQuery("location"),
    about(/^(?:<LocationConstraint>|content-type)$/),
    "In us-east-1 it is empty, as at AWS. RGW names its zone group, without a Content-Type.",
  ),
  row(
    "ListBuckets",
    ({ bucket }) => bucket === "",
    about(/^(?:<Bucket> \d+ <(?:CreationDate|Name)>|<ID>|<DisplayName>)$/),
    "Orca tells the configured buckets that the client may read, of which it knows no date. RGW tells the client's own.",
  ),
  row(
    "ListBuckets without credentials",
    ({ bucket, who }) => bucket === "" && who === "nobody",
    status(/^200 403$/),
    "RGW has an empty list for everybody.",
  ),
];

export const knownDifferences: readonly KnownDifference[] = [
  ...ranges,
  ...conditions,
  ...queries,
  ...lists,
  ...buckets,
];

function decoded(text: string): string {
  return decodeURIComponent(text.replaceAll("&apos;", "'"));
}
