/**
 * The engine's side of the index that all threads read (pin-protocol.ts): which blocks are in memory, and where. The
 * memory tier stays the owner of the blocks. It inserts a block here when it takes one, and removes it before it
 * releases its segment.
 *
 * Invariants:
 * 1. A row is free, live or condemned. A condemned row has readers that pin it, and the index holds a reference to its
 *    segment until they have left. Live rows have no reference of the index: the tier's own keeps the bytes.
 * 2. There are at most rowsMax rows. A block that finds none is not in the index, and is read by messages.
 * 3. A slab has one number for ever, and every reader learns of it before a row with that number is published to it, or
 *    misses. Slabs are never returned to the system, so their number is bounded by the memory budget.
 */
import { assert } from "../../base/assert.ts";
import type { Segment } from "../../base/memory-budget.ts";
import { sharedWords } from "../eviction/shared-columns.ts";
import {
  condemn,
  type IndexMemory,
  isPinned,
  isUnpinned,
  noRow,
  placeWords,
  publish,
  rowWords,
  takeUses,
} from "./pin-protocol.ts";

interface Condemned {
  readonly row: number;
  readonly segment: Segment;
}

/** What a reader needs to know. */
export type SlabListener = (slab: SharedArrayBuffer, number: number) => void;

export class SharedIndex {
  readonly stats = { rows: 0, full: 0 };
  readonly memory: IndexMemory;
  readonly #rowsMax: number;
  readonly #freeRows: number[] = [];
  #rowsUsed = 0;
  #condemned: Condemned[] = [];
  #isWatching = false;
  readonly #slabs = new Map<ArrayBufferLike, number>();
  readonly #listeners = new Set<SlabListener>();
  readonly #place = new Int32Array(placeWords);

  constructor(rowsMax: number) {
    assert(rowsMax > 0, "an index has a row");
    this.#rowsMax = rowsMax;
    // The system provides a page of the table and of the rows when it is first written.
    const places = 2 ** Math.ceil(Math.log2(2 * rowsMax));
    this.memory = {
      table: sharedWords(places),
      rows: sharedWords((rowsMax + 1) * rowWords),
      signal: sharedWords(1),
    };
  }

  /** Rows that were removed, and that readers still pin. */
  get condemned(): number {
    return this.#condemned.length;
  }

  /** Calls `listener` for each slab that there is, and each that comes. Returns a function that unsubscribes it. */
  subscribe(listener: SlabListener): () => void {
    for (const [slab, number] of this.#slabs) listener(slab as SharedArrayBuffer, number);
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Publishes a block that is not in the index. Returns its row, or {@link noRow} where the index is full. */
  insert(key: Int32Array, { bytes }: Segment): number {
    const row = this.#freeRows.pop() ?? this.#nextRow();
    if (row === noRow) {
      this.stats.full += 1;
      return noRow;
    }
    this.#place[0] = this.numberOf(bytes.buffer);
    this.#place[1] = bytes.byteOffset;
    this.#place[2] = bytes.length;
    publish(this.memory, row, key, this.#place);
    this.stats.rows += 1;
    return row;
  }

  /** Takes a block out. To be called before its segment is released; readers that pin the row keep the segment. */
  remove(row: number, segment: Segment): void {
    this.stats.rows -= 1;
    if (condemn(this.memory, row)) {
      this.#freeRows.push(row);
      return;
    }
    this.#condemned.push({ row, segment: segment.retain() });
    void this.#watch();
  }

  /** Whether a reader has the row pinned: its removal may free no memory at once. */
  isPinned(row: number): boolean {
    return isPinned(this.memory, row);
  }

  /** How often readers have used the row since the last call; large numbers are cut. */
  takeUses(row: number): number {
    return takeUses(this.memory, row);
  }

  /** The number of a slab, of which all readers learn. */
  numberOf(slab: ArrayBufferLike): number {
    const known = this.#slabs.get(slab);
    if (known !== undefined) return known;
    const number = this.#slabs.size;
    this.#slabs.set(slab, number);
    for (const listener of this.#listeners) listener(slab as SharedArrayBuffer, number);
    return number;
  }

  #nextRow(): number {
    if (this.#rowsUsed === this.#rowsMax) return noRow;
    this.#rowsUsed += 1;
    return this.#rowsUsed;
  }

  /** Releases condemned segments as their readers leave. Runs while there are any. */
  async #watch(): Promise<void> {
    if (this.#isWatching) return;
    this.#isWatching = true;
    while (this.#condemned.length > 0) {
      const seen = Atomics.load(this.memory.signal, 0);
      this.#reap();
      if (this.#condemned.length === 0) break;
      const waited = Atomics.waitAsync(this.memory.signal, 0, seen);
      if (waited.async) await waited.value;
    }
    this.#isWatching = false;
  }

  #reap(): void {
    const left: Condemned[] = [];
    const free: Condemned[] = [];
    for (const each of this.#condemned) (isUnpinned(this.memory, each.row) ? free : left).push(each);
    this.#condemned = left;
    for (const { row, segment } of free) {
      this.#freeRows.push(row);
      segment.release();
    }
  }
}
