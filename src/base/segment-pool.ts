/**
 * The memory of segments: slabs of 1 MiB. A slab is used whole, or cut into pieces of one size for smaller objects and
 * remainders. Slabs are reused and never returned to the system. V8 does not count shared memory against its heap, so a
 * SharedArrayBuffer per remainder would wait for a garbage collection that nothing triggers: 64 MiB of 900 KiB buffers in
 * use held 1.4 GiB.
 *
 * Invariants:
 * 1. A slab is free, whole, or cut into pieces of one size, of which at least one is in use.
 * 2. There are as many slabs as were in use at one time at most.
 */
import { assert } from "./assert.ts";
import { Linked, LinkedList } from "./linked-list.ts";
import { MiB } from "./units.ts";

export const slabSizeBytes = MiB;

/** A longer segment takes a whole slab. */
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

export class Slab extends Linked {
  readonly memory = Buffer.from(new SharedArrayBuffer(slabSizeBytes));
  pieceSizeBytes = slabSizeBytes;
  piecesInUse = 0;
  /** For {@link ReaderMemory}: how many readers pin pieces of it. */
  pins = 0;
  /** Offsets of the free pieces. */
  freeOffsets: number[] = [];

  cut(pieceSizeBytes: number): void {
    this.pieceSizeBytes = pieceSizeBytes;
    this.freeOffsets = [];
    // In descending order, because take() pops the last one: a slab fills from its start, and unused pages stay untouched.
    for (let count = Math.floor(slabSizeBytes / pieceSizeBytes); count > 0; count -= 1) {
      this.freeOffsets.push((count - 1) * pieceSizeBytes);
    }
  }
}

/** Memory for one segment. {@link SegmentPool.give} returns it. */
export interface Piece {
  /** Of exactly the requested length. */
  readonly bytes: Buffer;
  /** @internal */
  readonly slab: Slab;
  /** @internal */
  readonly offset: number;
}

export class SegmentPool {
  readonly #freeSlabs: Slab[] = [];
  /** By size of piece: slabs with pieces in use and free pieces. */
  readonly #partialSlabs = new Map<number, LinkedList<Slab>>(
    pieceSizesBytes.map((size) => [size, new LinkedList()]),
  );
  #bytesInUse = 0;

  /** Bytes of all slabs that have a piece in use. */
  get bytesInUse(): number {
    return this.#bytesInUse;
  }

  /** How many bytes a piece of this length would add to {@link bytesInUse}: those of a slab, or 0. */
  growthFor(lengthBytes: number): number {
    return this.#slabsWithRoom(pieceSizeFor(lengthBytes)).size > 0 ? 0 : slabSizeBytes;
  }

  take(lengthBytes: number): Piece {
    const sizeBytes = pieceSizeFor(lengthBytes);
    const slabs = this.#slabsWithRoom(sizeBytes);
    let slab = slabs.oldest;
    if (slab === undefined) {
      slab = this.#freeSlabs.pop() ?? new Slab();
      slab.cut(sizeBytes);
      slabs.push(slab);
      this.#bytesInUse += slabSizeBytes;
    }
    const offset = slab.freeOffsets.pop();
    assert(offset !== undefined, "a slab with room has a free piece");
    slab.piecesInUse += 1;
    if (slab.freeOffsets.length === 0) slabs.remove(slab);
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
      if (slab.list === undefined) slabs.push(slab);
      return;
    }
    if (slab.list !== undefined) slabs.remove(slab);
    this.#freeSlabs.push(slab);
    this.#bytesInUse -= slabSizeBytes;
  }

  #slabsWithRoom(pieceSizeBytes: number): LinkedList<Slab> {
    const slabs = this.#partialSlabs.get(pieceSizeBytes);
    assert(slabs !== undefined, "a piece has one of the sizes that slabs are cut into");
    return slabs;
  }
}
