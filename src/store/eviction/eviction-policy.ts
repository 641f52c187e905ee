/**
 * Which chunk a full tier lets go of. A policy only decides; the tier holds the chunks and says what happens to them.
 * It is intrusive: what the policy must know of a chunk lies in the tier's own entry, so that a hit is the one look-up
 * the tier makes anyway and a write to an object that is in the processor's cache already.
 */
import type { Evictable } from "./evictable.ts";

export interface EvictionPolicy<Entry extends Evictable> {
  /** Takes in an entry that the tier holds from now on. `ahead`: it was fetched before anybody asked for it. */
  insert(entry: Entry, ahead?: boolean): void;
  /** The entry was used. */
  touch(entry: Entry): void;
  /**
   * Makes the entry the first to be evicted: its object has changed, or the chunk is an extra copy. The next use takes
   * that back.
   */
  supersede(entry: Entry): void;
  /** The tier has let go of the entry for a reason of its own (deleted, damaged). */
  remove(entry: Entry): void;
  /** Takes out the entry that is the least loss; undefined where none is held. */
  evict(): Entry | undefined;
  /** Takes in again what {@link evict} has just taken out: it is in use, and must not come up again soon. */
  putBack(entry: Entry): void;
  /** Whether an entry of this key was let go of lately, so that keeping it would have paid. */
  remembers(key: string): boolean;
}
