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
import type { Evictable } from "./evictable.ts";
import type { EvictionPolicy } from "./eviction-policy.ts";
import { S3Fifo } from "./s3-fifo.ts";
import { ShapeTuner } from "./shape-tuner.ts";

/** With a quarter of this number, chance would decide too often. */
const sampledEntries = 512;

export class TunedS3Fifo<Entry extends Evictable> implements EvictionPolicy<Entry> {
  readonly #queues = new S3Fifo<Entry>();
  readonly #tuner = new ShapeTuner();
  #entryCount = 0;
  /** The part of all keys that is sampled. */
  #sampledShare = 0;

  get bytes(): number {
    return this.#queues.bytes;
  }

  insert(entry: Entry, ahead = false): void {
    entry.sampleAt = placeOf(entry.key);
    this.#entryCount += 1;
    this.#queues.insert(entry, ahead);
    // A chunk fetched ahead is requested when it is touched for the first time.
    if (!ahead && entry.sampleAt < this.#sampledShare) this.#tune(entry, false);
  }

  touch(entry: Entry): void {
    this.#queues.touch(entry);
    if (entry.sampleAt < this.#sampledShare) this.#tune(entry, true);
  }

  reinsert(entry: Entry): void {
    this.#entryCount += 1;
    this.#queues.reinsert(entry);
  }

  supersede(entry: Entry): void {
    this.#queues.supersede(entry);
  }

  remove(entry: Entry): void {
    this.#queues.remove(entry);
    this.#entryCount -= 1;
  }

  evict(): Entry | undefined {
    this.#sample();
    const victim = this.#queues.evict();
    if (victim !== undefined) this.#entryCount -= 1;
    return victim;
  }

  remembers(key: string): boolean {
    return this.#queues.remembers(key);
  }

  #tune(entry: Entry, isHit: boolean): void {
    this.#tuner.request(entry.key, entry.sizeBytes, isHit);
    this.#queues.shape = this.#tuner.shape;
  }

  #sample(): void {
    if (this.#sampledShare === 0) this.#sampledShare = 1;
    while (this.#entryCount * this.#sampledShare > 2 * sampledEntries) this.#sampledShare /= 2;
    while (this.#sampledShare < 1 && this.#entryCount * this.#sampledShare < sampledEntries / 2) {
      this.#sampledShare *= 2;
    }
    const share = this.#sampledShare;
    this.#tuner.resize(this.#queues.rankedBytes * share, this.#entryCount * share);
  }
}

/**
 * The place of a key in [0, 1): FNV-1a, then the finalizer of MurmurHash3, because FNV mixes the last characters
 * little.
 */
function placeOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
