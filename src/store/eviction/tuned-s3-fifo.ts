/**
 * The eviction policy of both tiers: S3-FIFO with a shape that follows the requests (shape-tuner.ts). The tuner sees a
 * sample. A chunk's key decides whether it is sampled, so the tuner sees every use of some chunks and no use of the
 * others. If the tier holds a few hundred chunks, all are sampled; if it holds more, about as many. A use of a chunk
 * outside the sample is one small write. A use of a sampled chunk also costs a look-up in each miniature cache, which
 * is little compared with sending the chunk.
 *
 * Invariants:
 * 1. Before the first eviction nothing is sampled, because the capacity of the tier is unknown.
 * 2. As of the last eviction, at most twice {@link sampledEntries} of the entries held are sampled, and at least half
 *    of {@link sampledEntries} if the tier holds so many. The share is a power of two, so that it seldom changes.
 */
import type { EvictionPolicy, PolicyEntries } from "./eviction-policy.ts";
import { paperShape, S3Fifo } from "./s3-fifo.ts";
import { ShapeTuner } from "./shape-tuner.ts";

/** With a quarter of this number, chance would decide too often. */
const sampledEntries = 512;

export class TunedS3Fifo implements EvictionPolicy {
  readonly #entries: PolicyEntries;
  readonly #queues: S3Fifo;
  readonly #tuner = new ShapeTuner();
  /** The part of all keys that is sampled. */
  #sampledShare = 0;
  /** A key is sampled if its hash is below this number. */
  #sampledBelow = 0;

  /** @see S3Fifo */
  constructor(entries: PolicyEntries, rowsMax: number, beside?: TunedS3Fifo) {
    this.#entries = entries;
    this.#queues = new S3Fifo(entries, rowsMax, paperShape, beside && beside.#queues);
  }

  get bytes(): number {
    return this.#queues.bytes;
  }

  get evictedWasUsed(): boolean {
    return this.#queues.evictedWasUsed;
  }

  insert(row: number, ahead = false): void {
    this.#queues.insert(row, ahead);
    // A chunk fetched ahead is requested when it is touched for the first time.
    if (!ahead) this.#tune(row, false);
  }

  /** @see S3Fifo.grow */
  grow(row: number, addedBytes: number): void {
    this.#queues.grow(row, addedBytes);
  }

  touch(row: number): void {
    this.#queues.touch(row);
    this.#tune(row, true);
  }

  reinsert(row: number): void {
    this.#queues.reinsert(row);
  }

  supersede(row: number): void {
    this.#queues.supersede(row);
  }

  remove(row: number): void {
    this.#queues.remove(row);
  }

  /** @see S3Fifo.isUsed */
  isUsed(row: number): boolean {
    return this.#queues.isUsed(row);
  }

  /** @see S3Fifo.evictEarly */
  evictEarly(row: number): void {
    this.#queues.evictEarly(row);
  }

  evict(): number {
    this.#sample();
    return this.#queues.evict();
  }

  remembers(hash: number): boolean {
    return this.#queues.remembers(hash);
  }

  #tune(row: number, isHit: boolean): void {
    const hash = this.#entries.hashOf(row);
    if (hash >= this.#sampledBelow) return;
    this.#tuner.request(hash, this.#entries.sizeOf(row), isHit);
    this.#queues.shape = this.#tuner.shape;
  }

  #sample(): void {
    const { count, rankedBytes } = this.#queues;
    let share = this.#sampledShare || 1;
    while (count * share > 2 * sampledEntries) share /= 2;
    while (share < 1 && count * share < sampledEntries / 2) share *= 2;
    this.#sampledShare = share;
    this.#sampledBelow = share * 2 ** 32;
    this.#tuner.resize(rankedBytes * share, count * share);
  }
}
