/**
 * S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023), with sizes in
 * bytes. A new entry goes into a small queue. Most entries are never used again and leave it soon (quick demotion), so
 * a scan passes through without touching the main queue. An entry that was used meanwhile moves to the main queue when
 * its turn comes (lazy promotion). A ghost queue remembers the keys of evicted entries: an entry that returns soon goes
 * to the main queue at once. A use is one small write and moves nothing.
 *
 * Four things differ from the paper. The capacity is the number of bytes held when room is needed, because fills use
 * the same memory. Entries fetched ahead wait for their first use in a queue of their own: in the small queue they
 * would look like a scan, and a reader that is a few chunks behind its read-ahead would fetch them again. The numbers
 * that the paper fixes are an {@link S3FifoShape}, which may change between two evictions. An eviction moves a bounded number
 * of entries.
 *
 * Invariants:
 * 1. An entry that is held is in exactly one queue. An evicted or removed entry is in none.
 * 2. After an eviction that added a ghost, the sum of the sizes of the ghosts is at most the shape's share of the bytes
 *    that were held.
 */
import { type EvictionPolicy, noRow, type PolicyEntries } from "./eviction-policy.ts";
import { Ghosts } from "./ghosts.ts";
import { QueueColumns, RowQueue } from "./row-queue.ts";

/** Shares are parts of the bytes held. */
export interface S3FifoShape {
  /** The target for the small queue; the main queue has the rest. */
  readonly smallShare: number;
  /** The sum of the sizes that the ghosts remember. */
  readonly ghostShare: number;
  /** Uses in the small queue that move an entry to main. With 2, one of them may be a mere echo of the first request. */
  readonly usesForMain: number;
  /** Uses in main that count, each for one more round. With a small number, former popularity is soon forgotten. */
  readonly usesCounted: number;
  /** Whether an entry that was used in the small queue, but too seldom for main, goes through the small queue again. */
  readonly secondChance: boolean;
}

export const paperShape: S3FifoShape = {
  smallShare: 0.1,
  ghostShare: 0.9,
  usesForMain: 2,
  usesCounted: 3,
  secondChance: false,
};

const mainNumber = 2;
/** In the queues from this number on, entries wait for their first use. */
const aheadNumber = 3;
const doomedNumber = 4;

/** Entries fetched ahead may take half of the tier. */
const aheadShareMax = 0.5;
/**
 * An eviction that has moved so many entries takes the next one, used or not. If clients use all of a large disk between two
 * evictions, one of them would else move millions of entries in one turn of the event loop.
 */
const movesMax = 1024;
/** At least as many as any shape counts. Five bits hold it. */
const frequencyMax = 7;

export class S3Fifo implements EvictionPolicy {
  shape: S3FifoShape;
  /** It was evicted from the main queue. */
  evictedWasUsed = false;
  readonly #entries: PolicyEntries;
  readonly #columns: QueueColumns;
  readonly #small: RowQueue;
  readonly #main: RowQueue;
  readonly #ahead: RowQueue;
  /** Superseded entries that were not used since. They are evicted first. */
  readonly #doomed: RowQueue;
  /** By the number of the queue. */
  readonly #queues: readonly (RowQueue | undefined)[];
  readonly #ghosts: Ghosts;
  /** For each row in the queue of entries fetched ahead, the bytes that were inserted before it. */
  readonly #arrivedAtBytes = new Map<number, number>();
  #insertedBytes = 0;
  #count = 0;

  /** `rowsMax`: no row has a greater number. `beside`: shares its columns, because a row is in one of the two at most. */
  constructor(entries: PolicyEntries, rowsMax: number, shape: S3FifoShape = paperShape, beside?: S3Fifo) {
    this.#entries = entries;
    this.shape = shape;
    this.#columns = beside ? beside.#columns : new QueueColumns(rowsMax);
    this.#small = new RowQueue(this.#columns, 1);
    this.#main = new RowQueue(this.#columns, mainNumber);
    this.#ahead = new RowQueue(this.#columns, aheadNumber);
    this.#doomed = new RowQueue(this.#columns, doomedNumber);
    this.#queues = [undefined, this.#small, this.#main, this.#ahead, this.#doomed];
    this.#ghosts = new Ghosts(rowsMax);
  }

  get bytes(): number {
    return this.#small.bytes + this.#main.bytes + this.#ahead.bytes + this.#doomed.bytes;
  }

  /** Without entries fetched ahead and superseded entries, which are evicted by other rules. */
  get rankedBytes(): number {
    return this.#small.bytes + this.#main.bytes;
  }

  /** The number of entries held. */
  get count(): number {
    return this.#count;
  }

  insert(row: number, ahead = false): void {
    const sizeBytes = this.#entries.sizeOf(row);
    this.#count += 1;
    this.#ghosts.reach(this.#count);
    this.#columns.setFrequency(row, 0);
    if (this.#ghosts.delete(this.#entries.hashOf(row))) {
      this.#main.push(row, sizeBytes);
    } else if (ahead) {
      this.#ahead.push(row, sizeBytes);
      this.#arrivedAtBytes.set(row, this.#insertedBytes);
    } else {
      this.#small.push(row, sizeBytes);
    }
    this.#insertedBytes += sizeBytes;
  }

