/**
 * Content for test objects in which every byte depends on its absolute offset and on a seed. Bytes that come from
 * another offset, another chunk or another object are therefore wrong bytes, where a repeated or zero filling would
 * let them pass. It is a pure function, so an object of any size costs no memory until it is read.
 */
import { AssertionError } from "node:assert";

const blockSizeBytes = 8;

/** Long contents are sent and checked in pieces that end at multiples of this. */
export const sliceSizeBytes = 256 * 1024;
/** 64 MiB. */
const slicesMax = 256;
/** Shorter pieces cost less to make anew than a slice. */
const sharedBytesMin = sliceSizeBytes / 2;
/** The slices made last, by seed and number. */
const slices = new Map<string, Buffer>();

/** Bytes `offset` to `offset + lengthBytes` of the object with this seed. */
export function patternBytes(seed: number, offset: number, lengthBytes: number): Buffer {
  const firstBlock = Math.floor(offset / blockSizeBytes);
  const blockCount = Math.ceil((offset + lengthBytes) / blockSizeBytes) - firstBlock;
  const words = new Uint32Array(blockCount * 2);
  fillBlocks(words, seed, firstBlock);
  return Buffer.from(words.buffer, offset - firstBlock * blockSizeBytes, lengthBytes);
}

/**
 * As {@link patternBytes}, and kept for a while, because a client checks a moment later what an origin sends. Others read
 * the same memory: nobody writes to it.
 */
export function sharedPatternBytes(seed: number, offset: number, lengthBytes: number): Buffer {
  const shared = keptBytes(seed, offset, lengthBytes);
  if (shared) return shared;
  const number = Math.floor(offset / sliceSizeBytes);
  if (lengthBytes < sharedBytesMin || offset + lengthBytes > (number + 1) * sliceSizeBytes) {
    return patternBytes(seed, offset, lengthBytes);
  }
  const [oldest = ""] = slices.keys();
  if (slices.size >= slicesMax) slices.delete(oldest);
  const slice = patternBytes(seed, number * sliceSizeBytes, sliceSizeBytes);
  slices.set(`${seed} ${number}`, slice);
  const start = offset - number * sliceSizeBytes;
  return slice.subarray(start, start + lengthBytes);
}

/** Writes the object's bytes from `offset` on into `target`. */
export function fillPattern(target: Uint8Array, seed: number, offset: number): void {
  for (let done = 0; done < target.length; ) {
    const restBytes = sliceSizeBytes - ((offset + done) % sliceSizeBytes);
    const piece = sharedPatternBytes(seed, offset + done, Math.min(restBytes, target.length - done));
    target.set(piece, done);
    done += piece.length;
  }
}

/** The bytes where one of the slices holds them all. */
function keptBytes(seed: number, offset: number, lengthBytes: number): Buffer | undefined {
  const number = Math.floor(offset / sliceSizeBytes);
  const start = offset - number * sliceSizeBytes;
  if (start + lengthBytes > sliceSizeBytes) return undefined;
  return slices.get(`${seed} ${number}`)?.subarray(start, start + lengthBytes);
}

/**
 * Every block of 8 bytes is a 64-bit mix of its number. The first half is murmur3's 32-bit finalizer, a bijection, so
 * it tells the blocks of 32 GiB apart; the key, of the seed and of which 32 GiB it is, tells equal first halves apart
 * in the second half.
 */
function fillBlocks(words: Uint32Array, seed: number, firstBlock: number): void {
  let high = Math.floor(firstBlock / 2 ** 32);
  let low = firstBlock | 0;
  let key = blockKey(seed, high);
  for (let index = 0; index < words.length; index += 2) {
    const first = finalize(low ^ key);
    words[index] = first;
    words[index + 1] = Math.imul(first ^ (first >>> 15) ^ key, 0x2c1b3c6d);
    low = (low + 1) | 0;
    if (low === 0) {
      high += 1;
      key = blockKey(seed, high);
    }
  }
}

function blockKey(seed: number, high: number): number {
  return finalize(finalize(seed + 0x9e3779b9) + high);
}

function finalize(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/** Fails with the first wrong offset unless `actual` holds the object's bytes from `offset` on. */
export function assertPattern(actual: Uint8Array, seed: number, offset: number): void {
  new PatternChecker(seed, offset).update(actual);
}

/** Checks a stream piece by piece, in memory that does not grow with it. */
export class PatternChecker {
  readonly seed: number;
  #offset: number;

  constructor(seed: number, offset = 0) {
    this.seed = seed;
    this.#offset = offset;
  }

  /** The absolute offset of the next byte. */
  get offset(): number {
    return this.#offset;
  }

  /** Checks the next bytes of the stream. @throws AssertionError that names the first wrong absolute offset. */
  update(actual: Uint8Array): this {
    for (let start = 0; start < actual.length; ) {
      const restBytes = sliceSizeBytes - (this.#offset % sliceSizeBytes);
      const piece = actual.subarray(start, start + restBytes);
      const expected =
        keptBytes(this.seed, this.#offset, piece.length) ??
        patternBytes(this.seed, this.#offset, piece.length);
      if (expected.compare(piece) !== 0) this.#fail(piece, expected);
      this.#offset += piece.length;
      start += piece.length;
    }
    return this;
  }

  #fail(actual: Uint8Array, expected: Uint8Array): never {
    const index = expected.findIndex((byte, at) => byte !== actual[at]);
    const shown = (bytes: Uint8Array): string =>
      Buffer.from(bytes.subarray(index, index + 16)).toString("hex");
    throw new AssertionError({
      message: `Wrong byte at offset ${this.#offset + index} of the object with seed ${this.seed}: expected ${shown(expected)}, received ${shown(actual)}`,
      actual: shown(actual),
      expected: shown(expected),
    });
  }
}
