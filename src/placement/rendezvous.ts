/**
 * Rendezvous hashing, "highest random weight" (Thaler, Ravishankar: "Using name-based mappings to increase hit rates",
 * IEEE/ACM ToN 6(1), 1998). Every replica has a score for each key, and the replica with the highest score owns the key.
 * Replicas with the same list pick the same owner without a message. A replica that joins or leaves moves only the keys
 * that it wins or had. There is no ring and no table: a change costs one hash per replica.
 *
 * Every chunk of every request needs its owner. The key is hashed once, a score takes a few multiplications more, and the
 * owner is the maximum. Nothing is sorted or allocated. The first of a ranking are found in one pass, too: those who
 * rank want two or three names, and to sort a thousand replicas for them takes sixty times as long.
 */
import { assert } from "../base/assert.ts";

interface Placed {
  readonly replicaId: string;
}

const none: readonly string[] = [];

/** For one list of replicas. Another list needs another Rendezvous. */
export class Rendezvous<Replica extends Placed> {
  readonly #replicas: readonly Replica[];
  /** The two halves of each replica's hash, one after the other. */
  readonly #seeds: Uint32Array;
  readonly stats = {
    /** Rankings, and the steps in which they moved a replica to its place among those kept. */
    rankings: 0,
    moves: 0,
  };

  /** The order of `replicas` does not matter. No two have the same id. */
  constructor(replicas: readonly Replica[]) {
    // All replicas use the same order, so that they find the same owner even for equal scores.
    this.#replicas = replicas.toSorted((left, right) => (left.replicaId < right.replicaId ? -1 : 1));
    this.#seeds = new Uint32Array(replicas.length * 2);
    for (const [index, { replicaId }] of this.#replicas.entries()) {
      assert(this.#replicas[index - 1]?.replicaId !== replicaId, "a replica is in a list once");
      hashText(replicaId);
      this.#seeds[index * 2] = hashHigh;
      this.#seeds[index * 2 + 1] = hashLow;
    }
  }

  get size(): number {
    return this.#replicas.length;
  }

  /**
   * The owner of `key` (a chunk path, an object's name) among the replicas that are not `skipped`, or undefined without
   * any.
   */
  owner(key: string, skipped: readonly string[] = none): Replica | undefined {
    hashText(key);
    const high = hashHigh;
    const low = hashLow;
    let bestScore = -1;
    let bestIndex = -1;
    for (let index = 0; index < this.#replicas.length; index += 1) {
      const candidate = this.#score(index, high, low);
      if (candidate <= bestScore) continue;
      if (skipped.length > 0 && skipped.includes((this.#replicas[index] as Replica).replicaId)) continue;
      bestScore = candidate;
      bestIndex = index;
    }
    return this.#replicas[bestIndex];
  }

  /**
   * The first `count` replicas by their score for `key`, the owner first. Without the owner, the second would own the
   * key. Meant for a small count: of the others, only those that come to be among the first are moved.
   */
  rank(key: string, count = this.#replicas.length): Replica[] {
    hashText(key);
    const high = hashHigh;
    const low = hashLow;
    const keptMax = Math.min(count, this.#replicas.length);
    const kept: Replica[] = [];
    const scores: number[] = [];
    this.stats.rankings += 1;
    if (keptMax === 0) return kept;
    for (let index = 0; index < this.#replicas.length; index += 1) {
      const score = this.#score(index, high, low);
      let at = scores.length;
      if (at === keptMax) {
        at -= 1;
        if (score <= (scores[at] as number)) continue;
      }
      for (; at > 0 && (scores[at - 1] as number) < score; at -= 1) {
        scores[at] = scores[at - 1] as number;
        kept[at] = kept[at - 1] as Replica;
        this.stats.moves += 1;
      }
      scores[at] = score;
      kept[at] = this.#replicas[index] as Replica;
    }
    return kept;
  }

  /** 53 bits, as many as a number holds exactly; the finalizer of cyrb53 over the halves of key and replica. */
  #score(index: number, keyHigh: number, keyLow: number): number {
    let high = keyHigh ^ (this.#seeds[index * 2] as number);
    let low = keyLow ^ (this.#seeds[index * 2 + 1] as number);
    high = Math.imul(high ^ (high >>> 16), 0x85ebca6b) ^ Math.imul(low ^ (low >>> 13), 0xc2b2ae35);
    low = Math.imul(low ^ (low >>> 16), 0x85ebca6b) ^ Math.imul(high ^ (high >>> 13), 0xc2b2ae35);
    return (high & 0x1fffff) * 4_294_967_296 + (low >>> 0);
  }
}

// The result of hashText. An object instead would be garbage for every chunk of every request.
let hashHigh = 0;
let hashLow = 0;

/** The hash that places `text`, for tables and digests of chunk paths. It is the same on every replica. */
export function placementHash(text: string): { readonly high: number; readonly low: number } {
  hashText(text);
  return { high: hashHigh, low: hashLow };
}

/** 64 bits of `text`, by UTF-16 code units, in two lanes that differ in their multipliers and are mixed at the end. */
function hashText(text: string): void {
  let high = 0xdeadbeef | 0;
  let low = 0x41c6ce57 | 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    high = Math.imul(high ^ unit, 0x9e3779b1);
    low = Math.imul(low ^ unit, 0x5f356495);
  }
  high = Math.imul(high ^ (high >>> 16), 0x85ebca6b) ^ Math.imul(low ^ (low >>> 13), 0xc2b2ae35);
  low = Math.imul(low ^ (low >>> 16), 0x85ebca6b) ^ Math.imul(high ^ (high >>> 13), 0xc2b2ae35);
  hashHigh = high >>> 0;
  hashLow = low >>> 0;
}
