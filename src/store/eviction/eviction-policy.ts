/**
 * Decides which chunk a full tier evicts. A policy only decides; the tier holds the chunks and deletes them. The policy
 * is intrusive: it keeps its state in the tier's own entries. So a hit costs the one look-up that the tier makes
 * anyway, and a write to an object that is already in the processor's cache.
 */
import type { Evictable } from "./evictable.ts";

export interface EvictionPolicy<Entry extends Evictable> {
  /** Adds an entry that the tier now holds. `ahead`: the chunk was fetched before any reader asked for it. */
  insert(entry: Entry, ahead?: boolean): void;
  /** Counts a use of the entry. */
  touch(entry: Entry): void;
  /**
   * Makes the entry the first to be evicted: its object has changed, or the chunk is an extra copy. The next use takes
   * that back.
   */
  supersede(entry: Entry): void;
  /** Removes an entry that the tier deletes for a reason of its own, such as damage. */
  remove(entry: Entry): void;
  /** Removes and returns the entry whose loss costs least; undefined if no entry is held. */
  evict(): Entry | undefined;
  /** Adds again the entry that {@link evict} has just returned. It is in use, so it must not be evicted soon. */
  reinsert(entry: Entry): void;
  /** Whether an entry with this key was evicted lately, so that keeping it would have paid off. */
  remembers(key: string): boolean;
}
