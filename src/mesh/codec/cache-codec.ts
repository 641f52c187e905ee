/** Encodes and decodes the requests and answers of InspectObject (proto/orca/v1/cache.proto). */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  InspectObjectRequest,
  InspectObjectRequestSchema,
  InspectObjectResponse,
} from "../../../gen/orca/v1/cache_pb.ts";
import { GiB } from "../../base/units.ts";
import { ObjectVersion } from "../../chunk/object-version.ts";
import type { ChunkTiers } from "../../fill/inspection/cache-peers.ts";
import { malformedMessage, numberField } from "./message-field.ts";
import { decodeObject } from "./object-codec.ts";
import { etagField } from "./object-name.ts";

const chunkSizeBytesMax = GiB;

export function encodeInspectRequest(
  version: ObjectVersion,
): MessageInitShape<typeof InspectObjectRequestSchema> {
  const { originId, bucket, objectKey, etag, sizeBytes, chunkSizeBytes } = version;
  return {
    object: { originId, bucket, objectKey },
    etag,
    objectSize: BigInt(sizeBytes),
    chunkSize: BigInt(chunkSizeBytes),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeInspectRequest(message: InspectObjectRequest): ObjectVersion {
  const { originId, location } = decodeObject(message.object);
  const chunkSizeBytes = numberField(message.chunkSize, "chunk_size", chunkSizeBytesMax);
  if (chunkSizeBytes === 0) throw malformedMessage("chunk_size is 0");
  return new ObjectVersion({
    originId,
    bucket: location.bucket,
    objectKey: location.key,
    etag: etagField(message.etag),
    sizeBytes: numberField(message.objectSize, "object_size"),
    chunkSizeBytes,
  });
}

/** @throws OrcaError `invalid_argument`. */
export function decodeInspectAnswer(
  { chunkTiers }: InspectObjectResponse,
  { chunkCount }: ObjectVersion,
): ChunkTiers {
  if (chunkTiers.length !== chunkCount) {
    throw malformedMessage(`it reports ${chunkTiers.length} chunks, the object has ${chunkCount}`);
  }
  return chunkTiers;
}
