/**
 * What a block that was read is checked by: its CRC-32, which the footer of its file holds, and its tag, a sum that is
 * only kept in memory (block-tags.ts). Node computes CRC-32 without the instructions of the processor, at 4 GB/s. The tag
 * is a GMAC: GHASH of AES-GCM, which OpenSSL computes at 20 GB/s. Each part of a page, of a read or of a file that
 * differs gives another tag, except with a probability of at most 2^-48.
 */
import { createCipheriv, createSecretKey, type KeyObject } from "node:crypto";
import { crc32 } from "node:zlib";

/** Which sums a read needs. */
export type SumKind = "crc" | "both" | "tag";

/** Only the sums that were asked for are right. */
export interface BlockSums {
  readonly crc: number;
  readonly tag: bigint;
}

/** A read of a block, with its sums where they were computed with it. */
export interface SummedRead {
  readonly bytesRead: number;
  readonly sums: BlockSums | undefined;
}

const keyLengthBytes = 16;
const nonce = Buffer.alloc(12);
/** Tags stay in this process and never go to anybody, so that one nonce for all of them reveals nothing. */
const algorithm = "aes-128-gcm";

export class BlockSummer {
  readonly #key: KeyObject;

  /** Tags of two summers are equal only with the same key. */
  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key.subarray(0, keyLengthBytes));
  }

  sums(kind: SumKind, bytes: Uint8Array): BlockSums {
    return {
      crc: kind === "tag" ? 0 : crc32(bytes),
      tag: kind === "crc" ? 0n : this.#tag(bytes),
    };
  }

  #tag(bytes: Uint8Array): bigint {
    const cipher = createCipheriv(algorithm, this.#key, nonce);
    // Additional data is authenticated and not encrypted: GHASH runs over it where it lies, and nothing is copied.
    cipher.setAAD(bytes);
    cipher.final();
    return cipher.getAuthTag().readBigUInt64LE();
  }
}
