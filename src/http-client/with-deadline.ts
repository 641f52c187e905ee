/**
 * A deadline for calls into libraries: SDK calls and credential chains. Some of them ignore their signal, so the caller
 * does not wait for them after the deadline, and a late result is dropped.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { RemoteFaults } from "./remote-faults.ts";

export interface Deadline {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** "Cannot …", for the message of the error at the deadline. */
  readonly action: string;
  readonly faults: RemoteFaults;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `work` for at most `timeoutMs`. Its signal aborts at the deadline and with `signal`.
 * @throws OrcaError of `faults`, unavailable, at the deadline; the reason of `signal`; what `work` throws.
 */
export async function withDeadline<Answer>(
  { clock, timeoutMs, action, faults, signal }: Deadline,
  work: (signal: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  signal?.throwIfAborted();
  const stop = new AbortController();
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  stop.signal.addEventListener("abort", () => reject(stop.signal.reason), { once: true });
  const onAbort = (): void => stop.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer = clock.timer(timeoutMs, () =>
    stop.abort(
      new OrcaError(faults.unavailable, faults.source, `${action}: no answer within ${timeoutMs} ms`),
    ),
  );
  try {
    return await Promise.race([work(stop.signal), stopped]);
  } catch (thrown) {
    // An SDK wraps an abort in its own error, which says less than the reason.
    throw stop.signal.aborted ? stop.signal.reason : thrown;
  } finally {
    timer.cancel();
    signal?.removeEventListener("abort", onAbort);
  }
}
