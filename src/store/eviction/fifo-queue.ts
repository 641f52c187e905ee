/**
 * A queue of entries that are linked to each other, so that any of them leaves it in a few writes, wherever it stands.
 */
import { assert } from "../../base/assert.ts";
import type { Evictable } from "./evictable.ts";

export class FifoQueue<Entry extends Evictable = Evictable> {
  #newest: Entry | undefined;
  #oldest: Entry | undefined;
  #bytes = 0;

  /** Sum of the sizes of its entries. */
  get bytes(): number {
    return this.#bytes;
  }

  get oldest(): Entry | undefined {
    return this.#oldest;
  }

  push(entry: Entry): void {
    assert(entry.queue === undefined, "an entry stands in one queue");
    entry.queue = this;
    entry.older = this.#newest;
    if (this.#newest) this.#newest.newer = entry;
    else this.#oldest = entry;
    this.#newest = entry;
    this.#bytes += entry.sizeBytes;
  }

  remove(entry: Entry): void {
    assert(entry.queue === this, "an entry leaves the queue it stands in");
    const newer = entry.newer as Entry | undefined;
    const older = entry.older as Entry | undefined;
    if (newer) newer.older = older;
    else this.#newest = older;
    if (older) older.newer = newer;
    else this.#oldest = newer;
    entry.queue = undefined;
    entry.newer = undefined;
    entry.older = undefined;
    this.#bytes -= entry.sizeBytes;
  }

  /** Takes out the entry that has stood here the longest. */
  shift(): Entry | undefined {
    const entry = this.#oldest;
    if (entry) this.remove(entry);
    return entry;
  }
}
