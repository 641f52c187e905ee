/**
 * The memory that segments are cut from: slabs of 1 MiB, each used whole or cut into pieces of one size for objects and
 * remainders that are smaller. A slab is never given back to the system and never needs to be, and that is the point:
 * V8 does not count shared memory against its heap, so a SharedArrayBuffer per remainder would wait for a garbage
 * collection that nothing brings about (64 MiB of 900 KiB buffers in use were seen to hold 1.4 GiB).
 *
 * Invariants:
 * 1. A slab is free, whole, or cut into pieces of one size, of which at least one is in use.
 * 2. The memory that was ever allocated is the most slabs that were in use at one time.
 */
import { assert } from "./assert.ts";
import { MiB } from "./units.ts";

export const slabSizeBytes = MiB;

/** What is longer takes a slab for itself. */
export const largestPieceBytes = slabSizeBytes / 2;

/** Pieces per slab. Steps of 1.33 to 1.5 leave a quarter of a piece unused on average; 4 KiB is the smallest piece. */
const pieceCounts = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256] as const;

/** Pieces begin on a cache line, so that two threads never write to the same one. */
const pieceSizesBytes = pieceCounts.map((count) => Math.floor(slabSizeBytes / count / 64) * 64);

/** Size of the smallest piece that holds `lengthBytes` (1 B to 1 MiB). */
export function pieceSizeFor(lengthBytes: number): number {
  assert(lengthBytes > 0 && lengthBytes <= slabSizeBytes, "a piece holds 1 B to 1 MiB");
  for (let index = pieceSizesBytes.length - 1; index >= 0; index -= 1) {
    const sizeBytes = pieceSizesBytes[index] as number;
    if (sizeBytes >= lengthBytes) return sizeBytes;
  }
  return slabSizeBytes;
}

class Slab {
  readonly memory = Buffer.from(new SharedArrayBuffer(slabSizeBytes));
  pieceSizeBytes = slabSizeBytes;
  piecesInUse = 0;
  /** Where the pieces begin that are free. */
  freeOffsets: number[] = [];

  cut(pieceSizeBytes: number): void {
    this.pieceSizeBytes = pieceSizeBytes;
    this.freeOffsets = [];
    // The last one first, so that a slab is used from its beginning and untouched pages stay untouched.
    for (let count = Math.floor(slabSizeBytes / pieceSizeBytes); count > 0; count -= 1) {
      this.freeOffsets.push((count - 1) * pieceSizeBytes);
    }
  }
}

/** Memory for one segment, to be given back with {@link SegmentPool.give}. */
export interface Piece {
  /** Exactly as long as it was asked for. */
  readonly bytes: Buffer;
  /** @internal */
  readonly slab: Slab;
  /** @internal */
  readonly offset: number;
}

export class SegmentPool {
  readonly #freeSlabs: Slab[] = [];
  /** By size of piece: slabs of which some pieces are in use and some are free. */
  readonly #partialSlabs = new Map<number, Set<Slab>>(pieceSizesBytes.map((size) => [size, new Set()]));
  #bytesInUse = 0;

  /** Bytes of the slabs of which any piece is in use. */
  get bytesInUse(): number {
    return this.#bytesInUse;
  }

  /** By how much {@link bytesInUse} would grow with a piece of this length: a slab, or nothing. */
  growthFor(lengthBytes: number): number {
    return this.#slabsWithRoom(pieceSizeFor(lengthBytes)).size > 0 ? 0 : slabSizeBytes;
  }

  take(lengthBytes: number): Piece {
    const sizeBytes = pieceSizeFor(lengthBytes);
    const slabs = this.#slabsWithRoom(sizeBytes);
    let slab = slabs.values().next().value;
    if (slab === undefined) {
      slab = this.#freeSlabs.pop() ?? new Slab();
      slab.cut(sizeBytes);
      slabs.add(slab);
      this.#bytesInUse += slabSizeBytes;
    }
    const offset = slab.freeOffsets.pop();
    assert(offset !== undefined, "a slab with room has a free piece");
    slab.piecesInUse += 1;
    if (slab.freeOffsets.length === 0) slabs.delete(slab);
    const whole = lengthBytes === slabSizeBytes;
    const bytes = whole ? slab.memory : Buffer.from(slab.memory.buffer, offset, lengthBytes);
    return { bytes, slab, offset };
  }

  give(piece: Piece): void {
    const { slab } = piece;
    slab.piecesInUse -= 1;
    slab.freeOffsets.push(piece.offset);
    const slabs = this.#slabsWithRoom(slab.pieceSizeBytes);
    if (slab.piecesInUse > 0) {
      slabs.add(slab);
      return;
    }
    slabs.delete(slab);
    this.#freeSlabs.push(slab);
    this.#bytesInUse -= slabSizeBytes;
  }

  #slabsWithRoom(pieceSizeBytes: number): Set<Slab> {
    const slabs = this.#partialSlabs.get(pieceSizeBytes);
    assert(slabs !== undefined, "a piece has one of the sizes that slabs are cut into");
    return slabs;
  }
}
