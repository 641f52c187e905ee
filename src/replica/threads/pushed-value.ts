/**
 * A value that the main thread reads from files, and sends to a thread that serves clients when it changes: keys of clients,
 * certificates. So all threads use a change at the same time, and a fault of a file is logged once.
 */
export class PushedValue<Value> {
  #value: Value;
  readonly #watchers: ((value: Value) => void)[] = [];

  constructor(value: Value) {
    this.#value = value;
  }

  get value(): Value {
    return this.#value;
  }

  watch(onChange: (value: Value) => void): void {
    this.#watchers.push(onChange);
  }

  push(value: Value): void {
    this.#value = value;
    for (const onChange of this.#watchers) onChange(value);
  }
}
