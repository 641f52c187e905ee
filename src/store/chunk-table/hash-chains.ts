/**
 * A hash table of rows, as chains that are linked in columns. It grows and shrinks by one bucket at a time (linear hashing),
 * so no change of it takes longer than a look-up, however many rows there are.
 *
 * Invariants:
 * 1. A row that was added and not removed is in the chain of the bucket of its hash.
 * 2. There are at most twice as many buckets as the rows need, or one. So a walk over the buckets takes no longer than one
 *    over the rows, also after most of them were removed.
 */
import { noRow } from "../eviction/eviction-policy.ts";
import { bucketOf, sharedNumbers } from "../eviction/shared-columns.ts";

export class HashChains {
  /** The next row of the chain that a row is in. */
  readonly next: Uint32Array;
  readonly #first: Uint32Array;
  readonly #rowsPerBucket: number;
  readonly #hashOf: (row: number) => number;
  #buckets = 1;
  #count = 0;

  /**
   * `rowsPerBucket`: the mean length of the chains. `hashOf`: 32 bits for a row, always the same. `next`: that of other
   * chains, where a row is in one of them at most.
   */
  constructor(
    rowsMax: number,
    rowsPerBucket: number,
    hashOf: (row: number) => number,
    next = sharedNumbers(rowsMax + 1),
  ) {
    this.next = next;
    this.#first = sharedNumbers(Math.ceil(rowsMax / rowsPerBucket) + 1);
    this.#rowsPerBucket = rowsPerBucket;
    this.#hashOf = hashOf;
  }

  get buckets(): number {
    return this.#buckets;
  }

  /** The first row of a chain. The others follow in {@link next}. */
  firstOf(hash: number): number {
    return this.#first[bucketOf(hash, this.#buckets)] as number;
  }

  firstIn(bucket: number): number {
    return this.#first[bucket] as number;
  }

  add(row: number): void {
    this.#count += 1;
    if (this.#count > this.#buckets * this.#rowsPerBucket) this.#split();
    this.#push(bucketOf(this.#hashOf(row), this.#buckets), row);
  }

  /** Whether the row was in its chain. */
  remove(row: number): boolean {
    const bucket = bucketOf(this.#hashOf(row), this.#buckets);
    let before = noRow;
    let at = this.#first[bucket] as number;
    while (at !== row && at !== noRow) {
      before = at;
      at = this.next[at] as number;
    }
    if (at === noRow) return false;
    if (before === noRow) this.#first[bucket] = this.next[row] as number;
    else this.next[before] = this.next[row] as number;
    this.#count -= 1;
    // Half as many as it takes to split, so that adding and removing one row does not split and merge again and again.
    // One merge for each row would leave half of the buckets to a table that has become empty.
    while (this.#buckets > 1 && this.#count < (this.#buckets * this.#rowsPerBucket) / 2) this.#merge();
    return true;
  }

  #push(bucket: number, row: number): void {
    this.next[row] = this.#first[bucket] as number;
    this.#first[bucket] = row;
  }

  /** Adds a bucket, with rows of the one bucket from which it takes some. */
  #split(): void {
    const added = this.#buckets;
    this.#redistribute(bucketOf(added, added), added + 1);
  }

  /** Removes the last bucket. Its rows go to one other bucket. */
  #merge(): void {
    this.#redistribute(this.#buckets - 1, this.#buckets - 1);
  }

  #redistribute(bucket: number, buckets: number): void {
    let row = this.#first[bucket] as number;
    this.#first[bucket] = noRow;
    this.#buckets = buckets;
    while (row !== noRow) {
      const next = this.next[row] as number;
      this.#push(bucketOf(this.#hashOf(row), buckets), row);
      row = next;
    }
  }
}
