/**
 * A map with a bound: it evicts the least recently used entries when there are too many. State that clients, peers or an
 * origin could make grow without end lives in one of these.
 * Every operation takes constant time, because the entries are linked to each other. linked-list.ts says why a Map alone
 * is not enough. Without a bound it is a queue with keys.
 *
 * Invariants:
 * 1. #entries holds exactly the entries of #byUse.
 * 2. #weight is the sum of their weights.
 * 3. After a `set` there are at most entriesMax of them, and they weigh at most weightMax.
 * 4. With a shared bound, the weight of each entry is charged there, from before its addition until its removal.
 */
import { Linked, LinkedList } from "./linked-list.ts";

class Entry<Key, Value> extends Linked {
  readonly key: Key;
  value: Value;
  weight: number;
  /** With `marksUses`: whether it was used since it last became the newest. */
  isMarked = false;

  constructor(key: Key, value: Value, weight: number) {
    super();
    this.key = key;
    this.value = value;
    this.weight = weight;
  }
}

/** After so many marked entries an eviction takes the next one, so that it does not delay readers. */
const skippedMax = 1024;

/** A map, as the bound that it shares with others sees it. */
export interface WeighedMap {
  /** Of all its entries. */
  readonly weight: number;
  /** Evicts the least recently used entry and discharges it. */
  evictOldest(): void;
}

/** A bound on the weight of several maps together. */
export interface SharedBound {
  add(map: WeighedMap): void;
  /** Charges a new entry. To make room it may evict entries of any map. False: there is no room, and nothing is charged. */
  tryCharge(weight: number): boolean;
  discharge(weight: number): void;
}

export interface LruMapOptions<Key, Value> {
  /** 0 keeps nothing. Unbounded by default. */
  readonly entriesMax?: number;
  /** In the unit of the weights that `set` gets. Unbounded by default. */
  readonly weightMax?: number;
  readonly shared?: SharedBound | undefined;
  /**
   * A use only marks its entry, and an eviction skips marked ones: CLOCK, an approximation of LRU (Corbató 1968).
   * For a map with many entries that is read far more often than written: to link an entry anew, a use would write to its
   * neighbours too, which no cache of the processor holds.
   */
  readonly marksUses?: boolean;
  /** With `marksUses`: whether there was a use since the last call that this map does not know of. */
  readonly wasUsedElsewhere?: ((key: Key) => boolean) | undefined;
  /** Called with each evicted entry after its removal. Not called for a value that is replaced or deleted. */
  readonly onEvict?: (value: Value, key: Key) => void;
}

export class LruMap<Key, Value> implements WeighedMap {
  /** A lower bound takes effect with the next `set`. */
  entriesMax: number;
  /** As {@link entriesMax}. */
  weightMax: number;
  readonly #marksUses: boolean;
  readonly #wasUsedElsewhere: ((key: Key) => boolean) | undefined;
  readonly #shared: SharedBound | undefined;
  readonly #onEvict: ((value: Value, key: Key) => void) | undefined;
  readonly #entries = new Map<Key, Entry<Key, Value>>();
  /** The least recently used one first. */
  #byUse = new LinkedList<Entry<Key, Value>>();
  #weight = 0;

  constructor(options: LruMapOptions<Key, Value> = {}) {
    const { entriesMax = Infinity, weightMax = Infinity, marksUses = false, shared, onEvict } = options;
    this.#marksUses = marksUses;
    this.#wasUsedElsewhere = options.wasUsedElsewhere;
    this.entriesMax = entriesMax;
    this.weightMax = weightMax;
    this.#shared = shared;
    this.#onEvict = onEvict;
    shared?.add(this);
  }

  get size(): number {
    return this.#entries.size;
  }

  get weight(): number {
    return this.#weight;
  }

  /** The least recently used entry. This is not a use. */
  get oldest(): { readonly key: Key; readonly value: Value } | undefined {
    return this.#byUse.oldest;
  }

  /** The value, for a use: its entry is now the most recently used one. */
  get(key: Key): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (this.#marksUses) entry.isMarked = true;
    else this.#use(entry);
    return entry.value;
  }

  /** The value. This is not a use. */
  peek(key: Key): Value | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Whether there is an entry. This is not a use. */
  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  /**
   * Adds or replaces a value. Its entry is now the most recently used one. Where the shared bound has no room for it, the map has
   * no entry of this key.
   */
  set(key: Key, value: Value, weight = 1): void {
    if (this.#shared) {
      this.delete(key);
      if (!this.#shared.tryCharge(weight)) return;
    }
    const known = this.#entries.get(key);
    if (known === undefined) {
      const entry = new Entry(key, value, weight);
      this.#entries.set(key, entry);
      this.#byUse.push(entry);
      this.#weight += weight;
    } else {
      this.#weight += weight - known.weight;
      known.value = value;
      known.weight = weight;
      this.#use(known);
    }
    this.#makeRoom();
  }

  /** Whether there was an entry. */
  delete(key: Key): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#remove(entry);
    return true;
  }

  /** Evicts the least recently used entry, if there is one. */
  evictOldest(): void {
    let entry = this.#byUse.oldest;
    // An entry that was added just now has had no time to be used, and stays the newest.
    const { newest } = this.#byUse;
    for (let skipped = 0; entry && skipped < skippedMax; skipped += 1) {
      if (!entry.isMarked && (entry !== newest || this.size === 1) && !this.#wasUsedElsewhere?.(entry.key))
        break;
      this.#use(entry);
      entry = this.#byUse.oldest;
    }
    if (entry === undefined) return;
    this.#remove(entry);
    this.#onEvict?.(entry.value, entry.key);
  }

  clear(): void {
    this.#entries.clear();
    this.#byUse = new LinkedList();
    const weight = this.#weight;
    this.#weight = 0;
    this.#shared?.discharge(weight);
  }

  /** In no particular order. Entries may come and go during the iteration. */
  anyKeys(): IterableIterator<Key> {
    return this.#entries.keys();
  }

  /** The least recently used first. During the iteration, only the entry of the last key may be deleted or used. */
  *keys(): Generator<Key> {
    for (const { key } of this.#byUse) yield key;
  }

  /** As {@link keys}. */
  *values(): Generator<Value> {
    for (const { value } of this.#byUse) yield value;
  }

  #makeRoom(): void {
    while (this.#byUse.oldest && (this.#entries.size > this.entriesMax || this.#weight > this.weightMax)) {
      this.evictOldest();
    }
  }

  #remove(entry: Entry<Key, Value>): void {
    this.#entries.delete(entry.key);
    this.#byUse.remove(entry);
    this.#weight -= entry.weight;
    this.#shared?.discharge(entry.weight);
  }

  #use(entry: Entry<Key, Value>): void {
    entry.isMarked = false;
    if (entry === this.#byUse.newest) return;
    this.#byUse.remove(entry);
    this.#byUse.push(entry);
  }
}
