/**
 * S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023), sized in
 * bytes. New entries stand in a small queue, a tenth of what is held; most are never used again and leave from there
 * soon (quick demotion), so that a scan passes through without touching the main queue. What was used meanwhile moves
 * to the main queue when its turn comes (lazy promotion), and what comes back shortly after it left goes there at once:
 * a ghost queue remembers the keys. A use is one small write, and nothing is moved.
 *
 * Two things differ from the paper. The capacity is whatever is held when room is needed, because memory is shared with
 * fills. And entries fetched ahead wait for their first use in a queue of their own: to the small queue they would
 * look like a scan, and a reader that is a few chunks behind its read-ahead would have them fetched again.
 *
 * Invariants:
 * 1. An entry stands in exactly one of small, main and ahead; what was evicted or removed stands in none.
 * 2. The ghosts are keys that are not held. After an eviction they are together at most as large as main is meant to
 *    be, so that they do not remember what even twice the memory would have forgotten.
 */
import type { Evictable, EvictionPolicy } from "./eviction-policy.ts";
import { FifoQueue } from "./fifo-queue.ts";

const smallShare = 0.1;
/** Of what is held: as much as the main queue holds when it has its share. */
const ghostShare = 1 - smallShare;
/** What is fetched ahead may take half of the tier. */
const aheadShareMax = 0.5;
const frequencyMax = 3;
/** Uses while in the small queue that earn a place in main. One may be the echo of the first: a retry, a joiner. */
const frequencyForMain = 2;

export class S3Fifo<Entry extends Evictable> implements EvictionPolicy<Entry> {
  readonly #small = new FifoQueue<Entry>();
  readonly #main = new FifoQueue<Entry>();
  readonly #ahead = new FifoQueue<Entry>();
  /** Sizes by key, the oldest first. */
  readonly #ghosts = new Map<string, number>();
  #ghostBytes = 0;
  #insertedBytes = 0;

  get bytes(): number {
    return this.#small.bytes + this.#main.bytes + this.#ahead.bytes;
  }

  get ghostBytes(): number {
    return this.#ghostBytes;
  }

  insert(entry: Entry, ahead = false): void {
    entry.frequency = 0;
    entry.arrivedAtBytes = this.#insertedBytes;
    this.#insertedBytes += entry.sizeBytes;
    if (this.#forget(entry.key)) this.#main.push(entry);
    else if (ahead) this.#ahead.push(entry);
    else this.#small.push(entry);
  }

  touch(entry: Entry): void {
    if (entry.queue === this.#ahead) {
      // Its first use is the moment at which an entry that was not fetched ahead is inserted.
      this.#ahead.remove(entry);
      this.#small.push(entry);
    } else if (entry.frequency < frequencyMax) {
      entry.frequency += 1;
    }
  }

  remove(entry: Entry): void {
    entry.queue?.remove(entry);
  }

  evict(): Entry | undefined {
    const heldBytes = this.bytes;
    for (;;) {
      if (this.#aheadGivesWay(heldBytes)) return this.#ahead.shift();
      const fromSmall = this.#small.bytes >= smallShare * heldBytes || this.#main.oldest === undefined;
      const entry = fromSmall ? this.#small.shift() : this.#main.shift();
      if (entry === undefined) return this.#ahead.shift();
      if (fromSmall && entry.frequency >= frequencyForMain) {
        entry.frequency = 0;
        this.#main.push(entry);
      } else if (!fromSmall && entry.frequency > 0) {
        entry.frequency -= 1;
        this.#main.push(entry);
      } else {
        if (fromSmall) this.#remember(entry, ghostShare * heldBytes);
        return entry;
      }
    }
  }

  remembers(key: string): boolean {
    return this.#ghosts.has(key);
  }

  /** Where too much is fetched ahead, or the oldest was not used while everything held was replaced once. */
  #aheadGivesWay(heldBytes: number): boolean {
    const oldest = this.#ahead.oldest;
    if (oldest === undefined) return false;
    const isAbandoned = this.#insertedBytes - oldest.arrivedAtBytes > heldBytes;
    return isAbandoned || this.#ahead.bytes > aheadShareMax * heldBytes;
  }

  #remember(entry: Entry, ghostBytesMax: number): void {
    this.#forget(entry.key);
    this.#ghosts.set(entry.key, entry.sizeBytes);
    this.#ghostBytes += entry.sizeBytes;
    for (const key of this.#ghosts.keys()) {
      if (this.#ghostBytes <= ghostBytesMax) break;
      this.#forget(key);
    }
  }

  #forget(key: string): boolean {
    const sizeBytes = this.#ghosts.get(key);
    if (sizeBytes === undefined) return false;
    this.#ghosts.delete(key);
    this.#ghostBytes -= sizeBytes;
    return true;
  }
}
