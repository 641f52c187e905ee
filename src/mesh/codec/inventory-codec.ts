/** Converts inventory requests and pages to and from the messages of ListChunks in proto/orca/v1/fill.proto. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ListChunksRequest,
  ListChunksRequestSchema,
  ListChunksResponse,
  ListChunksResponseSchema,
} from "../../../gen/orca/v1/fill_pb.ts";
import type { InventoryPage, InventoryRequest } from "../../fill/replication/inventory-peers.ts";
import { decodeChunk, encodeChunkKey } from "./chunk-codec.ts";
import { malformedMessage, numberField, textField } from "./message-field.ts";

const replicaIdBytesMax = 512;
const pathBytesMax = 256;
/** Chunks that a page may hold. No replica asks for that many. */
const chunksMax = 10_000;

export function encodeInventoryRequest(
  request: InventoryRequest,
): MessageInitShape<typeof ListChunksRequestSchema> {
  return {
    pageToken: request.after,
    pageSize: request.chunksMax,
    forReplica: request.keptBy,
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeInventoryRequest(message: ListChunksRequest): InventoryRequest {
  const { pageToken, pageSize, forReplica } = message;
  if (pageSize === 0) throw malformedMessage("page_size is 0");
  return {
    after: pageToken === "" ? "" : chunkPath(pageToken, "page_token"),
    chunksMax: pageSize,
    keptBy: textField(forReplica, "for_replica", replicaIdBytesMax),
  };
}

export function encodeInventoryPage(page: InventoryPage): MessageInitShape<typeof ListChunksResponseSchema> {
  return {
    chunks: page.chunks.map((key) => ({
      chunkKey: encodeChunkKey(key),
      objectSize: BigInt(key.version.sizeBytes),
    })),
    nextPageToken: page.nextAfter,
    passed: BigInt(page.passed),
    total: BigInt(page.total),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeInventoryPage(message: ListChunksResponse): InventoryPage {
  const { chunks, nextPageToken, passed, total } = message;
  if (chunks.length > chunksMax) {
    throw malformedMessage(`its page has ${chunks.length} chunks, at most ${chunksMax} are accepted`);
  }
  return {
    chunks: chunks.map(({ chunkKey, objectSize }) => decodeChunk(chunkKey, { objectSize })),
    nextAfter: nextPageToken === "" ? "" : chunkPath(nextPageToken, "next_page_token"),
    passed: numberField(passed, "passed"),
    total: numberField(total, "total"),
  };
}

function chunkPath(value: string, field: string): string {
  if (!/^.+\/[0-9a-f]{64}\/\d{1,16}$/u.test(value)) throw malformedMessage(`${field} is not a chunk path`);
  return textField(value, field, pathBytesMax);
}
