/**
 * Makes rumors, and encodes and decodes them. All replicas must give the same rumor the same id and size: members apply
 * an id once, and the size decides whether the rumor fits into a message. So only this file makes rumors.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type ChunkAnnouncement as AnnouncementMessage,
  type ChunkAnnouncementSchema,
  type ObjectInvalidation as InvalidationMessage,
  type ObjectInvalidationSchema,
  type OriginThrottleSchema,
  type OriginThrottle as ThrottleMessage,
} from "../../../gen/orca/v1/membership_pb.ts";
import { ObjectVersion } from "../../chunk/object-version.ts";
import type { Rumor, RumorBodies } from "../../membership/rumor.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import { malformedMessage, nameField, numberField, presentField } from "./message-field.ts";
import { bucketField, etagField, objectKeyField, originIdField, versionIdOf } from "./object-name.ts";

type Invalidation = Extract<Rumor, { kind: "invalidation" }>;
type Announcement = Extract<Rumor, { kind: "announcement" }>;
type Throttle = Extract<Rumor, { kind: "throttle" }>;

const invalidationIdBytesMax = 128;

/** A replica's id, and a random number. */
const throttleIdBytesMax = 512;

/** The longest tags, lengths and numbers of a rumor. */
const frameBytes = 64;

/** Makes the rumor that cached metadata of an object is stale. Each member applies the same `id` once. */
export function invalidationRumor(id: string, body: RumorBodies["invalidation"]): Invalidation {
  const { originId: origin, bucket, objectKey, versionId = "", staleEtag } = body;
  const textBytes = Buffer.byteLength(id + origin + bucket + objectKey + versionId + staleEtag);
  const sizeBytes = frameBytes + textBytes;
  return { kind: "invalidation", id, body, sizeBytes };
}

/** Makes the rumor that an origin throttles. Each member applies the same `id` once. */
export function throttleRumor(id: string, body: RumorBodies["throttle"]): Throttle {
  return { kind: "throttle", id, body, sizeBytes: frameBytes + Buffer.byteLength(id + body.originId) };
}

/**
 * Makes the rumor that a chunk was stored: in the cachestore or, with replicated disks, on the sender's disk. The id is
 * the chunk path.
 */
export function announcementRumor(body: RumorBodies["announcement"]): Announcement {
  const { originId: origin, bucket, objectKey, etag } = body;
  const id = new ObjectVersion({ ...body, sizeBytes: body.objectSizeBytes }).chunkPath(body.chunkIndex);
  return {
    kind: "announcement",
    id,
    body,
    sizeBytes: frameBytes + Buffer.byteLength(origin + bucket + objectKey + etag),
  };
}

/** {@link announcementRumor} of a chunk. */
export function rumorOfChunk({ version, index: chunkIndex }: ChunkKey): Announcement {
  const { originId, bucket, objectKey, etag, chunkSizeBytes, sizeBytes: objectSizeBytes } = version;
  return announcementRumor({
    originId,
    bucket,
    objectKey,
    etag,
    chunkSizeBytes,
    chunkIndex,
    objectSizeBytes,
  });
}

export function chunkOfRumor({
  objectSizeBytes: sizeBytes,
  chunkIndex: index,
  ...fields
}: RumorBodies["announcement"]): ChunkKey {
  return { version: new ObjectVersion({ ...fields, sizeBytes }), index };
}

export function encodeInvalidation({
  id,
  body,
}: Invalidation): MessageInitShape<typeof ObjectInvalidationSchema> {
  const { staleEtag, versionId, ...object } = body;
  return {
    invalidationId: id,
    object: { ...object, ...(versionId !== undefined && { versionId }) },
    staleEtag,
  };
}

export function encodeAnnouncement({ body }: Announcement): MessageInitShape<typeof ChunkAnnouncementSchema> {
  const { originId: origin, bucket, objectKey, etag, chunkSizeBytes, chunkIndex, objectSizeBytes } = body;
  return {
    chunkKey: {
      originId: origin,
      bucket,
      objectKey,
      etag,
      chunkSize: BigInt(chunkSizeBytes),
      chunkIndex: BigInt(chunkIndex),
    },
    objectSize: BigInt(objectSizeBytes),
  };
}

export function encodeThrottle({ id, body }: Throttle): MessageInitShape<typeof OriginThrottleSchema> {
  const { originId: origin, part, holdMs } = body;
  return { throttleId: id, originId: origin, part, holdMs: Math.ceil(holdMs) };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeThrottle({ throttleId, originId, part, holdMs }: ThrottleMessage): Throttle {
  // The comparison is false for NaN, too.
  if (!(part > 0 && part <= 1)) throw malformedMessage(`the part of a throttle is ${part}, expected 0 to 1`);
  const id = nameField(throttleId, "the id of a throttle", throttleIdBytesMax);
  return throttleRumor(id, { originId: originIdField(originId), part, holdMs });
}

/** @throws OrcaError `invalid_argument`. */
export function decodeInvalidation(message: InvalidationMessage): Invalidation {
  const object = presentField(message.object, "the object of an invalidation");
  return invalidationRumor(
    nameField(message.invalidationId, "the id of an invalidation", invalidationIdBytesMax),
    {
      originId: originIdField(object.originId),
      bucket: bucketField(object.bucket),
      objectKey: objectKeyField(object.objectKey),
      ...versionIdOf(object),
      staleEtag: message.staleEtag === "" ? "" : etagField(message.staleEtag),
    },
  );
}

/** @throws OrcaError `invalid_argument`, also for a chunk outside its object. */
export function decodeAnnouncement(message: AnnouncementMessage): Announcement {
  const key = presentField(message.chunkKey, "the chunk of an announcement");
  const chunkSizeBytes = numberField(key.chunkSize, "the chunk size");
  const objectSizeBytes = numberField(message.objectSize, "the object size");
  const chunkIndex = numberField(key.chunkIndex, "the chunk index");
  if (chunkSizeBytes === 0 || chunkIndex * chunkSizeBytes >= objectSizeBytes) {
    throw malformedMessage(
      `chunk ${chunkIndex} of ${chunkSizeBytes} bytes lies outside an object of ${objectSizeBytes}`,
    );
  }
  return announcementRumor({
    originId: originIdField(key.originId),
    bucket: bucketField(key.bucket),
    objectKey: objectKeyField(key.objectKey),
    etag: etagField(key.etag),
    chunkSizeBytes,
    chunkIndex,
    objectSizeBytes,
  });
}
