/**
 * Requests one page of ListObjectsV2 and parses it. Keys are requested URL-encoded, because XML cannot carry every
 * character of a key.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { WholeAnswer } from "../http-client/whole-answers.ts";
import type { SignedRequests } from "../s3-client/signed-requests.ts";
import { errorOfStatus, OriginAnswer } from "./error-of-status.ts";
import { strongEtag, wholeSeconds } from "./http-object.ts";
import {
  answerDetail,
  checkedToken,
  type ListedEntry,
  listedSize,
  listingBytesMax,
  scanListing,
} from "./list-answer.ts";
import type { ListPage, ListRequest } from "./origin.ts";
import type { XmlElement } from "./xml-scanner.ts";

/** @see Origin.list */
export async function listS3(
  requests: SignedRequests,
  request: ListRequest,
  action: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<ListPage> {
  const { continuationToken, startAfter } = request;
  const place = {
    "list-type": "2",
    ...(continuationToken !== "" && { "continuation-token": continuationToken }),
    ...(startAfter !== "" && { "start-after": startAfter }),
  };
  return parsePage(await askForPage(requests, request, place, action, clock, signal), action);
}

/** The XML of one page. `place` is what tells one kind of listing from another, and where the page begins. */
export async function askForPage(
  requests: SignedRequests,
  request: ListRequest,
  place: Readonly<Record<string, string>>,
  action: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<Buffer> {
  const { bucket, prefix, delimiter, maxKeys } = request;
  const query = {
    "encoding-type": "url",
    "max-keys": String(maxKeys),
    prefix,
    ...(delimiter !== "" && { delimiter }),
    ...place,
  };
  const answer = await requests.whole({ bucket, query, bytesMax: listingBytesMax, action }, signal);
  if (answer.status !== 200) throw errorOfListAnswer(answer, request, action, clock.now());
  return answer.body;
}

async function parsePage(body: Buffer, action: string): Promise<ListPage> {
  const objects: ListedEntry[] = [];
  const prefixes: string[] = [];
  let nextContinuationToken = "";
  let isEncoded = false;
  let entry = newListedEntry();
  await scanListing(body, "ListBucketResult", action, (element) => {
    switch (element.parent) {
      case "Contents":
        takeEntryField(entry, element);
        return false;
      case "CommonPrefixes":
        if (element.name !== "Prefix") return false;
        prefixes.push(element.text());
        return true;
      case "ListBucketResult":
        if (element.name === "NextContinuationToken") nextContinuationToken = element.text();
        else if (element.name === "EncodingType") isEncoded = element.text() === "url";
        else if (element.name === "Contents") {
          objects.push(entry);
          entry = newListedEntry();
          return true;
        }
        return false;
      default:
        return false;
    }
  });
  checkedToken(nextContinuationToken, action);
  // Some clones omit `EncodingType` from the answer. Then the keys are not encoded.
  if (!isEncoded) return { objects, commonPrefixes: prefixes, nextContinuationToken };
  for (const object of objects) object.key = decodeKey(object.key, action);
  return { objects, commonPrefixes: prefixes.map((key) => decodeKey(key, action)), nextContinuationToken };
}

export function newListedEntry(): ListedEntry {
  return { key: "", sizeBytes: 0, etag: "", lastModifiedMs: undefined };
}

/** What S3 says alike of an object and of a version. */
export function takeEntryField(entry: ListedEntry, element: XmlElement): void {
  const { name } = element;
  if (name === "Key") entry.key = element.text();
  else if (name === "Size") entry.sizeBytes = listedSize(element.text());
  else if (name === "ETag") entry.etag = strongEtag(element.text()) ?? "";
  else if (name === "LastModified") entry.lastModifiedMs = wholeSeconds(element.text());
  else if (name === "StorageClass") setStorageClass(entry, element.text());
}

/** STANDARD is none, so that the entries of most buckets need no room for it. */
function setStorageClass(entry: ListedEntry, text: string): void {
  if (text !== "STANDARD" && /^[\w-]{1,64}$/.test(text)) entry.storageClass = text;
}

export function decodeKey(encoded: string, action: string): string {
  if (!/[%+]/.test(encoded)) return encoded;
  try {
    // S3 writes a space as `+`, and a plus sign as %2B.
    return decodeURIComponent(encoded.replaceAll("+", "%20"));
  } catch (cause) {
    throw new OrcaError("origin_unsupported", "origin", `${action}: the key "${encoded}" is not UTF-8`, {
      cause,
    });
  }
}

function errorOfListAnswer(
  answer: WholeAnswer,
  request: ListRequest,
  action: string,
  nowMs: number,
): OrcaError {
  const { status } = answer;
  const detail = answerDetail(answer);
  if (status === 404)
    return new OriginAnswer("no_such_bucket", `${action}: the origin has no such bucket`, status, detail);
  if (status === 400 && request.continuationToken !== "") {
    // The source is the origin, so that the bucket's name appears in the log only.
    return new OrcaError("invalid_argument", "origin", `${action}: the continuation token is not valid`);
  }
  if (status === 400 && request.versionIdMarker) {
    return new OrcaError("invalid_version_id", "origin", `${action}: the version-id marker is not valid`);
  }
  return errorOfStatus(status, (name) => answer.header(name), action, nowMs, detail);
}
