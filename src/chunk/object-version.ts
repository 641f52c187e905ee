/**
 * One version of one object, as every part below the edge knows it: where it lies at the origin, the ETag that names
 * its bytes, its size, and how it is cut. The identity is hashed once here, because the hot path asks for the path
 * of a chunk on every request and SHA-256 costs more than the rest of a look-up.
 */
import { createHash } from "node:crypto";
import { chunkCount, chunkLength } from "./layout.ts";

export interface ObjectVersionFields {
  readonly originId: string;
  /** Bucket or container as the origin names it. */
  readonly bucket: string;
  /** Whole key as the origin names it. */
  readonly objectKey: string;
  /** Without quotes. */
  readonly etag: string;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
}

/** `LP(s) = LE64(byte length of s) || UTF-8 bytes`, so that no two lists of fields hash alike. */
function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  return Buffer.concat([littleEndian64(bytes.length), bytes]);
}

function littleEndian64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/**
 * The frozen identity that all stores share with the Go Orca: hex SHA-256 of
 * `LP(origin_id) || LP(bucket) || LP(object_key) || LP(etag) || LE64(chunk_size)`.
 */
export function versionHash(fields: Omit<ObjectVersionFields, "sizeBytes">): string {
  return createHash("sha256")
    .update(lengthPrefixed(fields.originId))
    .update(lengthPrefixed(fields.bucket))
    .update(lengthPrefixed(fields.objectKey))
    .update(lengthPrefixed(fields.etag))
    .update(littleEndian64(fields.chunkSizeBytes))
    .digest("hex");
}

export class ObjectVersion implements ObjectVersionFields {
  readonly originId: string;
  readonly bucket: string;
  readonly objectKey: string;
  readonly etag: string;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly chunkCount: number;
  /** Hex SHA-256 of the frozen identity. */
  readonly hash: string;
  readonly #pathPrefix: string;
  readonly #namePrefix: string;

  constructor(fields: ObjectVersionFields) {
    this.originId = fields.originId;
    this.bucket = fields.bucket;
    this.objectKey = fields.objectKey;
    this.etag = fields.etag;
    this.sizeBytes = fields.sizeBytes;
    this.chunkSizeBytes = fields.chunkSizeBytes;
    this.chunkCount = chunkCount(fields.sizeBytes, fields.chunkSizeBytes);
    this.hash = versionHash(fields);
    this.#pathPrefix = `${fields.originId}/${this.hash}/`;
    this.#namePrefix = `${this.#pathPrefix}${fields.sizeBytes}/`;
  }

  /** `<origin_id>/<hex hash>/<chunk_index>`: where a chunk lies in every store. */
  chunkPath(index: number): string {
    return this.#pathPrefix + index;
  }

  /**
   * What a chunk is called among those in memory: its path and the size of its object. The path leaves the size out,
   * since an ETag is meant to name bytes. But an origin may give one ETag to bytes of two sizes, and a reader of the
   * one would then look for bytes behind the end of the other. (A file on disk has the size in its footer.)
   */
  memoryKey(index: number): string {
    return this.#namePrefix + index;
  }

  chunkLength(index: number): number {
    return chunkLength(this.sizeBytes, this.chunkSizeBytes, index);
  }
}
