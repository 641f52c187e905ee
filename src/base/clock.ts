/**
 * Time, passed to each part that needs it. Every deadline, TTL and backoff asks a Clock, so that tests advance time by hand
 * and the simulation owns it. Only this file calls Date.now and setTimeout.
 */
// The global one is a getter.
import { performance } from "node:perf_hooks";

export interface Timer {
  /** Restarts the delay from now. It also arms a timer that was cancelled or has fired. */
  refresh(): void;
  /** Prevents the call of the callback, until {@link refresh}. May be called any number of times. */
  cancel(): void;
}

export interface Clock {
  /** Wall-clock time in milliseconds since the epoch, for people and HTTP dates. */
  now(): number;
  /** Milliseconds (with fractions) that never decrease, for durations, TTLs and deadlines. */
  monotonic(): number;
  /** Calls `callback` once, `delayMs` from now. */
  timer(delayMs: number, callback: () => void): Timer;
}

export class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  timer(delayMs: number, callback: () => void): Timer {
    return new SystemTimer(delayMs, callback);
  }
}

/** Node forgets the callback of a timeout that was cleared, and its `refresh` then does nothing. */
class SystemTimer implements Timer {
  readonly #delayMs: number;
  readonly #callback: () => void;
  /** Undefined after {@link cancel}. */
  #timeout: NodeJS.Timeout | undefined;

  constructor(delayMs: number, callback: () => void) {
    this.#delayMs = delayMs;
    this.#callback = callback;
    this.#timeout = setTimeout(callback, delayMs);
  }

  refresh(): void {
    if (this.#timeout) this.#timeout.refresh();
    else this.#timeout = setTimeout(this.#callback, this.#delayMs);
  }

  cancel(): void {
    clearTimeout(this.#timeout);
    this.#timeout = undefined;
  }
}

/** Calls `callback` after `delayMs`, if something keeps the process alive until then. This timer does not. */
export function ifStillAliveAfter(delayMs: number, callback: () => void): void {
  setTimeout(callback, delayMs).unref();
}

/** Lets the event loop run what waits. Long work calls it between its parts, so that it does not delay readers. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Resolves after `delayMs`. Rejects with the reason of `signal` as soon as it aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal?.aborted) {
    reject(signal.reason);
    return promise;
  }
  const onAbort = (): void => {
    timer.cancel();
    reject(signal?.reason);
  };
  const timer = clock.timer(delayMs, () => {
    signal?.removeEventListener("abort", onAbort);
    resolve();
  });
  signal?.addEventListener("abort", onAbort, { once: true });
  return promise;
}

/** The outcome of `promise`, or the signal's reason as soon as it aborts: for calls that a signal cannot end. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
