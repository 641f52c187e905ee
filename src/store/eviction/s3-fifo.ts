/**
 * S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023), sized in
 * bytes. New entries stand in a small queue; most are never used again and leave from there soon (quick demotion), so
 * that a scan passes through without touching the main queue. What was used meanwhile moves to the main queue when its
 * turn comes (lazy promotion), and what comes back shortly after it left goes there at once: a ghost queue remembers the
 * keys. A use is one small write, and nothing is moved.
 *
 * Three things differ from the paper. The capacity is whatever is held when room is needed, because memory is shared
 * with fills. Entries fetched ahead wait for their first use in a queue of their own: to the small queue they would look
 * like a scan, and a reader that is a few chunks behind its read-ahead would have them fetched again. And the numbers
 * that the paper fixes are a {@link S3FifoShape}, which can be another from one eviction to the next.
 *
 * Invariants:
 * 1. An entry stands in exactly one of the queues; what was evicted or removed stands in none.
 * 2. The ghosts are keys that are not held. After an eviction that added one they are together at most as large as the
 *    shape's share of what was held.
 */
import { LruMap } from "../../base/lru-map.ts";
import type { Evictable } from "./evictable.ts";
import type { EvictionPolicy } from "./eviction-policy.ts";
import { FifoQueue } from "./fifo-queue.ts";

/** Shares are of what is held, in bytes. */
export interface S3FifoShape {
  /** What the small queue is meant to hold; the rest is the main queue's. */
  readonly smallShare: number;
  /** How much the ghosts remember. */
  readonly ghostShare: number;
  /** Uses while in the small queue that earn a place in main. Where it is 2, one may be the echo of the first. */
  readonly usesForMain: number;
  /** Uses while in main that count, each for one more round. Few forget soon what was popular. */
  readonly usesCounted: number;
  /** Whether what was used in the small queue, if not enough for main, goes through the small queue once more. */
  readonly secondChance: boolean;
}

export const paperShape: S3FifoShape = {
  smallShare: 0.1,
  ghostShare: 0.9,
  usesForMain: 2,
  usesCounted: 3,
  secondChance: false,
};

/** What is fetched ahead may take half of the tier. */
const aheadShareMax = 0.5;
/** As many as any shape counts. */
const frequencyMax = 7;

export class S3Fifo<Entry extends Evictable> implements EvictionPolicy<Entry> {
  shape: S3FifoShape;
  readonly #small = new FifoQueue<Entry>();
  readonly #main = new FifoQueue<Entry>();
  readonly #ahead = new FifoQueue<Entry>();
  /** Superseded and not used since: the first to go. */
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

  /** Without what is fetched ahead and what is superseded, neither of which waits for its turn. */
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
      // For what was fetched ahead it is the moment at which others are inserted; what was doomed begins anew.
      entry.queue.remove(entry);
      this.#small.push(entry);
    } else if (entry.frequency < frequencyMax) {
      entry.frequency += 1;
    }
  }

  putBack(entry: Entry): void {
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
      if (this.#aheadGivesWay(heldBytes)) return this.#ahead.shift();
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

  /** Where too much is fetched ahead, or the oldest was not used while everything held was replaced once. */
  #aheadGivesWay(heldBytes: number): boolean {
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
