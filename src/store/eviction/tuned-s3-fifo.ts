/**
 * The eviction policy of both tiers: S3-FIFO whose shape follows what is asked for (shape-contest.ts). Which requests the
 * contest sees is decided by their keys, so that it sees every use of some chunks and none of the others: of all chunks
 * where the tier holds a few hundred, of as many where it holds more. A use of another chunk is one small write; a use of
 * one of the sample is a look-up in each miniature besides, next to a chunk that has to be sent.
 *
 * Invariants:
 * 1. Nothing is sampled before the first eviction, because nobody knows before how much the tier can hold.
 * 2. As of the last eviction, at most twice {@link sampledEntries} of the entries held are sampled, and at least half as
 *    many where there are as many. The share is a power of two, so that it seldom changes.
 */
import type { Evictable } from "./evictable.ts";
import type { EvictionPolicy } from "./eviction-policy.ts";
import { S3Fifo } from "./s3-fifo.ts";
import { ShapeTuner } from "./shape-tuner.ts";

/** With a quarter of them, the outcome would too often be a matter of chance. */
const sampledEntries = 512;

export class TunedS3Fifo<Entry extends Evictable> implements EvictionPolicy<Entry> {
  readonly #queues = new S3Fifo<Entry>();
  readonly #contest = new ShapeTuner();
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
    // What was fetched ahead is asked for when it is touched.
    if (!ahead && entry.sampleAt < this.#sampledShare) this.#compete(entry, false);
  }

  touch(entry: Entry): void {
    this.#queues.touch(entry);
    if (entry.sampleAt < this.#sampledShare) this.#compete(entry, true);
  }

  putBack(entry: Entry): void {
    this.#entryCount += 1;
    this.#queues.putBack(entry);
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

  #compete(entry: Entry, isHit: boolean): void {
    this.#contest.request(entry.key, entry.sizeBytes, isHit);
    this.#queues.shape = this.#contest.shape;
  }

  #sample(): void {
    if (this.#sampledShare === 0) this.#sampledShare = 1;
    while (this.#entryCount * this.#sampledShare > 2 * sampledEntries) this.#sampledShare /= 2;
    while (this.#sampledShare < 1 && this.#entryCount * this.#sampledShare < sampledEntries / 2) {
      this.#sampledShare *= 2;
    }
    const share = this.#sampledShare;
    this.#contest.resize(this.#queues.rankedBytes * share, this.#entryCount * share);
  }
}

/** Where a key falls in [0, 1): FNV-1a, with the finalizer of MurmurHash3, because FNV mixes the last characters little. */
function placeOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
