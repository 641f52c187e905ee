/**
 * The warm-ups that this replica leads: at most {@link warmUpsMax} at once, because each holds a page of a listing or a
 * manifest, and chunks in flight on all replicas. A warm-up ends with its caller: nobody would see its result.
 *
 * Invariant: a place is taken before a body is read, and released when its warm-up has ended.
 */
import { OrcaError } from "../../base/orca-error.ts";
import { type WarmDocument, type WarmPlan, WarmUp, type WarmUpParts } from "./warm-up.ts";

const warmUpsMax = 4;

/** A warm-up that runs. */
export interface RunningWarmUp {
  readonly document: WarmDocument;
  readonly ended: Promise<void>;
}

export class WarmUps {
  readonly stats = { started: 0 };
  readonly #parts: WarmUpParts;
  readonly #running = new Map<WarmUp, Promise<void>>();
  readonly #stopping = new AbortController();
  #places = 0;

  constructor(parts: WarmUpParts) {
    this.#parts = parts;
  }

  get clock(): WarmUpParts["clock"] {
    return this.#parts.clock;
  }

  get running(): readonly WarmDocument[] {
    return [...this.#running.keys()].map(({ document }) => document);
  }

  /**
   * Starts the warm-up that `plan` resolves with. It ends early when `signal` aborts.
   * @throws OrcaError `overloaded` where too many run; whatever `plan` rejects with.
   */
  async start(plan: () => Promise<WarmPlan>, signal: AbortSignal): Promise<RunningWarmUp> {
    if (this.#places >= warmUpsMax)
      throw new OrcaError("overloaded", "client", `Cannot warm: ${warmUpsMax} warm-ups run here already`);
    this.#places += 1;
    let warmUp: WarmUp;
    try {
      warmUp = new WarmUp(await plan(), this.#parts);
    } catch (thrown) {
      this.#places -= 1;
      throw thrown;
    }
    this.stats.started += 1;
    const run = warmUp.run(AbortSignal.any([signal, this.#stopping.signal])).finally(() => {
      this.#places -= 1;
      this.#running.delete(warmUp);
    });
    this.#running.set(warmUp, run);
    return {
      get document() {
        return warmUp.document;
      },
      ended: run,
    };
  }

  /** Ends all warm-ups. Resolves when none runs. */
  async stop(): Promise<void> {
    const reason = "Cannot go on: this replica stops. Resume at another one";
    this.#stopping.abort(new OrcaError("shutting_down", "client", reason));
    await Promise.all(this.#running.values());
  }
}
