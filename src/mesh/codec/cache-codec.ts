/** The messages of cache.proto, between what fill/cache-peers.ts says they are and how they are written. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  InspectObjectRequest,
  InspectObjectRequestSchema,
  InspectObjectResponse,
} from "../../../gen/orca/v1/cache_pb.ts";
import { GiB } from "../../base/units.ts";
import { ObjectVersion } from "../../chunk/object-version.ts";
import type { ChunkTiers } from "../../fill/inspection/cache-peers.ts";
import { malformed, wholeNumber } from "./message-field.ts";
import { decodeObject } from "./object-codec.ts";
import { etagText } from "./object-name.ts";

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
export function decodeInspectRequest(wire: InspectObjectRequest): ObjectVersion {
  const { originId, location } = decodeObject(wire.object);
  const chunkSizeBytes = wholeNumber(wire.chunkSize, "chunk_size", chunkSizeBytesMax);
  if (chunkSizeBytes === 0) throw malformed("chunk_size is 0");
  return new ObjectVersion({
    originId,
    bucket: location.bucket,
    objectKey: location.key,
    etag: etagText(wire.etag),
    sizeBytes: wholeNumber(wire.objectSize, "object_size"),
    chunkSizeBytes,
  });
}

/** @throws OrcaError `invalid_argument`. */
export function decodeInspectAnswer(
  { chunkTiers }: InspectObjectResponse,
  { chunkCount }: ObjectVersion,
): ChunkTiers {
  if (chunkTiers.length !== chunkCount) {
    throw malformed(`it tells of ${chunkTiers.length} chunks where there are ${chunkCount}`);
  }
  return chunkTiers;
}
