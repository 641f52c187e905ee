/**
 * Encodes and decodes the messages about metadata (proto/orca/v1/object.proto). A time to live is rounded down. The
 * metadata in an answer must be fit to be sent to a client and, as `If-Match`, to an origin.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ObjectRef, ObjectRefSchema } from "../../../gen/orca/v1/chunk_pb.ts";
import type {
  FirstBytes as FirstBytesMessage,
  FirstBytesSchema,
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
  ObjectAbsence,
  ObjectAbsenceSchema,
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
import { Absence } from "../../object/versions/absence.ts";
import { isChecksumHeader } from "../../origin/http-object.ts";
import {
  continuationTokenBytesMax,
  type FirstBytes,
  type ListedObject,
  type ListPage,
  type ListRequest,
  type ObjectHead,
  type ObjectLocation,
} from "../../origin/origin.ts";
import { errorDetailOf, errorOfDetail } from "./error-detail.ts";
import { malformedMessage, numberField, presentField, textField } from "./message-field.ts";
import {
  bucketField,
  etagField,
  objectKeyBytesMax,
  objectKeyField,
  originIdField,
  versionIdOf,
} from "./object-name.ts";

const keysMax = 1000;
const storageClassBytesMax = 64;

export function encodeObject({
  originId: origin,
  location,
}: ObjectName): MessageInitShape<typeof ObjectRefSchema> {
  const { bucket, key: objectKey, versionId } = location;
  return { originId: origin, bucket, objectKey, ...(versionId !== undefined && { versionId }) };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeObject(message: ObjectRef | undefined): ObjectName {
  const object = presentField(message, "the object");
  return {
    originId: originIdField(object.originId),
    location: {
      bucket: bucketField(object.bucket),
      key: objectKeyField(object.objectKey),
      ...versionIdOf(object),
    },
  };
}

export function encodeHeadRequest(
  request: PeerHeadRequest,
): MessageInitShape<typeof HeadObjectRequestSchema> {
  const { staleEtag, contradictedEtag, firstBytes, isAhead } = request;
  return {
    object: encodeObject(request),
    staleEtag,
    ...(isAhead && { refreshAhead: true }),
    ...(contradictedEtag !== undefined && { contestedEtag: contradictedEtag }),
    ...(firstBytes && { firstBytes: encodeFirstBytes(firstBytes) }),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeHeadRequest(message: HeadObjectRequest): PeerHeadRequest {
  const staleEtag = textField(message.staleEtag, "the stale ETag", etagBytesMax);
  const contradictedEtag =
    message.contestedEtag === undefined
      ? undefined
      : textField(message.contestedEtag, "the contradicted ETag", etagBytesMax);
  const firstBytes = message.firstBytes && { firstBytes: decodeFirstBytes(message.firstBytes) };
  const isAhead = message.refreshAhead && { isAhead: true };
  return { ...decodeObject(message.object), staleEtag, contradictedEtag, ...firstBytes, ...isAhead };
}

function encodeFirstBytes({
  offset,
  lengthBytes,
  withChecksums,
}: FirstBytes): MessageInitShape<typeof FirstBytesSchema> {
  return { offset: BigInt(offset), length: BigInt(lengthBytes), withChecksums };
}

function decodeFirstBytes(message: FirstBytesMessage): FirstBytes {
  const offset = numberField(message.offset, "the offset of the first bytes");
  const lengthBytes = numberField(message.length, "the length of the first bytes");
  const { withChecksums } = message;
  if (lengthBytes === 0 || (withChecksums && offset > 0))
    throw malformedMessage("its first bytes are not a range");
  return { offset, lengthBytes, withChecksums };
}

/** `location` is the one that the request named. */
export function encodeHeadAnswer(
  { head, remainingMs, staleAgeMs }: PeerHeadAnswer,
  { versionId }: ObjectLocation,
): MessageInitShape<typeof HeadObjectResponseSchema> {
  const version = versionId !== undefined && { versionId };
  const stale = staleAgeMs !== undefined && { staleAgeMs: encodeRemaining(staleAgeMs) };
  return {
    answer: encodeHeadContent(head),
    ttlRemainingMs: encodeRemaining(remainingMs),
    ...version,
    ...stale,
  };
}

/** @throws OrcaError `invalid_argument`. `location` is the one that the request named. */
export function decodeHeadAnswer(message: HeadObjectResponse, location: ObjectLocation): PeerHeadAnswer {
  // A replica that does not know versions has answered about the current one.
  if (message.versionId !== location.versionId)
    throw malformedMessage(`it is about version "${message.versionId}", not "${location.versionId}"`);
  return {
    head: decodeHeadContent(message, location),
    remainingMs: decodeRemaining(message.ttlRemainingMs),
    ...(message.staleAgeMs !== undefined && {
      staleAgeMs: numberField(message.staleAgeMs, "the age of an expired answer"),
    }),
  };
}

export function encodeListRequest({
  originId: origin,
  request,
}: PeerListRequest): MessageInitShape<typeof ListObjectsRequestSchema> {
  const { versionIdMarker, ...listed } = request;
  return { originId: origin, ...listed, ...(versionIdMarker !== undefined && { versionIdMarker }) };
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
      ...(message.versionIdMarker !== undefined && {
        versionIdMarker: versionMarkerField(message.versionIdMarker),
      }),
    },
  };
}

