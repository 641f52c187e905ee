/**
 * The checksums of a chunk in the S3 cachestore. An object contains only the chunk's bytes, so its metadata hold the
 * checksums: the SHA-256 of the whole chunk, which tools compare, and the CRC-32 of each block, with which a read of
 * any range is checked before a reader sees a byte of it. They also hold the size of the chunk's object: the path has no
 * size, and an origin may give one ETag to bytes of two sizes, whose inner chunks are equally long. An object from
 * another writer may have none of these; then only its length is checked.
 */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";

export interface ChunkDigest {
  /** Hex, of all bytes. */
  readonly sha256: string;
  /** CRC-32 of each block of 1 MiB, the last one shorter. */
  readonly blockCrcs: Uint32Array;
}

const sha256Header = "x-amz-meta-orca-sha256";
const blockCrcsHeader = "x-amz-meta-orca-crc32";
const objectSizeHeader = "x-amz-meta-orca-object-size";

/** S3 allows 2 KB of metadata. This many checksums of 4 bytes, in Base64, leave some of it free. Chunks up to 256 MiB. */
const blockCrcsMax = 256;

/** Takes 0.9 ms per MiB, so a thread calls it. */
export function digestOf(blocks: readonly Uint8Array[]): ChunkDigest {
  const hash = createHash("sha256");
  const blockCrcs = new Uint32Array(blocks.length);
  for (const [index, block] of blocks.entries()) {
    blockCrcs[index] = crc32(block);
    hash.update(block);
  }
  return { sha256: hash.digest("hex"), blockCrcs };
}

/** The digest and the size of the chunk's object, as headers of a PUT. */
export function digestHeaders(
  { sha256, blockCrcs }: ChunkDigest,
  objectSizeBytes: number,
): Readonly<Record<string, string>> {
  const headers = { [sha256Header]: sha256, [objectSizeHeader]: String(objectSizeBytes) };
  if (blockCrcs.length > blockCrcsMax) return headers;
  const bytes = Buffer.alloc(blockCrcs.length * 4);
  for (const [index, crc] of blockCrcs.entries()) bytes.writeUInt32LE(crc, index * 4);
  return { ...headers, [blockCrcsHeader]: bytes.toString("base64") };
}

/** Whether an object may hold a chunk of an object of this size: its writer said so, or did not say. */
export function isOfObjectSize(headers: ReadonlyMap<string, string>, objectSizeBytes: number): boolean {
  const text = headers.get(objectSizeHeader);
  return text === undefined || text === String(objectSizeBytes);
}

/** The checksums in the headers of a GET. `absent`: the writer stored none. `malformed`: they cannot be used. */
export function blockCrcsOf(
  headers: ReadonlyMap<string, string>,
  blockCount: number,
): Uint32Array | "absent" | "malformed" {
  const text = headers.get(blockCrcsHeader);
  if (text === undefined) return "absent";
  const bytes = Buffer.from(text, "base64");
  if (bytes.length !== blockCount * 4 || bytes.toString("base64") !== text) return "malformed";
  return Uint32Array.from({ length: blockCount }, (_, index) => bytes.readUInt32LE(index * 4));
}
