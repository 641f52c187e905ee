/**
 * Encodes and decodes the messages about metadata (proto/orca/v1/object.proto). A time to live is rounded down. The
 * metadata in an answer must be fit to be sent to a client and, as `If-Match`, to an origin.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ObjectRef, ObjectRefSchema } from "../../../gen/orca/v1/chunk_pb.ts";
import type {
  HeadObjectRequest,
  HeadObjectRequestSchema,
  HeadObjectResponse,
  HeadObjectResponseSchema,
  ListedObject as ListedObjectMessage,
  ListedObjectSchema,
  ListObjectsRequest,
  ListObjectsRequestSchema,
  ListObjectsResponse,
  ListObjectsResponseSchema,
  ObjectHead as ObjectHeadMessage,
  ObjectHeadSchema,
} from "../../../gen/orca/v1/object_pb.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { etagBytesMax } from "../../chunk/etag.ts";
import { usableDateMs } from "../../chunk/object-date.ts";
import type {
  ObjectName,
  PeerHeadAnswer,
  PeerHeadRequest,
  PeerListAnswer,
  PeerListRequest,
} from "../../object/object-peers.ts";
import {
  continuationTokenBytesMax,
  type ListedObject,
  type ListPage,
  type ObjectHead,
} from "../../origin/origin.ts";
import { errorDetailOf, errorOfDetail } from "./error-detail.ts";
import { malformedMessage, numberField, presentField, textField } from "./message-field.ts";
import { bucketField, etagField, objectKeyBytesMax, objectKeyField, originIdField } from "./object-name.ts";

const keysMax = 1000;
const storageClassBytesMax = 64;

export function encodeObject({
  originId: origin,
  location,
}: ObjectName): MessageInitShape<typeof ObjectRefSchema> {
  return { originId: origin, bucket: location.bucket, objectKey: location.key };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeObject(message: ObjectRef | undefined): ObjectName {
  const object = presentField(message, "the object");
  return {
    originId: originIdField(object.originId),
    location: { bucket: bucketField(object.bucket), key: objectKeyField(object.objectKey) },
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
export function decodeHeadRequest(message: HeadObjectRequest): PeerHeadRequest {
  const staleEtag = textField(message.staleEtag, "the stale ETag", etagBytesMax);
  const contradictedEtag =
    message.contestedEtag === undefined
      ? undefined
      : textField(message.contestedEtag, "the contradicted ETag", etagBytesMax);
  return { ...decodeObject(message.object), staleEtag, contradictedEtag };
}

export function encodeHeadAnswer({
  head,
  remainingMs,
}: PeerHeadAnswer): MessageInitShape<typeof HeadObjectResponseSchema> {
  return { answer: encodeHeadContent(head), ttlRemainingMs: encodeRemaining(remainingMs) };
}

/** @throws OrcaError `invalid_argument`. `key` is the key that the request named. */
export function decodeHeadAnswer(message: HeadObjectResponse, key: string): PeerHeadAnswer {
  return { head: decodeHeadContent(message, key), remainingMs: decodeRemaining(message.ttlRemainingMs) };
}

