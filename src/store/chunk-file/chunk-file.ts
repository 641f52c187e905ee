/**
 * The format of a chunk file, frozen as version 1: the chunk's bytes as the origin sent them, then a footer with which
 * a reader verifies everything else. The bytes come first, so that a block is read at its own offset and could be sent
 * straight from the file. The footer ends in a trailer of fixed size, so that one read of the tail finds everything.
 *
 *     chunk bytes
 *     LE32 CRC-32 of each 1 MiB block                          footer begins here
 *     32 B SHA-256 of the chunk bytes
 *     LP(origin id) LP(bucket) LP(object key) LP(etag)         LP(s) = LE64(byte length of s) || UTF-8 bytes
 *     LE64 chunk size, LE64 object size, LE64 chunk index
 *     LE64 length of the chunk bytes                           trailer begins here
 *     LE32 length of the footer, trailer included
 *     LE32 CRC-32 of the footer up to this field
 *     LE32 format version
 *     8 B  magic "orcachnk"
 *
 * The footer holds the stored key in full, although the name of the file contains its hash. The stored key proves that
 * the file holds the chunk of that name, and lets a tool find all chunks of a prefix without asking the origin.
 */
import { crc32 } from "node:zlib";
import { segmentSizeBytes } from "../../base/memory-budget.ts";
import { chunkLength } from "../../chunk/chunk-layout.ts";
import type { ChunkKey } from "../chunk-store.ts";

const formatVersion = 1;
/** A block fills one segment. It is the unit of reading and of checking. */
export const blockSizeBytes = segmentSizeBytes;
export const trailerLengthBytes = 28;

const magic = Buffer.from("orcachnk", "latin1");
const sha256LengthBytes = 32;
const numbersLengthBytes = 3 * 8;

/** The fields of a chunk key, as the footer of a chunk file holds them. */
export interface StoredChunkKey {
  readonly originId: string;
  readonly bucket: string;
  readonly objectKey: string;
  readonly etag: string;
  readonly chunkSizeBytes: number;
  readonly objectSizeBytes: number;
  readonly index: number;
}

export interface ChunkFooter {
  readonly storedKey: StoredChunkKey;
  /** Length of the chunk's bytes, which come before the footer. */
  readonly lengthBytes: number;
  /** CRC-32 of each block, in order. */
  readonly blockCrcs: Uint32Array;
  readonly sha256: Buffer;
}

/** The fault of a footer. A damaged file is a value and not an error, because a read of it is a miss. */
type FooterFault = "truncated" | "magic" | "version" | "footer-length" | "checksum" | "malformed";

export function storedKeyOf(key: ChunkKey): StoredChunkKey {
  const { originId, bucket, objectKey, etag, chunkSizeBytes, sizeBytes } = key.version;
  return { originId, bucket, objectKey, etag, chunkSizeBytes, objectSizeBytes: sizeBytes, index: key.index };
}

export function storedKeyEquals(left: StoredChunkKey, right: StoredChunkKey): boolean {
  return (
    left.objectKey === right.objectKey &&
    left.index === right.index &&
    left.etag === right.etag &&
    left.objectSizeBytes === right.objectSizeBytes &&
    left.chunkSizeBytes === right.chunkSizeBytes &&
    left.bucket === right.bucket &&
    left.originId === right.originId
  );
}

/**
 * The path of a chunk's file: the chunk path `<origin_id>/<hash>/<index>` becomes `<origin_id>.<hash>.<index>`, below
 * two characters of fan-out. Characters of an origin id that a file name cannot hold are percent-encoded.
 */
export function chunkFilePath(directory: string, chunkPath: string): string {
  const indexAt = chunkPath.lastIndexOf("/") + 1;
  const hashAt = chunkPath.lastIndexOf("/", indexAt - 2) + 1;
  const originId = encodeURIComponent(chunkPath.slice(0, hashAt - 1));
  const hash = chunkPath.slice(hashAt, indexAt - 1);
  return `${directory}/${hash.slice(0, 2)}/${originId}.${hash}.${chunkPath.slice(indexAt)}`;
}

/** The names of the directories that hold chunk files, in order: the first two characters of a hash. */
export const fanOuts: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** The chunk path that a file name stands for; undefined for a foreign name. */
export function chunkPathOfFileName(name: string): string | undefined {
  const match = /^(.+)\.([0-9a-f]{64})\.(0|[1-9]\d{0,15})$/.exec(name);
  if (!match) return undefined;
  try {
    const originId = decodeURIComponent(match[1] as string);
    return encodeURIComponent(originId) === match[1] ? `${originId}/${match[2]}/${match[3]}` : undefined;
  } catch {
    return undefined;
  }
}

