/**
 * The messages of metadata between what object/object-peers.ts says they are and what proto/orca/v1/object.proto writes.
 * A time to live is rounded down on its way, and what an answer says an object is must be something that can be sent to a
 * client and, as `If-Match`, to an origin.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ObjectRef, ObjectRefSchema } from "../../../gen/orca/v1/chunk_pb.ts";
import type {
  HeadObjectRequest,
  HeadObjectRequestSchema,
  HeadObjectResponse,
  HeadObjectResponseSchema,
  ListedObjectSchema,
  ListObjectsRequest,
  ListObjectsRequestSchema,
  ListObjectsResponse,
  ListObjectsResponseSchema,
  ObjectHeadSchema,
  ListedObject as WireListedObject,
  ObjectHead as WireObjectHead,
} from "../../../gen/orca/v1/object_pb.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type {
  ObjectName,
  PeerHeadAnswer,
  PeerHeadRequest,
  PeerListAnswer,
  PeerListRequest,
} from "../../object/object-peers.ts";
import type { ListedObject, ListPage, ObjectHead } from "../../origin/origin.ts";
import { errorDetailOf, errorOfDetail } from "./error-detail.ts";
import { malformed, present, text, wholeNumber } from "./message-field.ts";
import {
  bucketName,
  etagBytesMax,
  etagText,
  objectKeyBytesMax,
  objectKeyText,
  originId,
} from "./object-name.ts";

const keysMax = 1000;
const continuationTokenBytesMax = 16 * 1024;

/** The years 1 to 9999, which are those that HTTP and S3 can write. */
const timeMsMin = BigInt(Date.parse("0001-01-01T00:00:00Z"));
const timeMsMax = BigInt(Date.parse("9999-12-31T23:59:59.999Z"));

