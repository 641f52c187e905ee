/**
 * S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023), with sizes in
 * bytes. A new entry goes into a small queue. Most entries are never used again and leave it soon (quick demotion), so
 * a scan passes through without touching the main queue. An entry that was used meanwhile moves to the main queue when
 * its turn comes (lazy promotion). A ghost queue remembers the keys of evicted entries: an entry that returns soon goes
 * to the main queue at once. A use is one small write and moves nothing.
 *
 * Three things differ from the paper. The capacity is the number of bytes held when room is needed, because fills use
 * the same memory. Entries fetched ahead wait for their first use in a queue of their own: in the small queue they
 * would look like a scan, and a reader that is a few chunks behind its read-ahead would fetch them again. The numbers
 * that the paper fixes are an {@link S3FifoShape}, which may change between two evictions.
 *
 * Invariants:
 * 1. An entry that is held is in exactly one queue. An evicted or removed entry is in none.
 * 2. The ghosts are keys that are not held. After an eviction that added a ghost, the sum of their sizes is at most the
 *    shape's share of the bytes that were held.
 */
import { LruMap } from "../../base/lru-map.ts";
import type { Evictable } from "./evictable.ts";
import type { EvictionPolicy } from "./eviction-policy.ts";
import { FifoQueue } from "./fifo-queue.ts";

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

/** Entries fetched ahead may take half of the tier. */
const aheadShareMax = 0.5;
/** At least as many as any shape counts. */
const frequencyMax = 7;

export class S3Fifo<Entry extends Evictable> implements EvictionPolicy<Entry> {
  shape: S3FifoShape;
  readonly #small = new FifoQueue<Entry>();
  readonly #main = new FifoQueue<Entry>();
  readonly #ahead = new FifoQueue<Entry>();
  /** Superseded entries that were not used since. They are evicted first. */
  readonly #doomed = new FifoQueue<Entry>();
  /** Keys, each weighing the bytes that its entry had. */
  readonly #ghosts = new LruMap<string, true>();
  #insertedBytes = 0;

  constructor(shape: S3FifoShape = paperShape) {
    this.shape = shape;
  }

  get bytes(): number {
    return this.#small.bytes + this.#main.bytes + this.#ahead.bytes + this.#doomed.bytes;
  }

  /** Without entries fetched ahead and superseded entries, which are evicted by other rules. */
  get rankedBytes(): number {
    return this.#small.bytes + this.#main.bytes;
  }

  get ghostBytes(): number {
    return this.#ghosts.weight;
  }

  insert(entry: Entry, ahead = false): void {
    entry.frequency = 0;
    entry.arrivedAtBytes = this.#insertedBytes;
    this.#insertedBytes += entry.sizeBytes;
    if (this.#ghosts.delete(entry.key)) this.#main.push(entry);
    else if (ahead) this.#ahead.push(entry);
    else this.#small.push(entry);
  }

  touch(entry: Entry): void {
    if (entry.queue === this.#ahead || entry.queue === this.#doomed) {
      // For an entry fetched ahead, the first use is what an insertion is for others. A superseded entry begins anew.
      entry.queue.remove(entry);
      this.#small.push(entry);
    } else if (entry.frequency < frequencyMax) {
      entry.frequency += 1;
    }
  }

  reinsert(entry: Entry): void {
    entry.frequency = 0;
    this.#ghosts.delete(entry.key);
    this.#main.push(entry);
  }

  supersede(entry: Entry): void {
    entry.queue?.remove(entry);
    entry.frequency = 0;
    this.#doomed.push(entry);
  }

  remove(entry: Entry): void {
    entry.queue?.remove(entry);
  }

  evict(): Entry | undefined {
    const heldBytes = this.bytes;
    for (;;) {
      if (this.#doomed.oldest !== undefined) return this.#doomed.shift();
      if (this.#evictsAhead(heldBytes)) return this.#ahead.shift();
      const fromSmall =
        this.#small.bytes >= this.shape.smallShare * heldBytes || this.#main.oldest === undefined;
      const entry = fromSmall ? this.#small.shift() : this.#main.shift();
      if (entry === undefined) return this.#ahead.shift();
      if (fromSmall ? this.#staysFromSmall(entry) : this.#staysInMain(entry)) continue;
      if (fromSmall) this.#remember(entry, this.shape.ghostShare * heldBytes);
      return entry;
    }
  }

  remembers(key: string): boolean {
    return this.#ghosts.has(key);
  }

  #staysFromSmall(entry: Entry): boolean {
    const { usesForMain, secondChance } = this.shape;
    const isForMain = entry.frequency >= usesForMain;
    const stays = isForMain || (secondChance && entry.frequency > 0);
    if (!stays) return false;
    entry.frequency = 0;
    if (isForMain) this.#main.push(entry);
    else this.#small.push(entry);
    return true;
  }

  #staysInMain(entry: Entry): boolean {
    if (entry.frequency === 0) return false;
    entry.frequency = Math.min(entry.frequency, this.shape.usesCounted) - 1;
    this.#main.push(entry);
    return true;
  }

  /** Whether too much is fetched ahead, or the oldest such entry was not used while all held bytes were replaced once. */
  #evictsAhead(heldBytes: number): boolean {
    const oldest = this.#ahead.oldest;
    if (oldest === undefined) return false;
    const isAbandoned = this.#insertedBytes - oldest.arrivedAtBytes > heldBytes;
    return isAbandoned || this.#ahead.bytes > aheadShareMax * heldBytes;
  }

  #remember(entry: Entry, ghostBytesMax: number): void {
    this.#ghosts.weightMax = ghostBytesMax;
    this.#ghosts.set(entry.key, true, entry.sizeBytes);
  }
}
