/**
 * What a replica holds (timers, threads, sockets, locks), and how it releases each part. It is an AsyncDisposableStack
 * whose steps have names, so that a step that fails is reported in words and not as a chain of SuppressedErrors.
 *
 * Invariants:
 * 1. Steps run one after the other, the last one added first, and each runs once.
 * 2. A step that fails is reported. The others run all the same.
 */
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";

/** Part of an unwinding. Rejects with an error that names what could not be done. */
export type Step = () => Promise<void>;

/** Does `run`. `action` completes "Cannot …". */
export function step(action: string, run: () => unknown): Step {
  return async () => {
    try {
      await run();
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      throw new OrcaError("internal", "replica", `Cannot ${action}: ${reason}`, { cause: thrown });
    }
  };
}

/** Begins what a later step waits for. It is that step which reports a failure. */
export function begin(run: () => Promise<void>): Step {
  return async () => {
    run().catch(() => {});
  };
}

/** Begins `steps` in their order, and ends when all of them have ended. */
export function together(...steps: readonly Step[]): Step {
  return async () => {
    const results = await Promise.allSettled(steps.map((each) => each()));
    const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    if (failures.length > 0) throw new AggregateError(failures);
  };
}

export class ReleaseStack {
  readonly #logger: Logger;
  readonly #stack = new AsyncDisposableStack();
  #unwound: Promise<void> | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Puts `release` on top, to run before all that was added until now. */
  add(release: Step): void {
    this.#stack.defer(release);
  }

  /** Puts `steps` on top, to run in the order in which they are listed. */
  addInOrder(steps: readonly Step[]): void {
    for (const each of steps.toReversed()) this.#stack.defer(each);
  }

  /** Releases everything, once, however often it is called. @throws OrcaError internal that names every step that failed. */
  unwind(): Promise<void> {
    this.#unwound ??= this.#stack.disposeAsync().catch((thrown: unknown) => {
      throw errorOf(failuresOf(thrown));
    });
    return this.#unwound;
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
