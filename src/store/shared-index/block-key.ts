/** The words by which the index of all threads names a block: those of its version, and the number of the block. */
import { segmentSizeBytes } from "../../base/memory-budget.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import { keyWords } from "./pin-protocol.ts";

const hashWords = 4;

/**
 * A key of the version's blocks, with block 0. As in {@link ObjectVersion.memoryKey}, the size is a part of it: an origin
 * may give one ETag to bytes of two sizes.
 */
export function blockKeyOf({ hash, sizeBytes }: Pick<ObjectVersion, "hash" | "sizeBytes">): Int32Array {
  const key = new Int32Array(keyWords);
  for (let word = 0; word < hashWords; word += 1) {
    key[word] = Number.parseInt(hash.slice(8 * word, 8 * word + 8), 16);
  }
  key[hashWords] = sizeBytes;
  key[hashWords + 1] = Math.floor(sizeBytes / 2 ** 32);
  return key;
}

/** Makes `key` that of another block of its version: the one with the byte at `offset` of chunk `index`. */
export function setBlock(key: Int32Array, chunkSizeBytes: number, index: number, offset: number): void {
  const blocksPerChunk = Math.ceil(chunkSizeBytes / segmentSizeBytes);
  key[keyWords - 1] = index * blocksPerChunk + Math.floor(offset / segmentSizeBytes);
}