function encodeObject({ originId: origin, location }: ObjectName): MessageInitShape<typeof ObjectRefSchema> {
  return { originId: origin, bucket: location.bucket, objectKey: location.key };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeObject(wire: ObjectRef | undefined): ObjectName {
  const object = present(wire, "the object");
  return {
    originId: originId(object.originId),
    location: { bucket: bucketName(object.bucket), key: objectKeyText(object.objectKey) },
  };
}

export function encodeHeadRequest(
  request: PeerHeadRequest,
): MessageInitShape<typeof HeadObjectRequestSchema> {
  const { staleEtag, contradictedEtag } = request;
  return {
    object: encodeObject(request),
    staleEtag,
    ...(contradictedEtag !== undefined && { contestedEtag: contradictedEtag }),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeHeadRequest(wire: HeadObjectRequest): PeerHeadRequest {
  const staleEtag = text(wire.staleEtag, "the stale ETag", etagBytesMax);
  const contradictedEtag =
    wire.contestedEtag === undefined
      ? undefined
      : text(wire.contestedEtag, "the contradicted ETag", etagBytesMax);
  return { ...decodeObject(wire.object), staleEtag, contradictedEtag };
}

export function encodeHeadAnswer({
  head,
  remainingMs,
}: PeerHeadAnswer): MessageInitShape<typeof HeadObjectResponseSchema> {
  return { answer: encodeHeadContent(head), ttlRemainingMs: encodeRemaining(remainingMs) };
}

/** @throws OrcaError `invalid_argument`. `key` is what was asked for. */
export function decodeHeadAnswer(wire: HeadObjectResponse, key: string): PeerHeadAnswer {
  return { head: decodeHeadContent(wire, key), remainingMs: decodeRemaining(wire.ttlRemainingMs) };
}

export function encodeListRequest({
  originId: origin,
  request,
}: PeerListRequest): MessageInitShape<typeof ListObjectsRequestSchema> {
  return { originId: origin, ...request };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeListRequest(wire: ListObjectsRequest): PeerListRequest {
  const { maxKeys } = wire;
  if (maxKeys < 1 || maxKeys > keysMax) throw malformed(`max_keys is ${maxKeys}, expected 1 to ${keysMax}`);
  return {
    originId: originId(wire.originId),
    request: {
      bucket: bucketName(wire.bucket),
      prefix: text(wire.prefix, "the prefix", objectKeyBytesMax),
      delimiter: text(wire.delimiter, "the delimiter", objectKeyBytesMax),
      maxKeys,
      continuationToken: text(wire.continuationToken, "the continuation token", continuationTokenBytesMax),
      startAfter: text(wire.startAfter, "the key to start after", objectKeyBytesMax),
    },
  };
}

export function encodeListAnswer({
  page,
  remainingMs,
}: PeerListAnswer): MessageInitShape<typeof ListObjectsResponseSchema> {
  return {
    objects: page.objects.map(encodeListed),
    commonPrefixes: [...page.commonPrefixes],
    nextContinuationToken: page.nextContinuationToken,
    ttlRemainingMs: encodeRemaining(remainingMs),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeListAnswer(wire: ListObjectsResponse): PeerListAnswer {
  const page = {
    objects: wire.objects.map(decodeListed),
    commonPrefixes: wire.commonPrefixes,
    nextContinuationToken: wire.nextContinuationToken,
  };
  return { page, remainingMs: decodeRemaining(wire.ttlRemainingMs) };
}

/** What a page takes in a message, at the most. */
export function pageBytes({ objects, commonPrefixes, nextContinuationToken }: ListPage): number {
  const frameBytes = 48;
  let bytes = frameBytes + Buffer.byteLength(nextContinuationToken);
  for (const { key, etag } of objects) bytes += frameBytes + Buffer.byteLength(key) + Buffer.byteLength(etag);
  for (const prefix of commonPrefixes) bytes += frameBytes + Buffer.byteLength(prefix);
  return bytes;
}

function encodeHeadContent(
  head: ObjectHead | OrcaError,
): NonNullable<MessageInitShape<typeof HeadObjectResponseSchema>["answer"]> {
  if (!(head instanceof OrcaError)) return { case: "head", value: encodeHead(head) };
  if (head.code === "no_such_key") return { case: "absence", value: {} };
  return { case: "refusal", value: errorDetailOf(head) };
}

function decodeHeadContent({ answer }: HeadObjectResponse, key: string): ObjectHead | OrcaError {
  switch (answer.case) {
    case "head":
      return decodeHead(answer.value);
    case "absence":
      return new OrcaError("no_such_key", "object", `Cannot find "${key}": the origin has no such key`);
    case "refusal": {
      const refusal = errorOfDetail(answer.value);
      // One about the moment would be kept as if it were about the object.
      if (!refusal?.isLasting) {
        throw malformed(`"${answer.value.code.slice(0, 64)}" is no lasting refusal`);
      }
      return refusal;
    }
    default:
      throw malformed("it has no answer of a known kind");
  }
}

function encodeHead(head: ObjectHead): MessageInitShape<typeof ObjectHeadSchema> {
  const { sizeBytes, lastModifiedMs, metadata, ...texts } = head;
  return {
    ...texts,
    size: BigInt(sizeBytes),
    lastModifiedMs: BigInt(Math.floor(lastModifiedMs)),
    metadata: { ...metadata },
  };
}

function decodeHead(wire: WireObjectHead): ObjectHead {
  return {
    sizeBytes: wholeNumber(wire.size, "the size"),
    etag: etagText(wire.etag),
    lastModifiedMs: decodeTime(wire.lastModifiedMs),
    contentType: wire.contentType,
    contentEncoding: wire.contentEncoding,
    contentLanguage: wire.contentLanguage,
    contentDisposition: wire.contentDisposition,
    cacheControl: wire.cacheControl,
    expires: wire.expires,
    versionId: wire.versionId,
    metadata: wire.metadata,
  };
}

function encodeListed({
  key,
  sizeBytes,
  etag,
  lastModifiedMs,
}: ListedObject): MessageInitShape<typeof ListedObjectSchema> {
  return {
    objectKey: key,
    size: BigInt(sizeBytes),
    etag,
    lastModifiedMs: BigInt(Math.floor(lastModifiedMs)),
  };
}

/** Its ETag may be empty: a listing tells of objects that cannot be served. */
function decodeListed({ objectKey, size, etag, lastModifiedMs }: WireListedObject): ListedObject {
  return {
    key: objectKeyText(objectKey),
    sizeBytes: wholeNumber(size, "the size of a listed object"),
    etag: text(etag, "the ETag of a listed object", etagBytesMax),
    lastModifiedMs: decodeTime(lastModifiedMs),
  };
}

function decodeTime(value: bigint): number {
  if (value < timeMsMin || value > timeMsMax) throw malformed(`the last modification is at ${value} ms`);
  return Number(value);
}

function encodeRemaining(remainingMs: number): bigint {
  return BigInt(Math.floor(Math.min(Math.max(0, remainingMs), Number.MAX_SAFE_INTEGER)));
}

function decodeRemaining(value: bigint): number {
  return wholeNumber(value, "the remaining time to live");
}
