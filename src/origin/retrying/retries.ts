/**
 * When a request to an origin is tried again: after a pause that grows with each failed attempt, and only while the policy
 * allows. One instance serves all requests to its origin; what one request has behind it is in its {@link Attempts}.
 */
import { type Clock, sleep } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Random } from "../../base/random.ts";
import { backoffMs, type RetryPolicy } from "../backoff.ts";
import type { PacedAttempts } from "../throttling/paced-permits.ts";

/** The attempts of one request. */
export interface Attempts extends PacedAttempts {
  /** A retry is counted for them. */
  readonly countedBy: { retries: number } | undefined;
  /** Aborts where the caller wants no more bytes. */
  readonly caller?: AbortSignal | undefined;
  /** Failed ones. */
  count: number;
}

export function newAttempts(countedBy?: { retries: number }, caller?: AbortSignal): Attempts {
  return { countedBy, caller, count: 0, failingSinceMs: undefined, pacedMs: 0 };
}

export interface RetriesOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly retry: RetryPolicy;
  /** Of all requests to the origin. */
  readonly stats: { retries: number };
}

export class Retries {
  readonly #options: RetriesOptions;

  constructor(options: RetriesOptions) {
    this.#options = options;
  }

  /** Returns when the next attempt is due; throws the fault again if none is left. */
  async pause(thrown: unknown, attempts: Attempts, signal: AbortSignal): Promise<void> {
    const { clock, random, retry, stats } = this.#options;
    const nowMs = clock.monotonic();
    attempts.count += 1;
    attempts.failingSinceMs ??= nowMs;
    const failingMs = nowMs - attempts.failingSinceMs;
    if (!(thrown instanceof OrcaError) || !thrown.retryable || signal.aborted) throw thrown;
    if (attempts.count >= retry.attempts) throw thrown;
    const pauseMs = backoffMs(attempts.count, retry, random, thrown.retryAfterSeconds);
    if (failingMs + pauseMs > retry.maxTotalDurationMs) throw thrown;
    stats.retries += 1;
    if (attempts.countedBy) attempts.countedBy.retries += 1;
    await sleep(clock, pauseMs, signal);
  }
}