/** `request` is the one that is answered. */
export function encodeListAnswer(
  { page, remainingMs }: PeerListAnswer,
  { versionIdMarker }: ListRequest,
): MessageInitShape<typeof ListObjectsResponseSchema> {
  const { nextVersion } = page;
  return {
    ofVersions: versionIdMarker !== undefined,
    ...(nextVersion && {
      nextVersion: { objectKey: nextVersion.startAfter, versionId: nextVersion.versionIdMarker },
    }),
    objects: page.objects.map(encodeListed),
    commonPrefixes: [...page.commonPrefixes],
    nextContinuationToken: page.nextContinuationToken,
    ttlRemainingMs: encodeRemaining(remainingMs),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeListAnswer(
  message: ListObjectsResponse,
  { versionIdMarker }: ListRequest,
): PeerListAnswer {
  // A replica that does not know versions has listed current objects.
  if (message.ofVersions !== (versionIdMarker !== undefined))
    throw malformedMessage(`it lists ${message.ofVersions ? "versions" : "current objects"}`);
  const { nextVersion } = message;
  const page = {
    objects: message.objects.map(decodeListed),
    commonPrefixes: message.commonPrefixes,
    nextContinuationToken: message.nextContinuationToken,
    ...(nextVersion && {
      nextVersion: {
        startAfter: textField(nextVersion.objectKey, "the key of the next page", objectKeyBytesMax),
        versionIdMarker: versionMarkerField(nextVersion.versionId),
      },
    }),
  };
  return { page, remainingMs: decodeRemaining(message.ttlRemainingMs) };
}

/** An upper bound for the bytes of a page in a message. */
export function pageBytes({ objects, commonPrefixes, nextContinuationToken, nextVersion }: ListPage): number {
  const frameBytes = 64;
  let bytes = frameBytes + Buffer.byteLength(nextContinuationToken);
  if (nextVersion)
    bytes += Buffer.byteLength(nextVersion.startAfter) + Buffer.byteLength(nextVersion.versionIdMarker);
  for (const { key, etag, storageClass = "", version } of objects) {
    bytes += frameBytes + Buffer.byteLength(key) + Buffer.byteLength(etag) + storageClass.length;
    if (version) bytes += version.id.length;
  }
  for (const prefix of commonPrefixes) bytes += frameBytes + Buffer.byteLength(prefix);
  return bytes;
}

function encodeHeadContent(
  head: ObjectHead | OrcaError,
): NonNullable<MessageInitShape<typeof HeadObjectResponseSchema>["answer"]> {
  if (!(head instanceof OrcaError)) return { case: "head", value: encodeHead(head) };
  if (head instanceof Absence) return { case: "absence", value: encodeAbsence(head) };
  if (head.code === "no_such_key") return { case: "absence", value: {} };
  return { case: "refusal", value: errorDetailOf(head) };
}

function encodeAbsence({ marker }: Absence): MessageInitShape<typeof ObjectAbsenceSchema> {
  if (!marker) return {};
  const { versionId, lastModifiedMs } = marker;
  return {
    deleteMarker: {
      ...(versionId !== undefined && { versionId }),
      ...(lastModifiedMs !== undefined && { lastModifiedMs: BigInt(Math.floor(lastModifiedMs)) }),
    },
  };
}

function decodeAbsence({ deleteMarker }: ObjectAbsence, location: ObjectLocation): Absence {
  if (!deleteMarker) return Absence.of(location);
  const { lastModifiedMs = 0n } = deleteMarker;
  return Absence.of(location, {
    kind: "delete-marker",
    versionId: versionIdOf(deleteMarker).versionId,
    lastModifiedMs: decodeDate({ lastModifiedMs, lastModifiedUnknown: lastModifiedMs === 0n }),
  });
}

function decodeHeadContent({ answer }: HeadObjectResponse, location: ObjectLocation): ObjectHead | OrcaError {
  switch (answer.case) {
    case "head":
      return decodeHead(answer.value);
    case "absence":
      return decodeAbsence(answer.value, location);
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
  const { sizeBytes, lastModifiedMs, metadata, checksums = {}, isChecksumUnknown = false, ...texts } = head;
  return {
    ...texts,
    size: BigInt(sizeBytes),
    ...encodeDate(lastModifiedMs),
    metadata: { ...metadata },
    checksums: { ...checksums },
    isChecksumUnknown,
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
    ...(message.isChecksumUnknown && { isChecksumUnknown: true }),
    storageClass: message.storageClass,
    ...(message.restore !== undefined && { restore: message.restore }),
    ...(message.archiveStatus !== undefined && { archiveStatus: message.archiveStatus }),
    websiteRedirectLocation: message.websiteRedirectLocation,
    ...decodeChecksums(message),
    metadata: message.metadata,
  };
}

/** A client receives each under its name. */
function decodeChecksums({ checksums }: ObjectHeadMessage): Pick<ObjectHead, "checksums"> {
  const names = Object.keys(checksums);
  if (!names.every(isChecksumHeader)) throw malformedMessage("a checksum does not have the name of one");
  return names.length === 0 ? {} : { checksums };
}

function encodeListed({
  key,
  sizeBytes,
  etag,
  lastModifiedMs,
  storageClass = "",
  version,
}: ListedObject): MessageInitShape<typeof ListedObjectSchema> {
  return {
    ...(version && {
      versionId: version.id,
      isLatest: version.isLatest,
      isDeleteMarker: version.isDeleteMarker,
    }),
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
    ...decodeListedVersion(message),
  };
}

function decodeListedVersion(message: ListedObjectMessage): Pick<ListedObject, "version"> {
  const { versionId: id } = versionIdOf(message);
  const { isLatest, isDeleteMarker } = message;
  return id === undefined ? {} : { version: { id, isLatest, isDeleteMarker } };
}

/** Empty where a listing of versions goes on with another key. */
function versionMarkerField(value: string): string {
  return versionIdOf(value === "" ? {} : { versionId: value }).versionId ?? "";
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
