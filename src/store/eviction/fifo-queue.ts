/** A queue of linked entries. An entry leaves it in a few writes, whatever its position. */
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
    assert(entry.queue === undefined, "an entry is in one queue at a time");
    entry.queue = this;
    entry.older = this.#newest;
    if (this.#newest) this.#newest.newer = entry;
    else this.#oldest = entry;
    this.#newest = entry;
    this.#bytes += entry.sizeBytes;
  }

  remove(entry: Entry): void {
    assert(entry.queue === this, "an entry leaves the queue that it is in");
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

  /** Removes and returns the oldest entry. */
  shift(): Entry | undefined {
    const entry = this.#oldest;
    if (entry) this.remove(entry);
    return entry;
  }
}
