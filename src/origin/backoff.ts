/**
 * How long to wait before the next attempt at an origin: exponential with jitter, and never shorter than the origin
 * itself asked for. Pure, so that the schedule is tested without waiting for it.
 */
import type { Random } from "../base/random.ts";

export interface RetryPolicy {
  /** Attempts in all, the first one included. More hides longer outages and makes a failing request slower to say so. */
  readonly attempts: number;
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
  /**
   * No further attempt is begun once this much has passed since the first one failed, or since a body last broke off.
   * Counted from the failure, so that an attempt that took its whole `attempt_timeout` to fail is repeated too.
   */
  readonly maxTotalDurationMs: number;
}

/**
 * Milliseconds to wait after failed attempt number `attempt` (1 is the first). Jitter takes up to half of it away, so
 * that clients which failed together do not come back together
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
