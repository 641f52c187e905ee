/** Encodes and decodes the requests and answers of CacheService (proto/orca/v1/cache.proto). */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type InspectObjectRequest,
  type InspectObjectRequestSchema,
  type InspectObjectResponse,
  type WarmChunkRequest,
  type WarmChunkRequestSchema,
  type WarmChunkResponse,
  WarmResult as WarmResultMessage,
} from "../../../gen/orca/v1/cache_pb.ts";
import { GiB } from "../../base/units.ts";
import { type ChunkTier, chunkSizeFor } from "../../chunk/chunk-layout.ts";
import { ObjectVersion } from "../../chunk/object-version.ts";
import type { ChunkTiers } from "../../fill/inspection/cache-peers.ts";
import type { WarmResult } from "../../fill/warming/warm-peers.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import { decodeChunk, encodeChunkKey } from "./chunk-codec.ts";
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

const warmResults: Readonly<Record<WarmResult, WarmResultMessage>> = {
  held: WarmResultMessage.HELD,
  filled: WarmResultMessage.FILLED,
  missing: WarmResultMessage.MISSING,
  busy: WarmResultMessage.BUSY,
};

export function encodeWarmRequest(
  key: ChunkKey,
  fill: boolean,
): MessageInitShape<typeof WarmChunkRequestSchema> {
  const { sizeBytes, contentCoding, versionId } = key.version;
  return {
    chunkKey: encodeChunkKey(key),
    objectSize: BigInt(sizeBytes),
    fill,
    ...(contentCoding !== undefined && { contentCoding }),
    ...(versionId !== undefined && { versionId }),
  };
}

/** A fill reserves memory for a whole chunk, so a peer may not choose its size. @throws OrcaError `invalid_argument`. */
export function decodeWarmRequest(message: WarmChunkRequest, chunkTiers: readonly ChunkTier[]): ChunkKey {
  const key = decodeChunk(message.chunkKey, message);
  const { chunkSizeBytes, sizeBytes } = key.version;
  const agreed = chunkSizeFor(sizeBytes, chunkTiers);
  if (chunkSizeBytes === agreed) return key;
  throw malformedMessage(
    `chunk_size is ${chunkSizeBytes}, chunks of such an object have ${agreed} (chunking)`,
  );
}

export function encodeWarmResult(result: WarmResult): WarmResultMessage {
  return warmResults[result];
}

/** @throws OrcaError `invalid_argument`. */
export function decodeWarmAnswer({ result }: WarmChunkResponse): WarmResult {
  for (const known of ["held", "filled", "missing", "busy"] as const)
    if (warmResults[known] === result) return known;
  throw malformedMessage(`result is ${result}, expected 1 to 4`);
}
