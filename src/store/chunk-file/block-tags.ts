/**
 * The tags of blocks that were read lately. A block is checked by the CRC-32 of its file until it was read twice and
 * right. From then on it is checked by its tag, at a sixth of the cost. A tag is kept for the content of a chunk, by its
 * SHA-256, and not for a file: it stays true when a file is closed and opened, or deleted and written again.
 *
 * Invariants:
 * 1. Every read is checked, by one of the two. So a bit that flips on the medium after a first read is found as well,
 *    whenever the kernel reads the medium again.
 * 2. A tag is kept only of bytes that have the CRC-32 of the file's footer.
 * 3. At most chunksMax chunks and blocksMax blocks have tags, and those of files that are open.
 */
import { randomBytes } from "node:crypto";
import { LruMap } from "../../base/lru-map.ts";
import { BlockSummer, type SumKind } from "./block-sums.ts";

const chunksMax = 16_384;
const blocksMax = 512 * 1024;

/** To make a tag costs 3 µs besides the bytes, so a shorter block is always checked by its CRC-32. */
const taggedBytesMin = 16 * 1024;

const neverRead = 0n;
/** A block that is read once in a long time needs no tag. */
const readOnce = 1n;

/** The tags of the blocks of one chunk. */
export class ChunkTags {
  readonly #tags: BigUint64Array;

  constructor(blocks: number) {
    this.#tags = new BigUint64Array(blocks);
  }

  get blocks(): number {
    return this.#tags.length;
  }

  /** What the next read of a block has to compute. */
  sumKind(blockIndex: number): SumKind {
    const tag = this.#tags[blockIndex];
    return tag === neverRead ? "crc" : tag === readOnce ? "both" : "tag";
  }

  /** The tag that a read with the kind `tag` must find. */
  tag(blockIndex: number): bigint | undefined {
    return this.#tags[blockIndex];
  }

  /** A read with the kind `crc` or `both` found the right CRC-32. Another read may have kept a tag meanwhile. */
  noteRight(blockIndex: number, kind: SumKind, tag: bigint): void {
    if (kind === "both") this.#tags[blockIndex] = tag;
    else if (this.#tags[blockIndex] === neverRead) this.#tags[blockIndex] = readOnce;
  }

  /** A read found another tag. Forgotten, so that the CRC-32 decides about the file that comes next. */
  forget(blockIndex: number): void {
    this.#tags[blockIndex] = neverRead;
  }
}

export class BlockTags {
  /** Of the tags, for the threads that compute them. */
  readonly key = randomBytes(16);
  /** Computes them on this thread. */
  readonly summer = new BlockSummer(this.key);
  readonly #chunks = new LruMap<string, ChunkTags>({ entriesMax: chunksMax, weightMax: blocksMax });

  /** Chunks with tags. */
  get count(): number {
    return this.#chunks.size;
  }

  /** Undefined for a chunk whose blocks are too short. `sha256`: of the chunk, as its footer has it. */
  of(sha256: string, blocks: number, lengthBytes: number): ChunkTags | undefined {
    if (lengthBytes < taggedBytesMin) return undefined;
    let tags = this.#chunks.get(sha256);
    // Of another length only if a footer lies about its SHA-256.
    if (tags?.blocks !== blocks) {
      tags = new ChunkTags(blocks);
      this.#chunks.set(sha256, tags, blocks);
    }
    return tags;
  }
}
