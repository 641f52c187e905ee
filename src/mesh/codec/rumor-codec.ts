/**
 * The rumors that membership carries, made from what they tell and read from messages. Both ends must give one rumor one
 * id and one size, since it ends by the first and gets its room by the second, so they are made here alone.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type ChunkAnnouncementSchema,
  type ObjectInvalidationSchema,
  type ChunkAnnouncement as WireAnnouncement,
  type ObjectInvalidation as WireInvalidation,
} from "../../../gen/orca/v1/membership_pb.ts";
import { ObjectVersion } from "../../chunk/object-version.ts";
import type { Rumor, RumorBodies } from "../../membership/rumor.ts";
import { malformed, name, present, wholeNumber } from "./message-field.ts";
import { bucketName, etagText, objectKeyText, originId } from "./object-name.ts";

type Invalidation = Extract<Rumor, { kind: "invalidation" }>;
type Announcement = Extract<Rumor, { kind: "announcement" }>;

const invalidationIdBytesMax = 128;

/** Tags, lengths and numbers of a rumor at their longest. */
const frameBytes = 64;

/** That an object is not to be believed any more. The same `id` is applied once by each member. */
export function invalidationRumor(id: string, body: RumorBodies["invalidation"]): Invalidation {
  const { originId: origin, bucket, objectKey, staleEtag } = body;
  const textBytes = Buffer.byteLength(id + origin + bucket + objectKey + staleEtag);
  const sizeBytes = frameBytes + textBytes;
  return { kind: "invalidation", id, body, sizeBytes };
}

/**
 * That a chunk was stored: in the store that all replicas share or, where disks are replicated, on the disk of whoever
 * says so. Its id is the chunk's path.
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

export function encodeInvalidation({
  id,
  body,
}: Invalidation): MessageInitShape<typeof ObjectInvalidationSchema> {
  return { invalidationId: id, object: body, staleEtag: body.staleEtag };
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

/** @throws OrcaError `invalid_argument`. */
export function decodeInvalidation(wire: WireInvalidation): Invalidation {
  const object = present(wire.object, "the object of an invalidation");
  return invalidationRumor(name(wire.invalidationId, "the id of an invalidation", invalidationIdBytesMax), {
    originId: originId(object.originId),
    bucket: bucketName(object.bucket),
    objectKey: objectKeyText(object.objectKey),
    staleEtag: wire.staleEtag === "" ? "" : etagText(wire.staleEtag),
  });
}

/** @throws OrcaError `invalid_argument`, also for a chunk that lies outside its object. */
export function decodeAnnouncement(wire: WireAnnouncement): Announcement {
  const key = present(wire.chunkKey, "the chunk of an announcement");
  const chunkSizeBytes = wholeNumber(key.chunkSize, "the chunk size");
  const objectSizeBytes = wholeNumber(wire.objectSize, "the object size");
  const chunkIndex = wholeNumber(key.chunkIndex, "the chunk index");
  if (chunkSizeBytes === 0 || chunkIndex * chunkSizeBytes >= objectSizeBytes) {
    throw malformed(
      `chunk ${chunkIndex} of ${chunkSizeBytes} bytes lies outside an object of ${objectSizeBytes}`,
    );
  }
  return announcementRumor({
    originId: originId(key.originId),
    bucket: bucketName(key.bucket),
    objectKey: objectKeyText(key.objectKey),
    etag: etagText(key.etag),
    chunkSizeBytes,
    chunkIndex,
    objectSizeBytes,
  });
}
