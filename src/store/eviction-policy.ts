/**
 * Which chunk a full tier lets go of. A policy only decides; the tier holds the chunks and says what happens to them.
 * It is intrusive: what the policy must know of a chunk lies in the tier's own entry, so that a hit is the one look-up
 * the tier makes anyway and a few writes to an object that is in the processor's cache already.
 */

/**
 * What a tier's entries extend. The fields after `sizeBytes` belong to the policy that holds the entry; an entry is in
 * one policy at a time.
 */
export class Evictable {
  /** The chunk path. */
  readonly key: string;
  readonly sizeBytes: number;
  /** Uses that the policy still gives credit for. */
  frequency = 0;
  /** The queue the entry stands in, or undefined while no policy holds it. */
  queue: EvictionQueue | undefined = undefined;
  /** The neighbour that leaves the queue after this one. */
  newer: Evictable | undefined = undefined;
  /** The neighbour that leaves the queue before this one. */
  older: Evictable | undefined = undefined;

  constructor(key: string, sizeBytes: number) {
    this.key = key;
    this.sizeBytes = sizeBytes;
  }
}

/** A queue as its entries know it. */
export interface EvictionQueue {
  readonly bytes: number;
}

export interface EvictionPolicy<Entry extends Evictable> {
  /** Takes in an entry that the tier holds from now on. */
  insert(entry: Entry): void;
  /** The entry was used. */
  touch(entry: Entry): void;
  /** The tier has let go of the entry for a reason of its own (deleted, damaged). */
  remove(entry: Entry): void;
  /** Takes out the entry that is the least loss; undefined where none is held. */
  evict(): Entry | undefined;
  /** A chunk was asked for that the tier does not hold, and that it is perhaps not going to hold. */
  noteMiss(key: string): void;
  /** Whether a chunk that is not held was asked for before, lately enough that keeping it would have paid. */
  wasSeen(key: string): boolean;
}
