/**
 * Shares of a tier: an entry of a group that holds no more than its share is not evicted for the sake of others. Each share
 * has a policy of its own, and all entries beyond the shares compete in pools, one for each rank. A new entry goes into its
 * share. If that is too full, the entry there whose loss costs least moves to the pool. So a group keeps in its share what it
 * uses most, room that it does not use is everybody's, and a victim is found without a look at what is protected.
 *
 * Invariants:
 * 1. An entry that is held is in its share, or in the pool of its rank, or superseded in the first pool.
 * 2. A share holds at most bytesMax and entriesMax.
 * 3. An entry leaves its share for room that its own group needs, or because it is superseded or removed; and where any
 *    entry may be evicted.
 */
import { type EvictionPolicy, type NewPolicy, noRow, type PolicyEntries } from "./eviction-policy.ts";
import { sharedBytes } from "./shared-columns.ts";

export interface ShareRule {
  /** Both 0 for a group without a share. */
  readonly bytesMax: number;
  readonly entriesMax: number;
  /** Beyond the shares, entries of a lower rank are evicted before those of a higher one. */
  readonly rank: number;
}

export interface SharePolicyOptions {
  readonly entries: PolicyEntries;
  readonly rowsMax: number;
  /** Makes the policy of each share and pool. */
  readonly make: NewPolicy;
  /** By the number of the group. */
  readonly rules: readonly ShareRule[];
  /** The number of the group of an entry. It stays while the entry is held. */
  readonly groupOf: (row: number) => number;
}

/** Where a row is. */
const inShare = 1;
const inPool = 2;
const superseded = 3;

/**
 * An eviction that has returned so many entries from a pool to their share finds nothing. The next one goes on. Each of
 * them takes room that the removal of another one has left, so that is rare.
 */
const returnsMax = 1024;

interface Share {
  readonly rule: ShareRule;
  readonly policy: EvictionPolicy;
  readonly pool: EvictionPolicy;
  bytes: number;
  count: number;
}

export class SharePolicy implements EvictionPolicy {
  readonly #entries: PolicyEntries;
  readonly #groupOf: (row: number) => number;
  /** By the number of the group. */
  readonly #shares: readonly Share[];
  /** In the order in which they are evicted. */
  readonly #pools: readonly EvictionPolicy[];
  /** By row; 0 for one that is not held. */
  readonly #places: Uint8Array;

  constructor({ entries, rowsMax, make, rules, groupOf }: SharePolicyOptions) {
    this.#entries = entries;
    this.#groupOf = groupOf;
    this.#places = sharedBytes(rowsMax + 1);
    const ranks = [...new Set(rules.map(({ rank }) => rank))].sort((left, right) => left - right);
    let beside: EvictionPolicy | undefined;
    const next = (): EvictionPolicy => {
      const policy = make(entries, rowsMax, beside);
      beside ??= policy;
      return policy;
    };
    const pools = ranks.map(next);
    this.#pools = pools;
    this.#shares = rules.map((rule) => {
      const pool = pools[ranks.indexOf(rule.rank)] as EvictionPolicy;
      return { rule, policy: rule.bytesMax > 0 ? next() : pool, pool, bytes: 0, count: 0 };
    });
  }

  insert(row: number, ahead = false): void {
    const share = this.#shareOf(row);
    if (this.#isTooLarge(share, row)) {
      this.#places[row] = inPool;
      share.pool.insert(row, ahead);
      return;
    }
    this.#enter(share, row);
    share.policy.insert(row, ahead);
    this.#spill(share);
  }

  touch(row: number): void {
    const place = this.#places[row];
    if (place === superseded) {
      this.remove(row);
      this.insert(row);
      return;
    }
    const share = this.#shareOf(row);
    if (place === inShare) share.policy.touch(row);
    else if (place === inPool) share.pool.touch(row);
  }

  supersede(row: number): void {
    this.remove(row);
    this.#places[row] = superseded;
    this.#firstPool.supersede(row);
  }

  remove(row: number): void {
    const place = this.#places[row];
    const share = this.#shareOf(row);
    if (place === inShare) {
      this.#leave(share, row);
      share.policy.remove(row);
    } else if (place === inPool) share.pool.remove(row);
    else if (place === superseded) this.#firstPool.remove(row);
    this.#places[row] = 0;
  }

  evict(any = false): number {
    for (const pool of this.#pools) {
      for (let returns = 0; ; returns += 1) {
        const row = pool.evict();
        if (row === noRow) break;
        if (this.#places[row] === superseded || !this.#returns(row)) {
          this.#places[row] = 0;
          return row;
        }
        if (returns === returnsMax) return noRow;
      }
    }
    return any ? this.#evictFromShares() : noRow;
  }

  reinsert(row: number): void {
    const share = this.#shareOf(row);
    if (this.#isTooLarge(share, row)) {
      this.#places[row] = inPool;
      share.pool.reinsert(row);
      return;
    }
    this.#enter(share, row);
    share.policy.reinsert(row);
    this.#spill(share);
  }

  remembers(hash: number): boolean {
    return (
      this.#pools.some((pool) => pool.remembers(hash)) ||
      this.#shares.some(({ policy }) => policy.remembers(hash))
    );
  }

  /** Superseded entries are in the pool that is evicted first, whatever their rank. */
  get #firstPool(): EvictionPolicy {
    return this.#pools[0] as EvictionPolicy;
  }

  #shareOf(row: number): Share {
    return this.#shares[this.#groupOf(row)] as Share;
  }

  /** An entry that is larger than its share would only push all others out of it. */
  #isTooLarge({ rule }: Share, row: number): boolean {
    return rule.entriesMax === 0 || this.#entries.sizeOf(row) > rule.bytesMax;
  }

  #enter(share: Share, row: number): void {
    this.#places[row] = inShare;
    share.bytes += this.#entries.sizeOf(row);
    share.count += 1;
  }

  #leave(share: Share, row: number): void {
    share.bytes -= this.#entries.sizeOf(row);
    share.count -= 1;
  }

  /** Moves what is too much to the pool. */
  #spill(share: Share): void {
    const { rule, policy, pool } = share;
    while (share.bytes > rule.bytesMax || share.count > rule.entriesMax) {
      const row = policy.evict();
      this.#leave(share, row);
      this.#places[row] = inPool;
      // What was used again keeps that rank in the pool.
      if (policy.evictedWasUsed) pool.reinsert(row);
      else pool.insert(row);
    }
  }

  /** Whether the share of an entry that a pool has just evicted has room for it, so that the entry is there now. */
  #returns(row: number): boolean {
    const share = this.#shareOf(row);
    const { rule } = share;
    if (share.bytes + this.#entries.sizeOf(row) > rule.bytesMax || share.count >= rule.entriesMax)
      return false;
    this.#enter(share, row);
    share.policy.insert(row);
    return true;
  }

  /** From the share that is the fullest. */
  #evictFromShares(): number {
    let fullest: Share | undefined;
    for (const share of this.#shares) {
      if (share.count === 0) continue;
      if (!fullest || share.bytes / share.rule.bytesMax > fullest.bytes / fullest.rule.bytesMax)
        fullest = share;
    }
    if (!fullest) return noRow;
    const row = fullest.policy.evict();
    this.#leave(fullest, row);
    this.#places[row] = 0;
    return row;
  }
}
