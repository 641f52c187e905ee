/**
 * A map with a bound: where an entry too many is set, the least recently used ones are evicted. Whatever clients, peers or
 * an origin can make grow without end is kept in one of these.
 *
 * A Map alone is not enough. It keeps the order of insertion, but to find its first key V8 skips the slots of all keys
 * that were deleted before it. With 100,000 entries and an eviction for each insertion that is most of the time.
 * Here the entries are linked to each other, so every operation takes constant time.
 *
 * Invariants:
 * 1. #entries holds exactly the entries between #oldest and #newest, each linked to its neighbours.
 * 2. #weight is the sum of their weights.
 * 3. After a `set` there are at most entriesMax of them, and they weigh at most weightMax.
 */

interface Entry<Key, Value> {
  readonly key: Key;
  value: Value;
  weight: number;
  /** The neighbours in order of use. */
  older: Entry<Key, Value> | undefined;
  newer: Entry<Key, Value> | undefined;
}

export interface LruMapOptions<Key, Value> {
  /** 0 keeps nothing. No bound where it is left out. */
  readonly entriesMax?: number;
  /** In the unit of the weights that are set with the values. No bound where it is left out. */
  readonly weightMax?: number;
  /** Called with each entry that had to make room, after it has left. Not for a value that is replaced or deleted. */
  readonly onEvict?: (value: Value, key: Key) => void;
}

export class LruMap<Key, Value> {
  /** A lower bound takes effect with the next `set`. */
  entriesMax: number;
  /** As {@link entriesMax}. */
  weightMax: number;
  readonly #onEvict: ((value: Value, key: Key) => void) | undefined;
  readonly #entries = new Map<Key, Entry<Key, Value>>();
  #oldest: Entry<Key, Value> | undefined;
  #newest: Entry<Key, Value> | undefined;
  #weight = 0;

  constructor({ entriesMax = Infinity, weightMax = Infinity, onEvict }: LruMapOptions<Key, Value> = {}) {
    this.entriesMax = entriesMax;
    this.weightMax = weightMax;
    this.#onEvict = onEvict;
  }

  get size(): number {
    return this.#entries.size;
  }

  get weight(): number {
    return this.#weight;
  }

  /** The least recently used entry, without a use of it. */
  get oldest(): { readonly key: Key; readonly value: Value } | undefined {
    return this.#oldest;
  }

  /** The value, for a use: it is the most recently used now. */
  get(key: Key): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#use(entry);
    return entry.value;
  }

  /** The value, for a look that is not a use. */
  peek(key: Key): Value | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Whether there is an entry; not a use of it. */
  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  /** `value` is the most recently used now, in place of the one before. */
  set(key: Key, value: Value, weight = 1): void {
    const known = this.#entries.get(key);
    if (known === undefined) {
      const entry = { key, value, weight, older: undefined, newer: undefined };
      this.#entries.set(key, entry);
      this.#append(entry);
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

  clear(): void {
    this.#entries.clear();
    this.#oldest = undefined;
    this.#newest = undefined;
    this.#weight = 0;
  }

  /** The least recently used first. While they are read, none but the last one given may be deleted or used. */
  *keys(): Generator<Key> {
    for (const { key } of this.#inOrder()) yield key;
  }

  /** As {@link keys}. */
  *values(): Generator<Value> {
    for (const { value } of this.#inOrder()) yield value;
  }

  *#inOrder(): Generator<Entry<Key, Value>> {
    let entry = this.#oldest;
    while (entry !== undefined) {
      const { newer }: Entry<Key, Value> = entry;
      yield entry;
      entry = newer;
    }
  }

  #makeRoom(): void {
    while (this.#entries.size > this.entriesMax || this.#weight > this.weightMax) {
      const entry = this.#oldest;
      if (entry === undefined) return;
      this.#remove(entry);
      this.#onEvict?.(entry.value, entry.key);
    }
  }

  #remove(entry: Entry<Key, Value>): void {
    this.#entries.delete(entry.key);
    this.#unlink(entry);
  }

  #use(entry: Entry<Key, Value>): void {
    if (entry === this.#newest) return;
    this.#unlink(entry);
    this.#append(entry);
  }

  #append(entry: Entry<Key, Value>): void {
    entry.older = this.#newest;
    if (this.#newest) this.#newest.newer = entry;
    else this.#oldest = entry;
    this.#newest = entry;
    this.#weight += entry.weight;
  }

  #unlink(entry: Entry<Key, Value>): void {
    const { older, newer } = entry;
    if (older) older.newer = newer;
    else this.#oldest = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
    entry.older = undefined;
    entry.newer = undefined;
    this.#weight -= entry.weight;
  }
}
