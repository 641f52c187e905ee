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
 */
import { Linked, LinkedList } from "./linked-list.ts";

class Entry<Key, Value> extends Linked {
  readonly key: Key;
  value: Value;
  weight: number;

  constructor(key: Key, value: Value, weight: number) {
    super();
    this.key = key;
    this.value = value;
    this.weight = weight;
  }
}

export interface LruMapOptions<Key, Value> {
  /** 0 keeps nothing. Unbounded by default. */
  readonly entriesMax?: number;
  /** In the unit of the weights that `set` gets. Unbounded by default. */
  readonly weightMax?: number;
  /** Called with each evicted entry after its removal. Not called for a value that is replaced or deleted. */
  readonly onEvict?: (value: Value, key: Key) => void;
}

export class LruMap<Key, Value> {
  /** A lower bound takes effect with the next `set`. */
  entriesMax: number;
  /** As {@link entriesMax}. */
  weightMax: number;
  readonly #onEvict: ((value: Value, key: Key) => void) | undefined;
  readonly #entries = new Map<Key, Entry<Key, Value>>();
  /** The least recently used one first. */
  #byUse = new LinkedList<Entry<Key, Value>>();
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

  /** The least recently used entry. This is not a use. */
  get oldest(): { readonly key: Key; readonly value: Value } | undefined {
    return this.#byUse.oldest;
  }

  /** The value, for a use: its entry is now the most recently used one. */
  get(key: Key): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#use(entry);
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

  /** Adds or replaces a value. Its entry is now the most recently used one. */
  set(key: Key, value: Value, weight = 1): void {
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

  clear(): void {
    this.#entries.clear();
    this.#byUse = new LinkedList();
    this.#weight = 0;
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
    while (this.#entries.size > this.entriesMax || this.#weight > this.weightMax) {
      const entry = this.#byUse.oldest;
      if (entry === undefined) return;
      this.#remove(entry);
      this.#onEvict?.(entry.value, entry.key);
    }
  }

  #remove(entry: Entry<Key, Value>): void {
    this.#entries.delete(entry.key);
    this.#byUse.remove(entry);
    this.#weight -= entry.weight;
  }

  #use(entry: Entry<Key, Value>): void {
    if (entry === this.#byUse.newest) return;
    this.#byUse.remove(entry);
    this.#byUse.push(entry);
  }
}
