/**
 * A bound in time on calls, kept by a Clock: Connect's own deadlines read the system's. It is for calls with one answer;
 * a stream of chunk bytes has no bound in all, and a {@link StallDeadline} in its place.
 */
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Clock } from "../../base/clock.ts";

/** Ends a call as `deadline_exceeded` after `timeoutMs`, whatever signal it has of its own. */
export function callDeadline(clock: Clock, timeoutMs: number): Interceptor {
  return (next) => async (request) => {
    if (request.stream) return next(request);
    const stop = new AbortController();
    const timer = clock.timer(timeoutMs, () =>
      stop.abort(
        new ConnectError(
          `Cannot call ${request.method.name}: no answer within ${timeoutMs} ms`,
          Code.DeadlineExceeded,
        ),
      ),
    );
    try {
      return await next({ ...request, signal: AbortSignal.any([request.signal, stop.signal]) });
    } finally {
      timer.cancel();
    }
  };
}
