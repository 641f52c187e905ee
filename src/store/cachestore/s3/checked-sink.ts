/**
 * A stretch of a stored chunk on its way to a reader. Bytes go straight to where the reader has room for them, but are
 * handed on a block at a time, when the block's checksum is right: so a flipped bit never reaches anybody, at the price
 * of a first byte that waits for its block. What has to be read to check the first and the last block, and was not asked
 * for, is thrown away. Without checksums bytes are handed on as they come. Nothing is copied, unless the reader's room is
 * cut otherwise than in blocks.
 */
import { crc32 } from "node:zlib";
import { assert } from "../../../base/assert.ts";
import type { ByteSink } from "../../../base/byte-sink.ts";
import { KiB } from "../../../base/units.ts";
import { blockSizeBytes } from "../../chunk-file/chunk-file.ts";

const scratchSizeBytes = 64 * KiB;

/** `[offset, offset + lengthBytes)` of a chunk of `chunkLengthBytes`. */
export interface ChunkStretch {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly chunkLengthBytes: number;
}

/** The whole blocks that a stretch lies in: what has to be read for it. `end` is exclusive. */
export function blocksAround(stretch: ChunkStretch): { readonly start: number; readonly end: number } {
  const { offset, lengthBytes, chunkLengthBytes } = stretch;
  const blockEnd = Math.ceil((offset + lengthBytes) / blockSizeBytes) * blockSizeBytes;
  return { start: offset - (offset % blockSizeBytes), end: Math.min(chunkLengthBytes, blockEnd) };
}

export class CheckedSink implements ByteSink {
  readonly #sink: ByteSink;
  readonly #from: number;
  readonly #to: number;
  readonly #end: number;
  readonly #blockCrcs: Uint32Array | undefined;
  readonly #onBlock: (isRight: boolean) => void;
  /** Of the next byte, in the chunk. */
  #position: number;
  #crc = 0;
  /** Room for what the reader wants of this block, and how much of it is written: the reader's own, or a copy. */
  #room: Buffer | undefined;
  #roomUsedBytes = 0;
  #isCopy = false;
  /** What {@link space} answered last. */
  #space: Buffer | undefined;
  #scratch: Buffer | undefined;

  /**
   * `sink` gets the stretch. The bytes that come are those of {@link blocksAround}. `onBlock` is called at the end of
   * each block; after a wrong one no more bytes may come.
   */
  constructor(
    sink: ByteSink,
    stretch: ChunkStretch,
    blockCrcs: Uint32Array | undefined,
    onBlock: (isRight: boolean) => void,
  ) {
    const { start, end } = blocksAround(stretch);
    this.#sink = sink;
    this.#from = stretch.offset;
    this.#to = stretch.offset + stretch.lengthBytes;
    this.#end = end;
    this.#position = start;
    this.#blockCrcs = blockCrcs;
    this.#onBlock = onBlock;
  }

  space(): Buffer {
    this.#space = this.#nextSpace();
    return this.#space;
  }

  advance(lengthBytes: number): void {
    assert(this.#space !== undefined, "bytes come into a space");
    if (this.#blockCrcs) this.#crc = crc32(this.#space.subarray(0, lengthBytes), this.#crc);
    if (this.#isWanted) this.#roomUsedBytes += lengthBytes;
    this.#position += lengthBytes;
    this.#space = undefined;
    const isBlockEnd = this.#position % blockSizeBytes === 0 || this.#position === this.#end;
    if (isBlockEnd) this.#endBlock();
    else if (!this.#blockCrcs) this.#handOn();
  }

  get #isWanted(): boolean {
    return this.#position >= this.#from && this.#position < this.#to;
  }

  #nextSpace(): Buffer {
    if (!this.#isWanted) {
      const unwantedEnd = this.#position < this.#from ? this.#from : this.#end;
      this.#scratch ??= Buffer.allocUnsafeSlow(scratchSizeBytes);
      return this.#scratch.subarray(0, unwantedEnd - this.#position);
    }
    this.#room ??= this.#takeRoom();
    return this.#room.subarray(this.#roomUsedBytes);
  }

  #takeRoom(): Buffer {
    const room = this.#sink.space();
    const blockEnd = this.#position - (this.#position % blockSizeBytes) + blockSizeBytes;
    const wantedBytes = Math.min(blockEnd, this.#to) - this.#position;
    this.#isCopy = this.#blockCrcs !== undefined && room.length < wantedBytes;
    return this.#isCopy ? Buffer.allocUnsafeSlow(wantedBytes) : room.subarray(0, wantedBytes);
  }

  #endBlock(): void {
    const index = Math.ceil(this.#position / blockSizeBytes) - 1;
    const isRight = this.#blockCrcs === undefined || this.#blockCrcs[index] === this.#crc;
    this.#crc = 0;
    if (isRight) this.#handOn();
    this.#onBlock(isRight);
  }

  #handOn(): void {
    const room = this.#room;
    const lengthBytes = this.#roomUsedBytes;
    this.#room = undefined;
    this.#roomUsedBytes = 0;
    if (room === undefined) return;
    if (!this.#isCopy) return this.#sink.advance(lengthBytes);
    for (let copiedBytes = 0; copiedBytes < lengthBytes; ) {
      const copied = room.copy(this.#sink.space(), 0, copiedBytes, lengthBytes);
      this.#sink.advance(copied);
      copiedBytes += copied;
    }
  }
}
