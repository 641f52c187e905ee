/**
 * A value that expires, such as a credential: fetched when first needed, by one caller for all, and fetched anew a
 * while before its time is up. Nobody waits for a renewal while the old value is still good, or notices that it failed.
 */
import type { Clock } from "./clock.ts";

export interface Expiring<Value> {
  readonly value: Value;
  /** By the wall clock; Infinity where it never expires. */
  readonly expiresAtMs: number;
}

export interface RenewedOptions<Value> {
  readonly clock: Clock;
  /** Settles in bounded time. */
  readonly fetch: () => Promise<Expiring<Value>>;
  /** How long before its end a value is replaced: more than clocks differ and requests take. */
  readonly marginMs: number;
}

export class Renewed<Value> {
  readonly #options: RenewedOptions<Value>;
  #current: Expiring<Value> | undefined;
  #fetching: Promise<Value> | undefined;

  constructor(options: RenewedOptions<Value>) {
    this.#options = options;
  }

  /** @throws What `fetch` throws, when there is no value to fall back on. */
  get(): Promise<Value> {
    const current = this.#current;
    const nowMs = this.#options.clock.now();
    if (!current || nowMs >= current.expiresAtMs) return this.#fetch();
    if (nowMs >= current.expiresAtMs - this.#options.marginMs) this.#fetch().catch(() => {});
    return Promise.resolve(current.value);
  }

  #fetch(): Promise<Value> {
    this.#fetching ??= this.#options
      .fetch()
      .then((fetched) => {
        this.#current = fetched;
        return fetched.value;
      })
      .finally(() => {
        this.#fetching = undefined;
      });
    return this.#fetching;
  }
}
