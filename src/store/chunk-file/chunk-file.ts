/**
 * The format of a chunk on disk, frozen as version 1: the bytes as they were at the origin, then a footer that lets
 * a reader trust nothing else. The bytes come first so that a block is read at its own offset and could be sent from
 * the file as it lies; the footer ends in a trailer of fixed size, so that one read from the tail finds everything.
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
 * The identity stands in full, although the name of the file holds its hash: it proves that the file is what its
 * name says, and lets a tool find all chunks of a prefix without asking the origin.
 */
import { crc32 } from "node:zlib";
import { segmentSizeBytes } from "../../base/memory-budget.ts";
import { chunkLength } from "../../chunk/chunk-layout.ts";
import type { ChunkKey } from "../chunk-store.ts";

const formatVersion = 1;
/** A block is what one segment holds: the unit of reading and of checking. */
export const blockSizeBytes = segmentSizeBytes;
export const trailerLengthBytes = 28;

const magic = Buffer.from("orcachnk", "latin1");
const sha256LengthBytes = 32;
const numbersLengthBytes = 3 * 8;

/** Which chunk of which version of which object a file holds. */
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
  readonly identity: StoredChunkKey;
  /** Length of the chunk bytes in front of the footer. */
  readonly lengthBytes: number;
  /** CRC-32 of each block, in order. */
  readonly blockCrcs: Uint32Array;
  readonly sha256: Buffer;
}

/** What is wrong with a footer; a damaged file is a value, because the disk tier answers it with a miss. */
type FooterFault = "truncated" | "magic" | "version" | "footer-length" | "checksum" | "malformed";

export function storedKeyOf(ref: ChunkKey): StoredChunkKey {
  const { originId, bucket, objectKey, etag, chunkSizeBytes, sizeBytes } = ref.version;
  return { originId, bucket, objectKey, etag, chunkSizeBytes, objectSizeBytes: sizeBytes, index: ref.index };
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
 * Where the chunk `<origin_id>/<hash>/<index>` lies: `<origin_id>.<hash>.<index>` below two characters of fan-out.
 * An origin id with characters that a file name cannot hold is percent-encoded.
 */
export function chunkFilePath(directory: string, chunkPath: string): string {
  const indexAt = chunkPath.lastIndexOf("/") + 1;
  const hashAt = chunkPath.lastIndexOf("/", indexAt - 2) + 1;
  const originId = encodeURIComponent(chunkPath.slice(0, hashAt - 1));
  const hash = chunkPath.slice(hashAt, indexAt - 1);
  return `${directory}/${hash.slice(0, 2)}/${originId}.${hash}.${chunkPath.slice(indexAt)}`;
}

/** The names of the directories that chunks' files lie in, in order: the first two characters of a hash. */
export const fanOuts: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** The chunk path that a file name stands for, or undefined for a foreign name. */
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

export function footerLength(identity: StoredChunkKey): number {
  const { originId, bucket, objectKey, etag } = identity;
  let textBytes = 0;
  for (const text of [originId, bucket, objectKey, etag]) textBytes += 8 + Buffer.byteLength(text, "utf8");
  const lengthBytes = chunkLength(identity.objectSizeBytes, identity.chunkSizeBytes, identity.index);
  const blocks = Math.ceil(lengthBytes / blockSizeBytes);
  return 4 * blocks + sha256LengthBytes + textBytes + numbersLengthBytes + trailerLengthBytes;
}

/** Size of the whole file: known before a byte is written, which is what makes a reservation exact. */
export function chunkFileSize(identity: StoredChunkKey): number {
  const { objectSizeBytes, chunkSizeBytes, index } = identity;
  return chunkLength(objectSizeBytes, chunkSizeBytes, index) + footerLength(identity);
}

export function encodeFooter(footer: ChunkFooter): Buffer {
  const { identity, lengthBytes, blockCrcs, sha256 } = footer;
  const bytes = Buffer.alloc(footerLength(identity));
  let offset = 0;
  for (const crc of blockCrcs) offset = bytes.writeUInt32LE(crc, offset);
  offset += sha256.copy(bytes, offset);
  for (const text of [identity.originId, identity.bucket, identity.objectKey, identity.etag]) {
    offset = bytes.writeBigUInt64LE(BigInt(Buffer.byteLength(text, "utf8")), offset);
    offset += bytes.write(text, offset, "utf8");
  }
  for (const number of [identity.chunkSizeBytes, identity.objectSizeBytes, identity.index, lengthBytes]) {
    offset = bytes.writeBigUInt64LE(BigInt(number), offset);
  }
  offset = bytes.writeUInt32LE(bytes.length, offset);
  offset = bytes.writeUInt32LE(crc32(bytes.subarray(0, offset)), offset);
  offset = bytes.writeUInt32LE(formatVersion, offset);
  magic.copy(bytes, offset);
  return bytes;
}

/** Reads the footer at the end of `tail`, which is the last bytes of a file, at least as many as its footer has. */
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
    // Only a footer made by somebody else gets here with a right checksum; its fields may point anywhere.
    return "malformed";
  }
}

/** @throws RangeError where a field reaches past the footer. */
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
  const identity: StoredChunkKey = {
    originId: text(),
    bucket: text(),
    objectKey: text(),
    etag: text(),
    chunkSizeBytes: number(),
    objectSizeBytes: number(),
    index: number(),
  };
  const { chunkSizeBytes, objectSizeBytes, index } = identity;
  const whole = offset === footer.length - trailerLengthBytes && index * chunkSizeBytes < objectSizeBytes;
  if (!whole || chunkLength(objectSizeBytes, chunkSizeBytes, index) !== chunkLengthBytes) return "malformed";
  return { identity, lengthBytes: chunkLengthBytes, blockCrcs, sha256 };
}
