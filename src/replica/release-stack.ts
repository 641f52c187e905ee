/**
 * What a replica holds (timers, threads, sockets, locks), and how it releases each part. It is an AsyncDisposableStack
 * whose steps have names, so that a step that fails is reported in words and not as a chain of SuppressedErrors.
 *
 * Invariants:
 * 1. Steps run one after the other, the last one added first, and each runs once.
 * 2. A step that fails is reported. The others run all the same.
 * 3. A step that hangs, in a call that the kernel does not end, is a step that fails.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";

/** Part of an unwinding. Rejects with an error that names what could not be done. */
export interface Step {
  (): Promise<void>;
  /** Completes "Cannot …". */
  readonly action?: string;
}

/** A release cuts what runs, so that it takes moments. */
export const releaseTimeoutMs = 5000;

/** Does `run`. `action` completes "Cannot …". */
export function step(action: string, run: () => unknown): Step {
  const named = async (): Promise<void> => {
    try {
      await run();
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      throw new OrcaError("internal", "replica", `Cannot ${action}: ${reason}`, { cause: thrown });
    }
  };
  return Object.assign(named, { action });
}

/** Begins what a later step waits for. It is that step which reports a failure. */
export function begin(run: () => Promise<void>): Step {
  return async () => {
    run().catch(() => {});
  };
}

/** Begins `steps` in their order, and ends when all of them have ended. */
export function together(...steps: readonly Step[]): Step {
  const all = async (): Promise<void> => {
    const results = await Promise.allSettled(steps.map((each) => each()));
    const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    if (failures.length > 0) throw new AggregateError(failures);
  };
  return Object.assign(all, { action: steps.map(({ action = "do a step" }) => action).join(", or ") });
}

export class ReleaseStack {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #stack = new AsyncDisposableStack();
  #unwound: Promise<void> | undefined;

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /** Puts `release` on top, to run before all that was added until now. */
  add(release: Step): void {
    this.#stack.defer(this.#within(releaseTimeoutMs, release));
  }

  /** Puts `steps` on top, to run in the order in which they are listed. Each has deadlines of its own, up to `longestMs`. */
  addInOrder(steps: readonly Step[], longestMs: number): void {
    const timeoutMs = longestMs + releaseTimeoutMs;
    for (const each of steps.toReversed()) this.#stack.defer(this.#within(timeoutMs, each));
  }

  /** Releases everything, once, however often it is called. @throws OrcaError internal that names every step that failed. */
  unwind(): Promise<void> {
    this.#unwound ??= this.#stack.disposeAsync().catch((thrown: unknown) => {
      throw errorOf(failuresOf(thrown));
    });
    return this.#unwound;
  }

  #within(timeoutMs: number, run: Step): Step {
    return async () => {
      const { promise: late, reject } = Promise.withResolvers<never>();
      const { action = "do a step" } = run;
      const message = `Cannot ${action}: it hangs, with no end within ${timeoutMs} ms`;
      const timer = this.#clock.timer(timeoutMs, () => reject(new OrcaError("internal", "replica", message)));
      try {
        await Promise.race([run(), late]);
      } finally {
        timer.cancel();
      }
    };
  }

  /** The result of `make`. Where it fails, releases everything, logs what cannot be released, and throws its error. */
  async orUnwind<Made>(make: () => Promise<Made>): Promise<Made> {
    try {
      return await make();
    } catch (thrown) {
      await this.unwind().catch((error: unknown) =>
        this.#logger.error({ err: error }, "Cannot release all that a failed start held"),
      );
      throw thrown;
    }
  }
}

/** The errors in `thrown`, in the order in which they happened. */
function failuresOf(thrown: unknown): unknown[] {
  if (thrown instanceof SuppressedError)
    return [...failuresOf(thrown.suppressed), ...failuresOf(thrown.error)];
  if (thrown instanceof AggregateError) return thrown.errors.flatMap(failuresOf);
  return [thrown];
}

function errorOf(failures: readonly unknown[]): OrcaError {
  // A part whose drain failed may fail its release in the same words.
  const reasons = new Set(
    failures.map((failure) => (failure instanceof Error ? failure.message : String(failure))),
  );
  const message = `Cannot stop cleanly: ${[...reasons].join("; ")}`;
  return new OrcaError("internal", "replica", message, { cause: failures[0] });
}
