/**
 * A map with a bound: where there is no room for one more, the least recently used one goes. What clients and peers can
 * make grow is kept in one of these.
 */
export class LruMap<Value> {
  readonly #entriesMax: number;
  /** In order of use, the least recently used first. */
  readonly #values = new Map<string, Value>();

  /** 0 keeps nothing. */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#values.size;
  }

  /** Looking is not using: whoever uses what was found sets it again. */
  get(name: string): Value | undefined {
    return this.#values.get(name);
  }

  /** In order of use, the least recently used first. */
  names(): IterableIterator<string> {
    return this.#values.keys();
  }

  /** `value` is the most recently used now. */
  set(name: string, value: Value): void {
    this.#values.delete(name);
    this.#values.set(name, value);
    if (this.#values.size <= this.#entriesMax) return;
    for (const oldest of this.#values.keys()) {
      this.#values.delete(oldest);
      return;
    }
  }

  delete(name: string): void {
    this.#values.delete(name);
  }
}
