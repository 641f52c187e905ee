/** Converts the requests and pages of inventories to and from their messages in proto/orca/v1/fill.proto. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  AnnounceChunksRequest,
  AnnounceChunksRequestSchema,
  CompareChunksRequest,
  CompareChunksRequestSchema,
  CompareChunksResponse,
  CompareChunksResponseSchema,
  ListChunksRequest,
  ListChunksRequestSchema,
  ListChunksResponse,
  ListChunksResponseSchema,
  ListedChunk,
  ListedChunkSchema,
  NameChunksRequest,
  NameChunksResponse,
  NameChunksResponseSchema,
} from "../../../gen/orca/v1/fill_pb.ts";
import {
  type ComparePage,
  type CompareRequest,
  type InventoryPage,
  type InventoryRequest,
  namedPathsMax,
} from "../../fill/replication/inventory-peers.ts";
import { ShelfDigests } from "../../fill/replication/shelf.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import { decodeChunk, encodeChunkKey } from "./chunk-codec.ts";
import { malformedMessage, nameField, numberField, textField } from "./message-field.ts";

const replicaIdBytesMax = 512;
const pathBytesMax = 256;
/** Chunks or paths that a page may hold. No replica asks for that many. */
const chunksMax = 10_000;
/** Chunks in one announcement. Each costs a hash to decode. */
const announcedChunksMax = 128;

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
  return {
    ...pageRequest(message),
    keptBy: textField(message.forReplica, "for_replica", replicaIdBytesMax),
  };
}

export function encodeInventoryPage(page: InventoryPage): MessageInitShape<typeof ListChunksResponseSchema> {
  return {
    chunks: page.chunks.map(encodeListed),
    nextPageToken: page.nextAfter,
    passed: BigInt(page.passed),
    total: BigInt(page.total),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeInventoryPage(message: ListChunksResponse): InventoryPage {
  return { chunks: decodeListed(message.chunks, chunksMax), ...pageEnd(message) };
}

export function encodeCompareRequest(
  request: CompareRequest,
): MessageInitShape<typeof CompareChunksRequestSchema> {
  return {
    pageToken: request.after,
    pageSize: request.chunksMax,
    forReplica: request.keptBy,
    commonDigests: Uint8Array.from(request.common.bytes),
    extraDigests: Uint8Array.from(request.extra?.bytes ?? []),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeCompareRequest(message: CompareChunksRequest): CompareRequest {
  const { forReplica, commonDigests, extraDigests } = message;
  return {
    ...pageRequest(message),
    keptBy: nameField(forReplica, "for_replica", replicaIdBytesMax),
    common: digests(commonDigests, "common_digests"),
    extra: extraDigests.length === 0 ? undefined : digests(extraDigests, "extra_digests"),
  };
}

export function encodeComparePage(page: ComparePage): MessageInitShape<typeof CompareChunksResponseSchema> {
  return {
    chunkPaths: [...page.paths],
    nextPageToken: page.nextAfter,
    passed: BigInt(page.passed),
    total: BigInt(page.total),
    extraDigests: Uint8Array.from(page.extra?.bytes ?? []),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeComparePage(message: CompareChunksResponse): ComparePage {
  return {
    paths: chunkPaths(message.chunkPaths, chunksMax),
    chunks: undefined,
    extra: digests(message.extraDigests, "extra_digests"),
    ...pageEnd(message),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeNameRequest(message: NameChunksRequest): readonly string[] {
  return chunkPaths(message.chunkPaths, namedPathsMax);
}

export function encodeNamed(chunks: readonly ChunkKey[]): MessageInitShape<typeof NameChunksResponseSchema> {
  return { chunks: chunks.map(encodeListed) };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeNamed(message: NameChunksResponse): readonly ChunkKey[] {
  return decodeListed(message.chunks, namedPathsMax);
}

export function encodeAnnounced(
  chunks: readonly ChunkKey[],
): MessageInitShape<typeof AnnounceChunksRequestSchema> {
  return { chunks: chunks.map(encodeListed) };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeAnnounced(message: AnnounceChunksRequest): readonly ChunkKey[] {
  return decodeListed(message.chunks, announcedChunksMax);
}

function encodeListed(key: ChunkKey): MessageInitShape<typeof ListedChunkSchema> {
  return { chunkKey: encodeChunkKey(key), objectSize: BigInt(key.version.sizeBytes) };
}

function decodeListed(chunks: readonly ListedChunk[], countMax: number): ChunkKey[] {
  checkCount("chunks", chunks.length, countMax);
  return chunks.map(({ chunkKey, objectSize }) => decodeChunk(chunkKey, { objectSize }));
}

function pageRequest({ pageToken, pageSize }: { pageToken: string; pageSize: number }) {
  if (pageSize === 0) throw malformedMessage("page_size is 0");
  return { after: pageToken === "" ? "" : chunkPath(pageToken, "page_token"), chunksMax: pageSize };
}

function pageEnd({ nextPageToken, passed, total }: ListChunksResponse | CompareChunksResponse) {
  return {
    nextAfter: nextPageToken === "" ? "" : chunkPath(nextPageToken, "next_page_token"),
    passed: numberField(passed, "passed"),
    total: numberField(total, "total"),
  };
}

function digests(bytes: Uint8Array, field: string): ShelfDigests {
  const { lengthBytes } = ShelfDigests;
  if (bytes.length !== lengthBytes) {
    throw malformedMessage(`${field} has ${bytes.length} bytes, expected ${lengthBytes}`);
  }
  return new ShelfDigests(bytes);
}

function chunkPaths(paths: readonly string[], countMax: number): readonly string[] {
  checkCount("paths", paths.length, countMax);
  for (const path of paths) chunkPath(path, "chunk_paths");
  return paths;
}

function checkCount(what: string, count: number, max: number): void {
  if (count > max) throw malformedMessage(`it has ${count} ${what}, at most ${max} are accepted`);
}

function chunkPath(value: string, field: string): string {
  if (!/^.+\/[0-9a-f]{64}\/\d{1,16}$/u.test(value)) throw malformedMessage(`${field} is not a chunk path`);
  return textField(value, field, pathBytesMax);
}
