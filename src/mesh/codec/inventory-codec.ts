/** The messages of ListChunks between what fill/chunk-lists.ts says they are and what proto/orca/v1/fill.proto writes. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ListChunksRequest,
  ListChunksRequestSchema,
  ListChunksResponse,
  ListChunksResponseSchema,
} from "../../../gen/orca/v1/fill_pb.ts";
import {
  type InventoryPage,
  type InventoryRequest,
  listedPathsMax,
} from "../../fill/replication/inventory-peers.ts";
import { decodeChunk, encodeChunkKey } from "./chunk-codec.ts";
import { malformed, text, wholeNumber } from "./message-field.ts";

const replicaIdBytesMax = 512;
const pathBytesMax = 256;
/** What a page of the largest names can hold, and a good deal more than anybody asks for. */
const chunksMax = 10_000;

export function encodeInventoryRequest(
  request: InventoryRequest,
): MessageInitShape<typeof ListChunksRequestSchema> {
  return {
    pageToken: request.after,
    pageSize: request.chunksMax,
    forReplica: request.keptBy,
    onlyPaths: [...request.paths],
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeInventoryRequest(wire: ListChunksRequest): InventoryRequest {
  const { pageToken, pageSize, forReplica, onlyPaths } = wire;
  if (onlyPaths.length > listedPathsMax) {
    throw malformed(`it names ${onlyPaths.length} paths, at most ${listedPathsMax} are taken`);
  }
  for (const path of onlyPaths) chunkPath(path, "only_paths");
  if (pageSize === 0 && onlyPaths.length === 0) throw malformed("page_size is 0");
  return {
    after: pageToken === "" ? "" : chunkPath(pageToken, "page_token"),
    chunksMax: pageSize,
    keptBy: text(forReplica, "for_replica", replicaIdBytesMax),
    paths: onlyPaths,
  };
}

export function encodeInventoryPage(page: InventoryPage): MessageInitShape<typeof ListChunksResponseSchema> {
  return {
    chunks: page.chunks.map((ref) => ({
      chunkKey: encodeChunkKey(ref),
      objectSize: BigInt(ref.version.sizeBytes),
    })),
    nextPageToken: page.nextAfter,
    passed: BigInt(page.passed),
    total: BigInt(page.total),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeInventoryPage(wire: ListChunksResponse): InventoryPage {
  if (wire.chunks.length > chunksMax) throw malformed(`its page has ${wire.chunks.length} chunks`);
  return {
    chunks: wire.chunks.map(({ chunkKey, objectSize }) => decodeChunk(chunkKey, objectSize)),
    nextAfter: wire.nextPageToken === "" ? "" : chunkPath(wire.nextPageToken, "next_page_token"),
    passed: wholeNumber(wire.passed, "passed"),
    total: wholeNumber(wire.total, "total"),
  };
}

function chunkPath(value: string, field: string): string {
  if (!/^.+\/[0-9a-f]{64}\/\d{1,16}$/u.test(value)) throw malformed(`${field} is no path of a chunk`);
  return text(value, field, pathBytesMax);
}
