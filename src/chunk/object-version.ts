/**
 * One version of one object, as every part below the edge knows it: its place at the origin, the ETag that names its
 * bytes, its size and its chunk size. The version hash is computed once, here: the hot path needs the path of a chunk for
 * every request, and a SHA-256 costs more than the rest of a look-up.
 */
import { createHash } from "node:crypto";
import { assert } from "../base/assert.ts";
import { MiB } from "../base/units.ts";
import { chunkCount, chunkLength } from "./chunk-layout.ts";

/** No origin id has this character (config/codec.ts). */
const blocksMark = "~blocks";

/** The id under which stores keep the blocks of an origin's partial chunks. @see ObjectVersion.blocks */
export function isBlocksId(originId: string): boolean {
  return originId.endsWith(blocksMark);
}

/** The id of the origin whose blocks these are; any other id stays as it is. */
export function originIdOf(storedId: string): string {
  return isBlocksId(storedId) ? storedId.slice(0, -blocksMark.length) : storedId;
}

export interface ObjectVersionFields {
  readonly originId: string;
  /** Bucket or container, by the origin's name. */
  readonly bucket: string;
  /** The whole key, by the origin's name. */
  readonly objectKey: string;
  /** Without quotes. */
  readonly etag: string;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  /**
   * As the metadata says (content-coding.ts); undefined where they are not known. It does not name the version: it is
   * what a fill expects of the origin's bytes.
   */
  readonly contentCoding?: string | undefined;
  /**
   * The version of the object that a fill asks the origin for; undefined for the current one. It does not name the
   * version here: the ETag names the bytes, so a version that is equal to the current one shares its chunks.
   */
  readonly versionId?: string | undefined;
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
 * The hash of a version in the paths of all stores, the same as in the Go Orca and frozen: hex SHA-256 of
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
  readonly contentCoding: string | undefined;
  readonly versionId: string | undefined;
  readonly chunkCount: number;
  /** @see versionHash */
  readonly hash: string;
  /** The first 28 bits of the hash: a number that is at hand where its text would have to be read. */
  readonly tag: number;
  readonly #pathPrefix: string;
  readonly #memoryKeyPrefix: string;
  #blocks: ObjectVersion | undefined;
  /**
   * For the memory tier: its entry, where it is linked to one, or a map of several by their indexes, so that a hit needs no
   * look-up by text. In a thread of the edge, which has no tier: the key of its blocks in the shared index.
   */
  memoryEntry: object | undefined;

  /** `hash`: the {@link versionHash} of the fields, where another thread has computed it. */
  constructor(fields: ObjectVersionFields, hash = versionHash(fields)) {
    this.originId = fields.originId;
    this.bucket = fields.bucket;
    this.objectKey = fields.objectKey;
    this.etag = fields.etag;
    this.sizeBytes = fields.sizeBytes;
    this.chunkSizeBytes = fields.chunkSizeBytes;
    this.contentCoding = fields.contentCoding;
    this.versionId = fields.versionId;
    this.chunkCount = chunkCount(fields.sizeBytes, fields.chunkSizeBytes);
    this.hash = hash;
    this.tag = Number.parseInt(this.hash.slice(0, 7), 16);
    this.#pathPrefix = `${fields.originId}/${this.hash}/`;
    this.#memoryKeyPrefix = `${this.#pathPrefix}${fields.sizeBytes}/`;
    this.memoryEntry = undefined;
  }

  /** The chunk path `<origin_id>/<hash>/<index>`: where a chunk lies in every store. */
  chunkPath(index: number): string {
    return this.#pathPrefix + index;
  }

  /**
   * The memory key of a chunk: its path and the size of its object. The path has no size, because an ETag should name
   * bytes. But an origin may give one ETag to bytes of two sizes, and a reader of the larger one would then look for
   * bytes after the end of the other. (A file on disk has the size in its footer.)
   */
  memoryKey(index: number): string {
    return this.#memoryKeyPrefix + index;
  }

  /**
   * The same version in chunks of one block, below an origin id of their own. A disk keeps the blocks of a partial chunk
   * as these: each has a name, a file, checksums and a place in the eviction policy like any chunk.
   */
  get blocks(): ObjectVersion {
    assert(!isBlocksId(this.originId), "a block is not divided");
    this.#blocks ??= new ObjectVersion({
      originId: this.originId + blocksMark,
      bucket: this.bucket,
      objectKey: this.objectKey,
      etag: this.etag,
      sizeBytes: this.sizeBytes,
      chunkSizeBytes: MiB,
    });
    return this.#blocks;
  }

  chunkLength(index: number): number {
    return chunkLength(this.sizeBytes, this.chunkSizeBytes, index);
  }
}
