/**
 * The warm-ups that this replica leads: at most {@link warmUpsMax} at once, because each holds a page of a listing or a
 * manifest, and chunks in flight on all replicas. A warm-up ends with its caller: nobody would see its result.
 *
 * When this replica stops, it hands its warm-ups on (warm-up-hand-over.ts). The caller cannot move with them, so a warm-up
 * that was handed on has none: it runs to its end, and people follow or cancel it by its run id. The last
 * {@link endedMax} of these are remembered after their end.
 *
 * Invariants:
 * 1. A place is taken before a body is read, and released when its warm-up has ended, and was handed on or not.
 * 2. Once a stop has begun, no warm-up begins here.
 */
import { randomBytes } from "node:crypto";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { HandedWarmUp, OpsPlace } from "../../fill/warming/handed-warm-up.ts";
import type { Buckets } from "../../object/buckets.ts";
import type { WarmDocument } from "./warm-document.ts";
import { warmId, warmPositionOf } from "./warm-id.ts";
import { ManifestSource, PrefixSource } from "./warm-source.ts";
import { type WarmPlan, WarmUp, type WarmUpParts } from "./warm-up.ts";
import type { WarmUpHandOver } from "./warm-up-hand-over.ts";

const warmUpsMax = 4;
const endedMax = 16;

export interface WarmUpsParts extends WarmUpParts {
  readonly buckets: Buckets;
  /** Undefined in a cluster of one. */
  readonly handOver: WarmUpHandOver | undefined;
  readonly logger: Logger;
}

/** A warm-up that runs. */
export interface LedWarmUp {
  readonly document: WarmDocument;
  readonly ended: Promise<void>;
  /** Aborts when it has ended. Unlike a promise, it forgets those who no longer wait. */
  readonly over: AbortSignal;
}

interface Running {
  readonly warmUp: WarmUp;
  readonly cancel: AbortController;
  /** Resolves when nothing of it runs any more; `ended` when it was handed on as well, or will not be. */
  readonly halted: Promise<void>;
  readonly ended: Promise<void>;
  readonly over: AbortSignal;
}

const stops = "Cannot go on: this replica stops. Resume at another one";

export class WarmUps {
  readonly stats = { started: 0 };
  readonly #parts: WarmUpsParts;
  /** By run id. */
  readonly #running = new Map<string, Running>();
  readonly #ended = new Map<string, WarmDocument>();
  readonly #stopping = new AbortController();
  readonly #mayHandOn = Promise.withResolvers<void>();
  #isPaused = false;
  #places = 0;
  #opsPlace: () => OpsPlace = () => ({ port: 0, isTls: false });

  constructor(parts: WarmUpsParts) {
    this.#parts = parts;
  }

  get clock(): WarmUpParts["clock"] {
    return this.#parts.clock;
  }

