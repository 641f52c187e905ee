/**
 * Time as a part that is handed in. Every deadline, TTL and backoff of Orca asks a Clock, so that tests advance
 * time by hand and the simulator owns it; nothing outside this file calls Date.now or setTimeout.
 */

export interface Timer {
  /** Starts the delay anew from this moment. On a cancelled or fired timer it arms the timer again. */
  refresh(): void;
  /** After this the callback is not called (unless refreshed). May be called any number of times. */
  cancel(): void;
}

export interface Clock {
  /** Wall-clock time, milliseconds since the epoch: for people and HTTP dates. */
  now(): number;
  /** Milliseconds (with fractions) that only grow: for durations, TTLs and deadlines. */
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
    const timeout = setTimeout(callback, delayMs);
    return {
      refresh: () => void timeout.refresh(),
      cancel: () => clearTimeout(timeout),
    };
  }
}

/** Resolves after `delayMs`; rejects with the signal's reason as soon as `signal` aborts. */
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
