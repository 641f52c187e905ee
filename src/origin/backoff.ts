/**
 * The time to wait before the next attempt at an origin: exponential with jitter, and never shorter than the origin
 * requested. A pure function, so that a test checks the schedule without waiting.
 */
import type { Random } from "../base/random.ts";

export interface RetryPolicy {
  /** Attempts in all, including the first. More attempts hide longer outages and make a failing request slower to fail. */
  readonly attempts: number;
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
  /**
   * No attempt begins later than this after the first failure, or after a body last broke off. The time counts from the
   * failure, so that an attempt that took its whole `attempt_timeout` to fail is repeated, too.
   */
  readonly maxTotalDurationMs: number;
}

/**
 * Milliseconds to wait after failed attempt number `attempt` (1 is the first). Jitter removes up to half of it, so that
 * clients that failed together do not retry together
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/, "equal jitter").
 */
export function backoffMs(
  attempt: number,
  policy: RetryPolicy,
  random: Random,
  retryAfterSeconds: number | undefined,
): number {
  const ceilingMs = Math.min(policy.backoffMaxMs, policy.backoffInitialMs * 2 ** (attempt - 1));
  const jitteredMs = ceilingMs / 2 + (random.next() * ceilingMs) / 2;
  return Math.max(jitteredMs, (retryAfterSeconds ?? 0) * 1000);
}
