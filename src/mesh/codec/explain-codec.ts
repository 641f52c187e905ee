/** Encodes and decodes the requests and answers of ExplainObject (proto/orca/v1/cache.proto). */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  BelievedVersion as BelievedVersionMessage,
  BelievedVersionSchema,
  ExplainObjectRequest,
  ExplainObjectRequestSchema,
  ExplainObjectResponse,
  ExplainObjectResponseSchema,
} from "../../../gen/orca/v1/cache_pb.ts";
import { errorTable } from "../../base/error-table.ts";
import type { ErrorCode } from "../../base/orca-error.ts";
import { GiB } from "../../base/units.ts";
import { ObjectVersion } from "../../chunk/object-version.ts";
import {
  type ExplainAnswer,
  type ExplainQuestion,
  explainedBlocksMax,
} from "../../object/explaining/explain-peers.ts";
import type { BelievedVersion, MetadataBelief } from "../../object/explaining/metadata-belief.ts";
import { malformedMessage, numberField } from "./message-field.ts";
import { decodeObject, encodeObject } from "./object-codec.ts";
import { etagField } from "./object-name.ts";

const chunkSizeBytesMax = GiB;
const states = ["fresh", "expired", "unknown"] as const;

export function encodeExplainRequest(
  question: ExplainQuestion,
): MessageInitShape<typeof ExplainObjectRequestSchema> {
  const { firstBytes, version, firstChunk, chunkCount } = question;
  return {
    object: encodeObject(question),
    firstOffset: BigInt(firstBytes?.offset ?? 0),
    firstBytes: BigInt(firstBytes?.lengthBytes ?? 0),
    ...(version && { version: encodeVersion(version) }),
    firstChunk: BigInt(firstChunk),
    chunkCount: BigInt(chunkCount),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeExplainRequest(message: ExplainObjectRequest): ExplainQuestion {
  const { originId, location } = decodeObject(message.object);
  const offset = numberField(message.firstOffset, "first_offset");
  const lengthBytes = numberField(message.firstBytes, "first_bytes");
  const believed = message.version && decodeVersion(message.version);
  const firstChunk = numberField(message.firstChunk, "first_chunk");
  const chunkCount = numberField(message.chunkCount, "chunk_count", explainedBlocksMax);
  const { bucket, key: objectKey } = location;
  const version = believed && new ObjectVersion({ originId, bucket, objectKey, ...believed });
  if (firstChunk + chunkCount > (version?.chunkCount ?? 0))
    throw malformedMessage("the chunks are not those of the version");
  const firstBytes = lengthBytes > 0 ? { offset, lengthBytes, withChecksums: false } : undefined;
  return { originId, location, firstBytes, version, firstChunk, chunkCount };
}

export function encodeExplainAnswer({
  metadata,
  origin,
  blocks,
}: ExplainAnswer): MessageInitShape<typeof ExplainObjectResponseSchema> {
  const { remainingMs, version } = metadata;
  return {
    metadataState: metadata.state,
    ...(remainingMs !== Infinity && { remainingMs: BigInt(Math.floor(remainingMs)) }),
    error: metadata.error ?? "",
    ...(version && { version: encodeVersion(version) }),
    asking: metadata.isAsking,
    opens: metadata.request === "GET",
    requestsInFlight: BigInt(origin.inFlight),
    requestsInFlightMax: BigInt(origin.inFlightMax),
    requestsWaiting: BigInt(origin.waiting),
    ...(origin.throttledTo !== undefined && { throttledTo: BigInt(origin.throttledTo) }),
    blocks,
  };
}

/** `blockCount`: of the chunks that were asked about. @throws OrcaError `invalid_argument`. */
export function decodeExplainAnswer(message: ExplainObjectResponse, blockCount: number): ExplainAnswer {
  const { blocks, throttledTo } = message;
  if (blocks.length !== blockCount)
    throw malformedMessage(`it reports ${blocks.length} blocks, ${blockCount} were asked about`);
  return {
    metadata: decodeBelief(message),
    origin: {
      inFlight: numberField(message.requestsInFlight, "requests_in_flight"),
      inFlightMax: numberField(message.requestsInFlightMax, "requests_in_flight_max"),
      waiting: numberField(message.requestsWaiting, "requests_waiting"),
      ...(throttledTo !== undefined && { throttledTo: numberField(throttledTo, "throttled_to") }),
    },
    blocks,
  };
}

function decodeBelief(message: ExplainObjectResponse): MetadataBelief {
  const { remainingMs, error } = message;
  const state = states.find((each) => each === message.metadataState);
  if (state === undefined) throw malformedMessage("metadata_state is not one that is known");
  if (error !== "" && !Object.hasOwn(errorTable, error)) throw malformedMessage("error is no code of Orca");
  return {
    state,
    remainingMs: remainingMs === undefined ? Infinity : numberField(remainingMs, "remaining_ms"),
    ...(error !== "" && { error: error as ErrorCode }),
    ...(message.version && { version: decodeVersion(message.version) }),
    isAsking: message.asking,
    request: message.opens ? "GET" : "HEAD",
  };
}

function encodeVersion(version: BelievedVersion): MessageInitShape<typeof BelievedVersionSchema> {
  const { etag, sizeBytes, chunkSizeBytes } = version;
  return { etag, objectSize: BigInt(sizeBytes), chunkSize: BigInt(chunkSizeBytes) };
}

function decodeVersion({ etag, objectSize, chunkSize }: BelievedVersionMessage): BelievedVersion {
  const chunkSizeBytes = numberField(chunkSize, "chunk_size", chunkSizeBytesMax);
  if (chunkSizeBytes === 0) throw malformedMessage("chunk_size is 0");
  return { etag: etagField(etag), sizeBytes: numberField(objectSize, "object_size"), chunkSizeBytes };
}