  get running(): readonly WarmDocument[] {
    return [...this.#running.values()].map(({ warmUp }) => warmUp.document);
  }

  /** Of those that had no caller, the last ones. */
  get ended(): readonly WarmDocument[] {
    return [...this.#ended.values()];
  }

  /** Where people follow a warm-up that this replica takes. The ops listener is made after this part. */
  reachedAt(place: () => OpsPlace): void {
    this.#opsPlace = place;
  }

  /**
   * Starts the warm-up that `plan` resolves with. It ends early when `signal` aborts.
   * @throws OrcaError `overloaded` where too many run; `shutting_down`; whatever `plan` rejects with.
   */
  start(plan: () => Promise<WarmPlan>, signal: AbortSignal): Promise<LedWarmUp> {
    return this.#start(plan, signal, randomBytes(16).toString("hex"));
  }

  /** Goes on with a warm-up of another replica, which stops. @throws OrcaError as {@link start}, or `invalid_argument`. */
  async take(handed: HandedWarmUp): Promise<OpsPlace> {
    const { runId } = handed;
    const { logger } = this.#parts;
    // The first answer was lost, and the same replica asks again.
    if (this.#running.has(runId)) return this.#opsPlace();
    const led = await this.#start(async () => this.#planOf(handed), new AbortController().signal, runId);
    logger.info({ runId, source: led.document.source }, "Going on with a warm-up of a replica that stops");
    void led.ended.then(() => this.#remember(runId, led.document));
    return this.#opsPlace();
  }

  /** One that runs. @throws OrcaError `invalid_argument` for another. */
  led(runId: string): LedWarmUp {
    const running = this.#running.get(runId);
    if (running) return ledOf(running);
    const reason = "this replica leads none with that run id";
    throw new OrcaError("invalid_argument", "client", `Cannot find a warm-up: ${reason}`);
  }

  /** Ends one that runs. Resolves when nothing of it runs any more. @throws OrcaError as {@link led}. */
  async cancel(runId: string): Promise<WarmDocument> {
    const led = this.led(runId);
    const reason = "Cannot go on: it was cancelled";
    this.#running.get(runId)?.cancel.abort(new OrcaError("request_timeout", "client", reason));
    await led.ended;
    return led.document;
  }

  /**
   * The first half of handing on: no warm-up begins a chunk any more. Resolves when those in flight have ended, within
   * seconds. Without another replica it ends all warm-ups.
   */
  async pause(): Promise<void> {
    if (!this.#parts.handOver?.hasCandidates) return this.stop();
    this.#isPaused = true;
    const running = [...this.#running.values()];
    for (const { warmUp } of running) warmUp.pause(new OrcaError("shutting_down", "client", stops));
    await Promise.all(running.map(({ halted }) => halted));
  }

  /**
   * The second half, when the other replicas know that this one leaves: what it would fill for them would leave with it.
   * Resolves when each warm-up was handed on, or has failed.
   */
  async handOn(): Promise<void> {
    this.#mayHandOn.resolve();
    await this.#allEnded();
  }

  /** Ends all warm-ups. Resolves when none runs. */
  async stop(): Promise<void> {
    this.#stopping.abort(new OrcaError("shutting_down", "client", stops));
    this.#mayHandOn.resolve();
    await this.#allEnded();
  }

  async #start(plan: () => Promise<WarmPlan>, caller: AbortSignal, runId: string): Promise<LedWarmUp> {
    if (this.#places >= warmUpsMax)
      throw new OrcaError("overloaded", "client", `Cannot warm: ${warmUpsMax} warm-ups run here already`);
    this.#places += 1;
    let warmUp: WarmUp;
    try {
      this.#checkStop();
      warmUp = new WarmUp(await plan(), this.#parts, runId);
      this.#checkStop();
      if (this.#running.has(runId))
        throw new OrcaError("overloaded", "client", "Cannot warm: this warm-up runs here already");
    } catch (thrown) {
      this.#places -= 1;
      throw thrown;
    }
    this.stats.started += 1;
    const cancel = new AbortController();
    const signal = AbortSignal.any([caller, cancel.signal, this.#stopping.signal]);
    const over = new AbortController();
    const halted = warmUp.run(signal);
    const ended = this.#handOnAfter(halted, warmUp, signal).finally(() => {
      this.#places -= 1;
      this.#running.delete(runId);
      over.abort();
    });
    const running = { warmUp, cancel, halted, ended, over: over.signal };
    this.#running.set(runId, running);
    return ledOf(running);
  }

  #checkStop(): void {
    if (this.#isPaused || this.#stopping.signal.aborted)
      throw new OrcaError("shutting_down", "client", "Cannot warm: this replica stops");
  }

  async #handOnAfter(halted: Promise<void>, warmUp: WarmUp, signal: AbortSignal): Promise<void> {
    await halted;
    if (!this.#isPaused) return;
    await this.#mayHandOn.promise;
    // A caller that has left in the meantime wanted it to end.
    const { handed } = warmUp;
    if (!handed || signal.aborted) return;
    const continued = await this.#parts.handOver?.handOn(handed);
    if (continued) warmUp.goesOnAt(continued);
  }

  /** @throws OrcaError `invalid_argument`, `no_such_bucket`. */
  #planOf({ source: handed, after, bytesPerSecond, pinUntilMs }: HandedWarmUp): WarmPlan {
    const { buckets } = this.#parts;
    const source =
      "prefix" in handed
        ? new PrefixSource(handed.prefix, buckets)
        : new ManifestSource(Buffer.from(handed.manifest), buckets);
    // Checks the mark as one that people send.
    warmPositionOf(warmId({ source: source.name, after }));
    return { source, after, isDryRun: false, bytesPerSecond, pinUntilMs };
  }

  #remember(runId: string, document: WarmDocument): void {
    const { logger } = this.#parts;
    this.#ended.set(runId, document);
    for (const oldest of this.#ended.keys()) if (this.#ended.size > endedMax) this.#ended.delete(oldest);
    const { source, state, verified, missing, unpinned, reason } = document;
    const counts = { verified: verified.chunks, missing: missing.chunks, unpinned: unpinned.chunks };
    logger.info({ runId, source, state, ...counts, reason }, "A warm-up that was handed on has ended");
  }

  async #allEnded(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }
}

function ledOf({ warmUp, ended, over }: Running): LedWarmUp {
  return {
    get document() {
      return warmUp.document;
    },
    ended,
    over,
  };
}
