/** The line in the log of a time in which an origin fails and expired metadata answers in its place. */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { OrcaError } from "../base/orca-error.ts";
import { pages } from "../base/pages.ts";

/** Without such an answer for this long, the next one begins a new time. */
const quietMs = 60_000;

export class StaleLog {
  readonly #originId: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #lastMs = -Infinity;

  constructor(originId: string, clock: Clock, logger: Logger) {
    this.#originId = originId;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** A client or peer gets an expired answer because of `error`. */
  answered({ code, message }: OrcaError): void {
    const nowMs = this.#clock.monotonic();
    const isNew = nowMs - this.#lastMs >= quietMs;
    this.#lastMs = nowMs;
    if (!isNew) return;
    this.#logger.warn(
      { origin: this.#originId, code, reason: message, see: pages.staleAnswers },
      `Origin "${this.#originId}" fails: metadata that has expired answers, because metadata.stale_if_error allows it`,
    );
  }
}
