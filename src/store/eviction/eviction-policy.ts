/**
 * Decides which chunk a full tier evicts. A policy only decides; the tier holds the chunks and deletes them. Both name an
 * entry by its row, a number, and keep what they know of it in arrays of numbers. So an entry costs the policy a few bytes,
 * and a hit costs one small write besides the one look-up that the tier makes anyway.
 */

/** What a policy asks the tier about the entry in a row. */
export interface PolicyEntries {
  sizeOf(row: number): number;
  /** 32 bits of a hash of its key. It decides whether the uses of the entry are sampled, and names it once evicted. */
  hashOf(row: number): number;
  /** How often threads have used the entry since the last call, which tell the policy nothing themselves. */
  takeUses?(row: number): number;
}

/** Rows are numbered from 1 to the rowsMax of the tier. */
export const noRow = 0;

export interface EvictionPolicy {
  /** Adds an entry that the tier now holds. `ahead`: the chunk was fetched before any reader asked for it. */
  insert(row: number, ahead?: boolean): void;
  /** Counts a use of the entry. */
  touch(row: number): void;
  /**
   * Makes the entry the first to be evicted: its object has changed, or the chunk is an extra copy. The next use takes
   * that back.
   */
  supersede(row: number): void;
  /** Removes an entry that the tier deletes for a reason of its own, such as damage. */
  remove(row: number): void;
  /**
   * Removes and returns the entry whose loss costs least; {@link noRow} if there is none that may be evicted. `any`: also
   * an entry that is protected from being evicted for others.
   */
  evict(any?: boolean): number;
  /** Whether the entry that {@link evict} has just returned was used again while it was held, if the policy can tell. */
  readonly evictedWasUsed?: boolean;
  /** Adds again the entry that {@link evict} has just returned. It is in use, so it must not be evicted soon. */
  reinsert(row: number): void;
  /** Whether an entry with this hash was evicted lately, so that keeping it would have paid off. */
  remembers(hash: number): boolean;
}

/**
 * Makes the policy of a tier that has at most `rowsMax` entries. `beside`: another one of the tier that it has made, where
 * a row is in one of them at most, so that both can use the same arrays.
 */
export type NewPolicy = (entries: PolicyEntries, rowsMax: number, beside?: EvictionPolicy) => EvictionPolicy;
