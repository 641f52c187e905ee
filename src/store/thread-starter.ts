/**
 * Starts threads where the system may have none left: the constructor of Worker throws then. The caller goes on without
 * the thread, and asks again when it needs one.
 */
import { Worker, type WorkerOptions } from "node:worker_threads";
import type { Clock } from "../base/clock.ts";
import { LogPace } from "../base/log-pace.ts";
import type { Logger } from "../base/logger.ts";
import { pages } from "../base/pages.ts";

/** A system that has no thread left is asked again after this time. Each question costs 0.4 ms. */
const startAgainMs = 10_000;

export class ThreadStarter {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pace: LogPace;
  readonly #message: string;
  #startsFromMs = Number.NEGATIVE_INFINITY;

  /** `message`: what is logged where no thread can be started, and what follows from that. */
  constructor(clock: Clock, logger: Logger, message: string) {
    this.#clock = clock;
    this.#logger = logger;
    this.#pace = new LogPace(clock);
    this.#message = message;
  }

  /** Undefined where the system has no thread left. */
  start(module: URL, options: WorkerOptions): Worker | undefined {
    if (this.#clock.monotonic() < this.#startsFromMs) return undefined;
    try {
      return new Worker(module, options);
    } catch (error) {
      this.#startsFromMs = this.#clock.monotonic() + startAgainMs;
      const suppressed = this.#pace.take("start");
      if (suppressed) this.#logger.warn({ err: error, see: pages.sizing, ...suppressed }, this.#message);
      return undefined;
    }
  }
}