  /** The entry has grown by so many bytes, of which {@link PolicyEntries.sizeOf} tells already. It keeps its place. */
  grow(row: number, addedBytes: number): void {
    this.#queues[this.#columns.queueOf(row)]?.grow(addedBytes);
    this.#insertedBytes += addedBytes;
  }

  touch(row: number): void {
    if (this.#columns.queueOf(row) >= aheadNumber) {
      // For an entry fetched ahead, the first use is what an insertion is for others. A superseded entry begins anew.
      this.#leave(row);
      this.#small.push(row, this.#entries.sizeOf(row));
      return;
    }
    const frequency = this.#columns.frequencyOf(row);
    if (frequency < frequencyMax) this.#columns.setFrequency(row, frequency + 1);
  }

  reinsert(row: number): void {
    this.#count += 1;
    this.#columns.setFrequency(row, 0);
    this.#ghosts.delete(this.#entries.hashOf(row));
    this.#main.push(row, this.#entries.sizeOf(row));
  }

  supersede(row: number): void {
    if (!this.#leave(row)) this.#count += 1;
    this.#columns.setFrequency(row, 0);
    // Uses by threads until now are no reason to keep it.
    this.#entries.takeUses?.(row);
    this.#doomed.push(row, this.#entries.sizeOf(row));
  }

  remove(row: number): void {
    if (this.#leave(row)) this.#count -= 1;
  }

  /** Whether it was used since its last turn, or so often before that it is in the main queue. */
  isUsed(row: number): boolean {
    this.#wasUsed(row);
    return this.#columns.frequencyOf(row) > 0 || this.#columns.queueOf(row) === mainNumber;
  }

  /** Removes a row whose turn has not come, and remembers it: its memory is needed together with that of others. */
  evictEarly(row: number): void {
    this.#remember(row, this.shape.ghostShare * this.bytes);
    this.remove(row);
  }

  evict(): number {
    const heldBytes = this.bytes;
    this.evictedWasUsed = false;
    for (let moves = 0; ; moves += 1) {
      const doomed = this.#doomed.oldest;
      if (doomed !== noRow) {
        if (moves < movesMax && this.#wasUsed(doomed)) continue;
        return this.#evicted(doomed);
      }
      if (this.#evictsAhead(heldBytes)) {
        if (moves < movesMax && this.#wasUsed(this.#ahead.oldest)) continue;
        return this.#evicted(this.#ahead.oldest);
      }
      const fromSmall = this.#small.bytes >= this.shape.smallShare * heldBytes || this.#main.oldest === noRow;
      const row = fromSmall ? this.#small.oldest : this.#main.oldest;
      if (row === noRow) return this.#evicted(this.#ahead.oldest);
      this.#wasUsed(row);
      if (moves < movesMax && (fromSmall ? this.#staysFromSmall(row) : this.#staysInMain(row))) continue;
      if (fromSmall) this.#remember(row, this.shape.ghostShare * heldBytes);
      else this.evictedWasUsed = true;
      return this.#evicted(row);
    }
  }

  remembers(hash: number): boolean {
    return this.#ghosts.has(hash);
  }

  /** Counts what threads have used since the last look. Other uses are counted when they happen. */
  #wasUsed(row: number): boolean {
    const uses = this.#entries.takeUses?.(row) ?? 0;
    for (let use = 0; use < Math.min(uses, frequencyMax); use += 1) this.touch(row);
    return uses > 0;
  }

  #remember(row: number, windowBytes: number): void {
    this.#ghosts.add(this.#entries.hashOf(row), this.#entries.sizeOf(row), windowBytes);
  }

  #evicted(row: number): number {
    this.remove(row);
    return row;
  }

  /** Whether the row was in a queue. */
  #leave(row: number): boolean {
    const number = this.#columns.queueOf(row);
    this.#queues[number]?.remove(row, this.#entries.sizeOf(row));
    if (number === aheadNumber) this.#arrivedAtBytes.delete(row);
    return number !== 0;
  }

  #staysFromSmall(row: number): boolean {
    const { usesForMain, secondChance } = this.shape;
    const frequency = this.#columns.frequencyOf(row);
    const isForMain = frequency >= usesForMain;
    const stays = isForMain || (secondChance && frequency > 0);
    if (stays) this.#move(row, isForMain ? this.#main : this.#small, 0);
    return stays;
  }

  #staysInMain(row: number): boolean {
    const frequency = this.#columns.frequencyOf(row);
    if (frequency === 0) return false;
    this.#move(row, this.#main, Math.min(frequency, this.shape.usesCounted) - 1);
    return true;
  }

  #move(row: number, to: RowQueue, frequency: number): void {
    this.#leave(row);
    this.#columns.setFrequency(row, frequency);
    to.push(row, this.#entries.sizeOf(row));
  }

  /** Whether too much is fetched ahead, or the oldest such entry was not used while all held bytes were replaced once. */
  #evictsAhead(heldBytes: number): boolean {
    const { oldest } = this.#ahead;
    if (oldest === noRow) return false;
    const isAbandoned = this.#insertedBytes - (this.#arrivedAtBytes.get(oldest) ?? 0) > heldBytes;
    return isAbandoned || this.#ahead.bytes > aheadShareMax * heldBytes;
  }
}
