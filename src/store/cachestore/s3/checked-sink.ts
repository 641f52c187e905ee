/**
 * Checks a range of a stored chunk on its way to a reader. Bytes go straight into the reader's memory, but the reader
 * receives them a block at a time, after the checksum of the block. So a flipped bit never reaches a reader. The price
 * is that the first byte waits for its block. To check the first and the last block, bytes outside the range are read,
 * too; they are discarded. Without checksums, the reader receives bytes as they arrive. Bytes are copied only if the
 * reader's memory is not divided into blocks.
 */
import { crc32 } from "node:zlib";
import { assert } from "../../../base/assert.ts";
import type { ByteSink } from "../../../base/byte-sink.ts";
import { KiB } from "../../../base/units.ts";
import { blockSizeBytes } from "../../chunk-file/chunk-file.ts";

const scratchSizeBytes = 64 * KiB;

/** The range `[offset, offset + lengthBytes)` of a chunk of `chunkLengthBytes`. */
export interface ChunkRange {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly chunkLengthBytes: number;
}

/** The whole blocks that contain a range: they must be read for it. `end` is exclusive. */
export function blocksAround(range: ChunkRange): { readonly start: number; readonly end: number } {
  const { offset, lengthBytes, chunkLengthBytes } = range;
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
  /** The offset of the next byte in the chunk. */
  #position: number;
  #crc = 0;
  /** Memory for the wanted bytes of this block, and how much of it is written: the reader's memory, or a copy. */
  #room: Buffer | undefined;
  #roomUsedBytes = 0;
  #isCopy = false;
  /** The last result of {@link space}. */
  #space: Buffer | undefined;
  #scratch: Buffer | undefined;

  /**
   * `sink` receives the range. The caller writes the bytes of {@link blocksAround}. `onBlock` is called at the end of
   * each block; after a wrong block the caller must stop.
   */
  constructor(
    sink: ByteSink,
    range: ChunkRange,
    blockCrcs: Uint32Array | undefined,
    onBlock: (isRight: boolean) => void,
  ) {
    const { start, end } = blocksAround(range);
    this.#sink = sink;
    this.#from = range.offset;
    this.#to = range.offset + range.lengthBytes;
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
    assert(this.#space !== undefined, "bytes are written into a space");
    if (this.#blockCrcs) this.#crc = crc32(this.#space.subarray(0, lengthBytes), this.#crc);
    if (this.#isWanted) this.#roomUsedBytes += lengthBytes;
    this.#position += lengthBytes;
    this.#space = undefined;
    const isBlockEnd = this.#position % blockSizeBytes === 0 || this.#position === this.#end;
    if (isBlockEnd) this.#endBlock();
    else if (!this.#blockCrcs) this.#passOn();
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
    if (isRight) this.#passOn();
    this.#onBlock(isRight);
  }

  #passOn(): void {
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