export function footerLength(storedKey: StoredChunkKey): number {
  const { originId, bucket, objectKey, etag } = storedKey;
  let textBytes = 0;
  for (const text of [originId, bucket, objectKey, etag]) textBytes += 8 + Buffer.byteLength(text, "utf8");
  const lengthBytes = chunkLength(storedKey.objectSizeBytes, storedKey.chunkSizeBytes, storedKey.index);
  const blocks = Math.ceil(lengthBytes / blockSizeBytes);
  return 4 * blocks + sha256LengthBytes + textBytes + numbersLengthBytes + trailerLengthBytes;
}

/** Size of the whole file. It is known before the first byte is written, so a reservation is exact. */
export function chunkFileSize(storedKey: StoredChunkKey): number {
  const { objectSizeBytes, chunkSizeBytes, index } = storedKey;
  return chunkLength(objectSizeBytes, chunkSizeBytes, index) + footerLength(storedKey);
}

export function encodeFooter(footer: ChunkFooter): Buffer {
  const { storedKey, lengthBytes, blockCrcs, sha256 } = footer;
  const bytes = Buffer.alloc(footerLength(storedKey));
  let offset = 0;
  for (const crc of blockCrcs) offset = bytes.writeUInt32LE(crc, offset);
  offset += sha256.copy(bytes, offset);
  for (const text of [storedKey.originId, storedKey.bucket, storedKey.objectKey, storedKey.etag]) {
    offset = bytes.writeBigUInt64LE(BigInt(Buffer.byteLength(text, "utf8")), offset);
    offset += bytes.write(text, offset, "utf8");
  }
  for (const number of [storedKey.chunkSizeBytes, storedKey.objectSizeBytes, storedKey.index, lengthBytes]) {
    offset = bytes.writeBigUInt64LE(BigInt(number), offset);
  }
  offset = bytes.writeUInt32LE(bytes.length, offset);
  offset = bytes.writeUInt32LE(crc32(bytes.subarray(0, offset)), offset);
  offset = bytes.writeUInt32LE(formatVersion, offset);
  magic.copy(bytes, offset);
  return bytes;
}

/** Decodes the footer at the end of `tail`, the last bytes of a file. `tail` must contain the whole footer. */
export function decodeFooter(tail: Buffer): ChunkFooter | FooterFault {
  if (tail.length < trailerLengthBytes) return "truncated";
  const trailer = tail.subarray(tail.length - trailerLengthBytes);
  if (!trailer.subarray(20).equals(magic)) return "magic";
  if (trailer.readUInt32LE(16) !== formatVersion) return "version";
  const lengthOfFooter = trailer.readUInt32LE(8);
  if (lengthOfFooter < trailerLengthBytes || lengthOfFooter > tail.length) return "footer-length";
  const footer = tail.subarray(tail.length - lengthOfFooter);
  if (crc32(footer.subarray(0, footer.length - 16)) !== trailer.readUInt32LE(12)) return "checksum";
  try {
    return parseFooter(footer);
  } catch {
    // The checksum is right, so another program wrote this footer. Its fields may point anywhere.
    return "malformed";
  }
}

/** @throws RangeError if a field reaches past the footer. */
function parseFooter(footer: Buffer): ChunkFooter | FooterFault {
  let offset = 0;
  const number = (): number => {
    offset += 8;
    return Number(footer.readBigUInt64LE(offset - 8));
  };
  const text = (): string => {
    const lengthBytes = number();
    offset += lengthBytes;
    return footer.toString("utf8", offset - lengthBytes, offset);
  };
  const chunkLengthBytes = Number(footer.readBigUInt64LE(footer.length - trailerLengthBytes));
  const blocks = Math.ceil(chunkLengthBytes / blockSizeBytes);
  if (blocks * 4 > footer.length) return "malformed";
  const blockCrcs = new Uint32Array(blocks);
  for (let block = 0; block < blocks; block += 1, offset += 4) blockCrcs[block] = footer.readUInt32LE(offset);
  const sha256 = Buffer.from(footer.subarray(offset, offset + sha256LengthBytes));
  offset += sha256LengthBytes;
  const storedKey: StoredChunkKey = {
    originId: text(),
    bucket: text(),
    objectKey: text(),
    etag: text(),
    chunkSizeBytes: number(),
    objectSizeBytes: number(),
    index: number(),
  };
  const { chunkSizeBytes, objectSizeBytes, index } = storedKey;
  const whole = offset === footer.length - trailerLengthBytes && index * chunkSizeBytes < objectSizeBytes;
  if (!whole || chunkLength(objectSizeBytes, chunkSizeBytes, index) !== chunkLengthBytes) return "malformed";
  return { storedKey, lengthBytes: chunkLengthBytes, blockCrcs, sha256 };
}
