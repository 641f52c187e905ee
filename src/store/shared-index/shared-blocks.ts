/**
 * A thread's view of the blocks in memory: finds a block in the index that the engine keeps (pin-protocol.ts), and pins
 * it until its bytes are with the kernel. It asks nobody and waits for nobody.
 */
import { assert } from "../../base/assert.ts";
import { type IndexMemory, noRow, pin, placeAt, rowWords, unpin, use } from "./pin-protocol.ts";

export class SharedBlocks {
  readonly #memory: IndexMemory;
  /** By their numbers. Messages of the engine bring them. */
  readonly #slabs: (Buffer | undefined)[] = [];

  constructor(memory: IndexMemory) {
    this.#memory = memory;
  }

  addSlab(slab: SharedArrayBuffer, number: number): void {
    this.#slabs[number] = Buffer.from(slab);
  }

  /**
   * The row of a block, pinned; {@link noRow} where it is not in memory, or where this thread has not heard of its slab
   * yet. Each row is to be unpinned once.
   */
  pin(key: Int32Array): number {
    const row = pin(this.#memory, key);
    if (row === noRow) return noRow;
    if (this.#slabs[this.#word(row, placeAt)] !== undefined) return row;
    unpin(this.#memory, row);
    return noRow;
  }

  /** The number of the slab that the block in a pinned row lies in. */
  slabNumberOf(row: number): number {
    return this.#word(row, placeAt);
  }

  /** Bytes `[from, to)` of the block in a pinned row. `to` is cut to its length. */
  slice(row: number, from: number, to: number): Buffer {
    const offset = this.#word(row, placeAt + 1);
    const lengthBytes = this.#word(row, placeAt + 2);
    assert(from < lengthBytes, "a slice begins inside its block");
    return this.bytes(this.slabNumberOf(row), offset + from, Math.min(to, lengthBytes) - from);
  }

  /** Bytes that the engine holds for this thread. */
  bytes(number: number, offset: number, lengthBytes: number): Buffer {
    const slab = this.#slabs[number];
    assert(slab !== undefined, "a slab comes before the bytes in it");
    return slab.subarray(offset, offset + lengthBytes);
  }

  /** Counts a use of a pinned row for the eviction policy. */
  use(row: number): void {
    use(this.#memory, row);
  }

  unpin(row: number): void {
    unpin(this.#memory, row);
  }

  #word(row: number, at: number): number {
    return this.#memory.rows[row * rowWords + at] as number;
  }
}
