/**
 * Encodes and decodes chunk keys (proto/orca/v1/chunk.proto). The fields of a peer's chunk key are compared with each
 * other before any is used: a chunk must lie in its object, and have a size that a replica can hold.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ChunkKey as ChunkKeyMessage, ChunkKeySchema } from "../../../gen/orca/v1/chunk_pb.ts";
import { GiB } from "../../base/units.ts";
import { contentCodingBytesMax } from "../../chunk/content-coding.ts";
import { ObjectVersion, type ObjectVersionFields } from "../../chunk/object-version.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import { malformedMessage, numberField, presentField, textField } from "./message-field.ts";
import { bucketField, etagField, objectKeyField, originIdField, versionIdOf } from "./object-name.ts";

const chunkSizeBytesMax = GiB;

export function encodeChunkKey({ version, index }: ChunkKey): MessageInitShape<typeof ChunkKeySchema> {
  const { originId, bucket, objectKey, etag, chunkSizeBytes } = version;
  return {
    originId,
    bucket,
    objectKey,
    etag,
    chunkSize: BigInt(chunkSizeBytes),
    chunkIndex: BigInt(index),
  };
}

/** The fields of a message that names a chunk, beside its chunk key. */
export interface ChunkObject {
  readonly objectSize: bigint;
  readonly contentCoding?: string | undefined;
  readonly versionId?: string | undefined;
}

/** @throws OrcaError `invalid_argument`. `versionOf` may return a version that it made before. */
export function decodeChunk(
  chunkKey: ChunkKeyMessage | undefined,
  { objectSize, contentCoding, versionId }: ChunkObject,
  versionOf: (fields: ObjectVersionFields) => ObjectVersion = (fields) => new ObjectVersion(fields),
): ChunkKey {
  const key = presentField(chunkKey, "chunk_key");
  const sizeBytes = numberField(objectSize, "object_size");
  const index = numberField(key.chunkIndex, "chunk_index");
  const chunkSizeBytes = numberField(key.chunkSize, "chunk_size", chunkSizeBytesMax);
  if (chunkSizeBytes === 0) throw malformedMessage("chunk_size is 0");
  // Above 2^53 the product is not exact, but it is larger than any size in any case.
  if (index * chunkSizeBytes >= sizeBytes) {
    throw malformedMessage(
      `chunk ${index} of ${chunkSizeBytes} bytes is not in an object of ${sizeBytes} bytes`,
    );
  }
  const version = versionOf({
    originId: originIdField(key.originId),
    bucket: bucketField(key.bucket),
    objectKey: objectKeyField(key.objectKey),
    etag: etagField(key.etag),
    sizeBytes,
    chunkSizeBytes,
    contentCoding: contentCoding && textField(contentCoding, "the content coding", contentCodingBytesMax),
    ...versionIdOf({ versionId }),
  });
  return { version, index };
}
