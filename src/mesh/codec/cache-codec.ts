/** Encodes and decodes the requests and answers of CacheService (proto/orca/v1/cache.proto). */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type InspectObjectRequest,
  type InspectObjectRequestSchema,
  type InspectObjectResponse,
  type WarmChunkRequest,
  type WarmChunkRequestSchema,
  type WarmChunkResponse,
  type WarmChunkResponseSchema,
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

const warmResults: Readonly<Record<Exclude<WarmResult, "unpinned">, WarmResultMessage>> = {
  held: WarmResultMessage.HELD,
  filled: WarmResultMessage.FILLED,
  missing: WarmResultMessage.MISSING,
  busy: WarmResultMessage.BUSY,
};

export function encodeWarmRequest(
  key: ChunkKey,
  fill: boolean,
  pinUntilMs: number,
): MessageInitShape<typeof WarmChunkRequestSchema> {
  const { sizeBytes, contentCoding, versionId } = key.version;
  return {
    chunkKey: encodeChunkKey(key),
    objectSize: BigInt(sizeBytes),
    fill,
    pinUntil: BigInt(Math.ceil(pinUntilMs)),
    ...(contentCoding !== undefined && { contentCoding }),
    ...(versionId !== undefined && { versionId }),
  };
}

/** A fill reserves memory for a whole chunk, so a peer may not choose its size. @throws OrcaError `invalid_argument`. */
export function decodeWarmRequest(
  message: WarmChunkRequest,
  chunkTiers: readonly ChunkTier[],
): { readonly key: ChunkKey; readonly pinUntilMs: number } {
  const key = decodeChunk(message.chunkKey, message);
  const { chunkSizeBytes, sizeBytes } = key.version;
  const agreed = chunkSizeFor(sizeBytes, chunkTiers);
  if (chunkSizeBytes === agreed) return { key, pinUntilMs: numberField(message.pinUntil, "pin_until") };
  throw malformedMessage(
    `chunk_size is ${chunkSizeBytes}, chunks of such an object have ${agreed} (chunking)`,
  );
}

/** A receiver that does not know of pins says nothing of them, so the field says that it is pinned. */
export function encodeWarmAnswer(
  result: WarmResult,
  pinUntilMs: number,
): MessageInitShape<typeof WarmChunkResponseSchema> {
  if (result === "unpinned") return { result: WarmResultMessage.HELD, pinned: false };
  return { result: warmResults[result], pinned: result === "held" && pinUntilMs > 0 };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeWarmAnswer({ result, pinned }: WarmChunkResponse, expectsPin: boolean): WarmResult {
  if (expectsPin && result === WarmResultMessage.HELD && !pinned) return "unpinned";
  for (const known of ["held", "filled", "missing", "busy"] as const)
    if (warmResults[known] === result) return known;
  throw malformedMessage(`result is ${result}, expected 1 to 4`);
}
