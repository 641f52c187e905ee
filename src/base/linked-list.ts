/**
 * A list of linked items, the oldest first. An item joins and leaves it in a few writes, whatever its place. Every queue
 * that items leave from the front or the middle is one of these, or an LruMap, which is a list with keys.
 *
 * A Map or a Set alone is not enough. It keeps the order of insertion, but to find its first key V8 skips the slots of all
 * keys that were deleted before it. With 128,000 waiters, to serve one then takes 65 us instead of 6 us. Array.shift moves
 * all other items of a long array.
 */
import { assert } from "./assert.ts";

/** The list that an item is in, as far as the item needs it. */
interface List {
  remove(item: Linked): void;
}

/** An item of a list. It is in one list at a time. */
export class Linked {
  /** Undefined while the item is in no list. */
  list: List | undefined = undefined;
  /** Its neighbours in the list. Only the list changes these fields. */
  older: Linked | undefined = undefined;
  newer: Linked | undefined = undefined;
}

export class LinkedList<Item extends Linked> {
  #oldest: Item | undefined;
  #newest: Item | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get oldest(): Item | undefined {
    return this.#oldest;
  }

  get newest(): Item | undefined {
    return this.#newest;
  }

  /** Adds an item after all others: it is the newest. */
  push(item: Item): void {
    this.#join(item);
    item.older = this.#newest;
    if (this.#newest) this.#newest.newer = item;
    else this.#oldest = item;
    this.#newest = item;
  }

  /** Adds an item before all others: it is the oldest. */
  unshift(item: Item): void {
    this.#join(item);
    item.newer = this.#oldest;
    if (this.#oldest) this.#oldest.older = item;
    else this.#newest = item;
    this.#oldest = item;
  }

  remove(item: Item): void {
    assert(item.list === this, "an item leaves the list that it is in");
    const newer = item.newer as Item | undefined;
    const older = item.older as Item | undefined;
    if (newer) newer.older = older;
    else this.#newest = older;
    if (older) older.newer = newer;
    else this.#oldest = newer;
    item.list = undefined;
    item.newer = undefined;
    item.older = undefined;
    this.#size -= 1;
  }

  /** Removes and returns the oldest item. */
  shift(): Item | undefined {
    const item = this.#oldest;
    if (item) this.remove(item);
    return item;
  }

  /** Removes and returns the newest item. */
  pop(): Item | undefined {
    const item = this.#newest;
    if (item) this.remove(item);
    return item;
  }

  /** The oldest first. During the iteration, only the item that it has yielded last may leave the list. */
  *[Symbol.iterator](): Generator<Item> {
    let item = this.#oldest;
    while (item !== undefined) {
      const newer = item.newer as Item | undefined;
      yield item;
      item = newer;
    }
  }

  #join(item: Item): void {
    assert(item.list === undefined, "an item is in one list at a time");
    item.list = this;
    this.#size += 1;
  }
}