export function encodeListRequest({
  originId: origin,
  request,
}: PeerListRequest): MessageInitShape<typeof ListObjectsRequestSchema> {
  return { originId: origin, ...request };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeListRequest(message: ListObjectsRequest): PeerListRequest {
  const { maxKeys } = message;
  if (maxKeys < 1 || maxKeys > keysMax)
    throw malformedMessage(`max_keys is ${maxKeys}, expected 1 to ${keysMax}`);
  return {
    originId: originIdField(message.originId),
    request: {
      bucket: bucketField(message.bucket),
      prefix: textField(message.prefix, "the prefix", objectKeyBytesMax),
      delimiter: textField(message.delimiter, "the delimiter", objectKeyBytesMax),
      maxKeys,
      continuationToken: textField(
        message.continuationToken,
        "the continuation token",
        continuationTokenBytesMax,
      ),
      startAfter: textField(message.startAfter, "the key to start after", objectKeyBytesMax),
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
export function decodeListAnswer(message: ListObjectsResponse): PeerListAnswer {
  const page = {
    objects: message.objects.map(decodeListed),
    commonPrefixes: message.commonPrefixes,
    nextContinuationToken: message.nextContinuationToken,
  };
  return { page, remainingMs: decodeRemaining(message.ttlRemainingMs) };
}

/** An upper bound for the bytes of a page in a message. */
export function pageBytes({ objects, commonPrefixes, nextContinuationToken }: ListPage): number {
  const frameBytes = 48;
  let bytes = frameBytes + Buffer.byteLength(nextContinuationToken);
  for (const { key, etag, storageClass = "" } of objects)
    bytes += frameBytes + Buffer.byteLength(key) + Buffer.byteLength(etag) + storageClass.length;
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
      const error = errorOfDetail(answer.value);
      // Answers are cached, and a passing error must not be cached as a fact about the object.
      if (!error?.isLasting) {
        throw malformedMessage(`"${answer.value.code.slice(0, 64)}" is not a lasting error`);
      }
      return error;
    }
    default:
      throw malformedMessage("its answer is of an unknown kind");
  }
}

function encodeHead(head: ObjectHead): MessageInitShape<typeof ObjectHeadSchema> {
  const { sizeBytes, lastModifiedMs, metadata, checksums = {}, ...texts } = head;
  return {
    ...texts,
    size: BigInt(sizeBytes),
    ...encodeDate(lastModifiedMs),
    metadata: { ...metadata },
    checksums: { ...checksums },
  };
}

function decodeHead(message: ObjectHeadMessage): ObjectHead {
  return {
    sizeBytes: numberField(message.size, "the size"),
    etag: etagField(message.etag),
    lastModifiedMs: decodeDate(message),
    contentType: message.contentType,
    contentEncoding: message.contentEncoding,
    contentLanguage: message.contentLanguage,
    contentDisposition: message.contentDisposition,
    cacheControl: message.cacheControl,
    expires: message.expires,
    versionId: message.versionId,
    storageClass: message.storageClass,
    ...(message.restore !== undefined && { restore: message.restore }),
    ...(message.archiveStatus !== undefined && { archiveStatus: message.archiveStatus }),
    websiteRedirectLocation: message.websiteRedirectLocation,
    ...(Object.keys(message.checksums).length > 0 && { checksums: message.checksums }),
    metadata: message.metadata,
  };
}

function encodeListed({
  key,
  sizeBytes,
  etag,
  lastModifiedMs,
  storageClass = "",
}: ListedObject): MessageInitShape<typeof ListedObjectSchema> {
  return {
    objectKey: key,
    size: BigInt(sizeBytes),
    etag,
    ...encodeDate(lastModifiedMs),
    storageClass,
  };
}

/** The ETag may be empty: a listing also names objects that cannot be served. */
function decodeListed(message: ListedObjectMessage): ListedObject {
  return {
    key: objectKeyField(message.objectKey),
    sizeBytes: numberField(message.size, "the size of a listed object"),
    etag: textField(message.etag, "the ETag of a listed object", etagBytesMax),
    lastModifiedMs: decodeDate(message),
    ...(message.storageClass !== "" && {
      storageClass: textField(message.storageClass, "the storage class", storageClassBytesMax),
    }),
  };
}

type DateMessage = Pick<ObjectHeadMessage, "lastModifiedMs" | "lastModifiedUnknown">;

function encodeDate(lastModifiedMs: number | undefined): DateMessage {
  if (lastModifiedMs === undefined) return { lastModifiedMs: 0n, lastModifiedUnknown: true };
  return { lastModifiedMs: BigInt(Math.floor(lastModifiedMs)), lastModifiedUnknown: false };
}

function decodeDate({ lastModifiedMs, lastModifiedUnknown }: DateMessage): number | undefined {
  if (lastModifiedUnknown) return undefined;
  const timeMs = usableDateMs(Number(lastModifiedMs));
  if (timeMs !== undefined) return timeMs;
  throw malformedMessage(`the time of the last modification is ${lastModifiedMs} ms`);
}

export function encodeRemaining(remainingMs: number): bigint {
  return BigInt(Math.floor(Math.min(Math.max(0, remainingMs), Number.MAX_SAFE_INTEGER)));
}

export function decodeRemaining(value: bigint): number {
  return numberField(value, "the remaining time to live");
}
