/**
 * A chunk between what it is here and what proto/orca/v1/chunk.proto writes. What a peer names is compared with itself
 * before it is believed: a chunk lies in its object, and its size is one that a replica can hold.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ChunkKey as ChunkKeyMessage, ChunkKeySchema } from "../../../gen/orca/v1/chunk_pb.ts";
import { GiB } from "../../base/units.ts";
import { ObjectVersion, type ObjectVersionFields } from "../../chunk/object-version.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import { malformed, present, wholeNumber } from "./message-field.ts";
import { bucketName, etagText, objectKeyText, originId as originIdText } from "./object-name.ts";

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

/** @throws OrcaError `invalid_argument`. `versionOf` may know the version already. */
export function decodeChunk(
  chunkKey: ChunkKeyMessage | undefined,
  objectSize: bigint,
  versionOf: (fields: ObjectVersionFields) => ObjectVersion = (fields) => new ObjectVersion(fields),
): ChunkKey {
  const key = present(chunkKey, "chunk_key");
  const sizeBytes = wholeNumber(objectSize, "object_size");
  const index = wholeNumber(key.chunkIndex, "chunk_index");
  const chunkSizeBytes = wholeNumber(key.chunkSize, "chunk_size", chunkSizeBytesMax);
  if (chunkSizeBytes === 0) throw malformed("chunk_size is 0");
  // Past 2^53 the product is not exact, and larger than any size all the same.
  if (index * chunkSizeBytes >= sizeBytes) {
    throw malformed(`chunk ${index} of ${chunkSizeBytes} bytes is not in an object of ${sizeBytes} bytes`);
  }
  const version = versionOf({
    originId: originIdText(key.originId),
    bucket: bucketName(key.bucket),
    objectKey: objectKeyText(key.objectKey),
    etag: etagText(key.etag),
    sizeBytes,
    chunkSizeBytes,
  });
  return { version, index };
}
