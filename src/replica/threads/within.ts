/** Waiting for a thread that may hang. */
import type { Clock } from "../../base/clock.ts";

/** Of a drain: a thread that has not drained by so long after its time hangs. Less than a step of the stop has left (release-stack.ts). */
export const drainLateMs = 4000;

/** Resolves as `work`, or with undefined where that takes longer. */
export async function within<Result>(
  clock: Clock,
  timeoutMs: number,
  work: Promise<Result>,
): Promise<Result | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = clock.timer(timeoutMs, () => late.resolve(undefined));
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    timer.cancel();
  }
}
