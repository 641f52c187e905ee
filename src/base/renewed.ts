/**
 * A value that expires, such as a credential. The first caller fetches it for all, and it is fetched again before it
 * expires. While the old value is still valid, no caller waits for a renewal or sees that one failed.
 */
import type { Clock } from "./clock.ts";

export interface Expiring<Value> {
  readonly value: Value;
  /** By the wall clock. Infinity where the value never expires. */
  readonly expiresAtMs: number;
}

export interface RenewedOptions<Value> {
  readonly clock: Clock;
  /** Settles in bounded time. */
  readonly fetch: () => Promise<Expiring<Value>>;
  /** How long before its end a value is renewed: more than clocks differ and requests take. */
  readonly marginMs: number;
}

export class Renewed<Value> {
  readonly #options: RenewedOptions<Value>;
  #current: Expiring<Value> | undefined;
  #fetching: Promise<Value> | undefined;

  constructor(options: RenewedOptions<Value>) {
    this.#options = options;
  }

  /** @throws What `fetch` throws, where there is no valid value. */
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
