/**
 * Renders listings as S3's XML. Elements keep the order in which S3 sends them, because some clients read them by position
 * or by regular expression.
 */

import { percentEncode } from "../base/percent-encoding.ts";
import type { ListedBucket, ListPage } from "../origin/origin.ts";
import { encodeContinuationToken } from "./continuation-token.ts";
import { formatIsoDate } from "./http-date.ts";
import type { ListObjectsRequest } from "./list-request.ts";
import { type BucketPageRequest, bucketPageOf } from "./listing/bucket-page.ts";
import { element, escapeXmlExactly, s3Document } from "./xml.ts";

/** Orca does not know who owns a bucket or an object. Clients want an owner where S3 names one. */
export const ownerXml = element("Owner", element("ID", "orca") + element("DisplayName", "orca"));

/** The answer to `max-keys=0`. */
export const emptyListPage: ListPage = { objects: [], commonPrefixes: [], nextContinuationToken: "" };

/**
 * `ListBucketResult` in the requested version. A truncated page for V1 must hold at least one key or prefix, because V1
 * continues after the last one. The caller skips an origin's empty pages for this reason.
 */
export function listObjectsXml(request: ListObjectsRequest, page: ListPage): string {
  // Percent-encoded text needs no escaping.
  const text: RenderText = request.encodesKeys ? percentEncode : escapeXmlExactly;
  const isTruncated = page.nextContinuationToken !== "";
  const head = element("Name", escapeXmlExactly(request.bucket)) + element("Prefix", text(request.prefix));
  const position = request.kind === "list-objects-v2" ? positionV2 : positionV1;
  const tail =
    element("MaxKeys", String(request.maxKeys)) +
    optionalElement("Delimiter", text(request.delimiter)) +
    (request.encodesKeys ? element("EncodingType", "url") : "") +
    element("IsTruncated", String(isTruncated));

  const owner = request.fetchesOwner ? ownerXml : "";
  let contents = "";
  for (const object of page.objects) {
    contents += element(
      "Contents",
      element("Key", text(object.key)) +
        optionalElement("LastModified", formatIsoDate(object.lastModifiedMs) ?? "") +
        element("ETag", escapeXmlExactly(`"${object.etag}"`)) +
        element("Size", String(object.sizeBytes)) +
        owner +
        element("StorageClass", escapeXmlExactly(object.storageClass ?? "STANDARD")),
    );
  }
  for (const commonPrefix of page.commonPrefixes) {
    contents += element("CommonPrefixes", element("Prefix", text(commonPrefix)));
  }
  return s3Document("ListBucketResult", head + position(request, page, text) + tail + contents);
}

/**
 * `ListAllMyBucketsResult`. Orca does not know when a configured bucket was created, but awscli fails without a date, so
 * such a bucket says 1970. As at AWS, a page names the region of each bucket, and a whole list does not.
 */
export function listBucketsXml(
  sorted: readonly ListedBucket[],
  request?: BucketPageRequest,
  regionOf: (name: string) => string = () => "",
): string {
  const { buckets, nextToken } = request ? bucketPageOf(sorted, request) : { buckets: sorted, nextToken: "" };
  const entries = buckets.map(({ name, createdMs }) => {
    const created = element("CreationDate", formatIsoDate(createdMs ?? 0) ?? "");
    const region = request ? optionalElement("BucketRegion", escapeXmlExactly(regionOf(name))) : "";
    return element("Bucket", element("Name", escapeXmlExactly(name)) + created + region);
  });
  return s3Document(
    "ListAllMyBucketsResult",
    ownerXml +
      element("Buckets", entries.join("")) +
      optionalElement("ContinuationToken", nextToken) +
      optionalElement("Prefix", escapeXmlExactly(request?.prefix ?? "")),
  );
}

/** `LocationConstraint`. It is empty for us-east-1, as in S3, and for an empty `region`. */
export function bucketLocationXml(region: string): string {
  return s3Document("LocationConstraint", region === "us-east-1" ? "" : escapeXmlExactly(region));
}

type RenderText = (text: string) => string;

function positionV2(request: ListObjectsRequest, page: ListPage, text: RenderText): string {
  const next = page.nextContinuationToken;
  // S3 tells a key to start after only where it has counted.
  const startAfter = request.continuationToken === "" ? request.after : "";
  return (
    optionalElement("StartAfter", text(startAfter)) +
    optionalElement("ContinuationToken", escapeXmlExactly(request.continuationToken)) +
    optionalElement("NextContinuationToken", next === "" ? "" : encodeContinuationToken(next, request)) +
    element("KeyCount", String(page.objects.length + page.commonPrefixes.length))
  );
}

/** S3 names the next marker only if there is a delimiter. Otherwise the client takes the last key. */
function positionV1(request: ListObjectsRequest, page: ListPage, text: RenderText): string {
  const next = request.delimiter === "" || page.nextContinuationToken === "" ? "" : lastEntry(page);
  return element("Marker", text(request.after)) + optionalElement("NextMarker", text(next));
}

/** Keys and prefixes are each in byte order, so the last entry is the greater of the two last ones. */
function lastEntry(page: ListPage): string {
  const lastKey = page.objects.at(-1)?.key ?? "";
  const lastPrefix = page.commonPrefixes.at(-1) ?? "";
  return Buffer.compare(Buffer.from(lastKey), Buffer.from(lastPrefix)) > 0 ? lastKey : lastPrefix;
}

function optionalElement(name: string, content: string): string {
  return content === "" ? "" : element(name, content);
}
