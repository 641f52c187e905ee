/** Encodes and decodes the requests and answers of PurgeObjects (proto/orca/v1/cache.proto). */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  PurgedChunks,
  PurgeObjectsRequest,
  PurgeObjectsRequestSchema,
  PurgeObjectsResponse,
  PurgeObjectsResponseSchema,
} from "../../../gen/orca/v1/cache_pb.ts";
import type { ObjectPrefix } from "../../chunk/object-prefix.ts";
import type { PurgedReplica, PurgeScope } from "../../object/freshness/purge-peers.ts";
import { numberField, presentField, textField } from "./message-field.ts";
import { bucketField, objectKeyBytesMax, originIdField } from "./object-name.ts";

export function encodePurgeRequest(
  { originId, bucket, keyPrefix, match }: ObjectPrefix,
  { what, cachestore }: PurgeScope,
): MessageInitShape<typeof PurgeObjectsRequestSchema> {
  const wholeKey = match === "key";
  return {
    originId,
    bucket,
    keyPrefix,
    wholeKey,
    metadataOnly: what !== "all",
    cachestore,
    pinsOnly: what === "pins",
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodePurgeRequest(message: PurgeObjectsRequest): {
  readonly prefix: ObjectPrefix;
  readonly scope: PurgeScope;
} {
  const prefix = {
    originId: originIdField(message.originId),
    bucket: bucketField(message.bucket),
    keyPrefix: textField(message.keyPrefix, "key_prefix", objectKeyBytesMax),
    match: message.wholeKey ? "key" : "prefix",
  } as const;
  const forgets = message.metadataOnly ? "metadata" : "all";
  return { prefix, scope: { what: message.pinsOnly ? "pins" : forgets, cachestore: message.cachestore } };
}

export function encodePurged({
  objects,
  memory,
  disk,
  cachestore,
}: PurgedReplica): MessageInitShape<typeof PurgeObjectsResponseSchema> {
  return {
    objects: BigInt(objects),
    memory: encodeChunks(memory),
    ...(disk && { disk: encodeChunks(disk) }),
    ...(cachestore && {
      cachestoreChunks: BigInt(cachestore.chunks),
      cachestoreFailed: BigInt(cachestore.failed),
    }),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodePurged(message: PurgeObjectsResponse): PurgedReplica {
  const { disk, cachestoreChunks } = message;
  return {
    objects: numberField(message.objects, "objects"),
    memory: decodeChunks(presentField(message.memory, "memory")),
    disk: disk ? decodeChunks(disk) : null,
    cachestore:
      cachestoreChunks === undefined
        ? null
        : {
            chunks: numberField(cachestoreChunks, "cachestore_chunks"),
            failed: numberField(message.cachestoreFailed, "cachestore_failed"),
          },
  };
}

function encodeChunks({ chunks, bytes }: PurgedReplica["memory"]) {
  return { chunks: BigInt(chunks), bytes: BigInt(bytes) };
}

function decodeChunks({ chunks, bytes }: PurgedChunks): PurgedReplica["memory"] {
  return { chunks: numberField(chunks, "chunks"), bytes: numberField(bytes, "bytes") };
}
