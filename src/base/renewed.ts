/**
 * A value that expires, such as a credential. The first caller fetches it for all, and it is fetched again before it
 * expires. While the old value is still valid, no caller waits for a renewal or sees that one failed.
 *
 * Invariants:
 * 1. One fetch runs at a time, and all who need its value share it.
 * 2. While there is a valid value, fetches are `pauseMs` apart, or half of its remaining life if that is less. A
 *    service that gives the same value again, or fails, is not asked once for each caller.
 * 3. A value that arrives expired is used for `pauseMs`: the clock here may be ahead. The server that checks it decides.
 */
import type { Clock } from "./clock.ts";

export interface Expiring<Value> {
  readonly value: Value;
  /** By the wall clock. Infinity where the value never expires. */
  readonly expiresAtMs: number;
  /** When to fetch it again although it does not expire then. By default `marginMs` before it expires. */
  readonly renewAtMs?: number;
}

export interface RenewedOptions<Value> {
  readonly clock: Clock;
  /** Settles in bounded time. */
  readonly fetch: () => Promise<Expiring<Value>>;
  /** How long before its end a value is renewed: more than clocks differ and requests take. */
  readonly marginMs: number;
  readonly isSame?: (left: Value, right: Value) => boolean;
  /** A renewal failed. Called once, until one has succeeded again. `validUntilMs` is the end of the old value. */
  readonly onFailure?: ((thrown: unknown, validUntilMs: number) => void) | undefined;
  /** A renewal succeeded after some had failed. */
  readonly onRecovery?: (() => void) | undefined;
}

const pauseMs = 30_000;
const pauseMinMs = 1000;
/** Between two renewals because a server denied the value. Most denials have other reasons, and come in numbers. */
const denialPauseMs = 10_000;

export class Renewed<Value> {
  readonly #options: RenewedOptions<Value>;
  #current: { readonly value: Value } | undefined;
  #fetching: Promise<Value> | undefined;
  /** By the wall clock, as the next. */
  #dueAtMs = 0;
  #endsAtMs = 0;
  /** By the monotonic clock. */
  #deniedAtMs = Number.NEGATIVE_INFINITY;
  #isFailing = false;

  constructor(options: RenewedOptions<Value>) {
    this.#options = options;
  }

  /** @throws What `fetch` throws, where there is no valid value. */
  get(): Promise<Value> {
    const current = this.#current;
    const nowMs = this.#options.clock.now();
    if (!current || nowMs >= this.#endsAtMs) return this.#fetch();
    if (nowMs >= this.#dueAtMs) this.#fetch().catch(() => {});
    return Promise.resolve(current.value);
  }

  /** Whether {@link renew} might find another value than `denied`. */
  mayRenew(denied: Value): boolean {
    if (this.#fetching || this.#isOther(denied)) return true;
    return this.#options.clock.monotonic() - this.#deniedAtMs >= denialPauseMs;
  }

  /** Call it where a server denied a value before its end. Resolves when it was replaced, or could not be. */
  async renew(denied: Value): Promise<void> {
    if (this.#isOther(denied) || !this.mayRenew(denied)) return;
    if (!this.#fetching) this.#deniedAtMs = this.#options.clock.monotonic();
    await this.#fetch().catch(() => {});
  }

  #isOther(value: Value): boolean {
    const { isSame = Object.is } = this.#options;
    return this.#current !== undefined && !isSame(this.#current.value, value);
  }

  #fetch(): Promise<Value> {
    this.#fetching ??= this.#options
      .fetch()
      .then(
        (fetched) => this.#take(fetched),
        (thrown: unknown) => this.#fail(thrown),
      )
      .finally(() => {
        this.#fetching = undefined;
      });
    return this.#fetching;
  }

  #take(fetched: Expiring<Value>): Value {
    const { clock, marginMs, onRecovery } = this.#options;
    const { value, expiresAtMs, renewAtMs = expiresAtMs - marginMs } = fetched;
    const nowMs = clock.now();
    const leftMs = expiresAtMs - nowMs;
    this.#current = { value };
    this.#endsAtMs = leftMs > 0 ? expiresAtMs : nowMs + pauseMs;
    this.#dueAtMs = leftMs > 0 ? Math.max(renewAtMs, nowMs + Math.min(pauseMs, leftMs / 2)) : this.#endsAtMs;
    if (this.#isFailing) onRecovery?.();
    this.#isFailing = false;
    return value;
  }

  #fail(thrown: unknown): never {
    const { clock, onFailure } = this.#options;
    if (this.#current) {
      const nowMs = clock.now();
      this.#dueAtMs = nowMs + Math.max(pauseMinMs, Math.min(pauseMs, (this.#endsAtMs - nowMs) / 2));
      if (!this.#isFailing) onFailure?.(thrown, this.#endsAtMs);
      this.#isFailing = true;
    }
    throw thrown;
  }
}
