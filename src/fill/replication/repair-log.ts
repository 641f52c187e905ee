/**
 * Tells in the log when copies are restored: the beginning, with the first missing chunk that is found, and the end, with
 * what was pulled. A person who has lost a replica wants to know whether there are enough copies again.
 *
 *   1. A round finds a chunk that this replica should hold: the repair begins.
 *   2. The puller may become idle while the round still compares. That is no end.
 *   3. The round has ended and the puller is idle, in whatever order: the repair has ended.
 */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { pages } from "../../base/pages.ts";
import type { Puller } from "./puller.ts";

interface Repair {
  readonly startedMs: number;
  readonly before: Puller["stats"];
}

export class RepairLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #puller: Pick<Puller, "stats" | "waiting" | "running">;
  #repair: Repair | undefined;
  #isComparing = false;

  constructor(clock: Clock, logger: Logger, puller: Pick<Puller, "stats" | "waiting" | "running">) {
    this.#clock = clock;
    this.#logger = logger;
    this.#puller = puller;
  }

  roundBegan(): void {
    this.#isComparing = true;
  }

  /** To be called before a chunk that a round found missing is queued. */
  found(): void {
    if (this.#repair) return;
    this.#repair = { startedMs: this.#clock.monotonic(), before: { ...this.#puller.stats } };
    this.#logger.info({}, "Restoring copies: this replica pulls chunks that it should hold but does not");
  }

  roundEnded(): void {
    this.#isComparing = false;
    this.pullerChanged();
  }

  /** To be called when a pull has ended. */
  pullerChanged(): void {
    const { stats, waiting, running } = this.#puller;
    if (!this.#repair || this.#isComparing || waiting + running > 0) return;
    const { startedMs, before } = this.#repair;
    this.#repair = undefined;
    const failed = stats.failed + stats.missing - before.failed - before.missing;
    const fields = {
      pulled: stats.pulled - before.pulled,
      bytes: stats.pulledBytes - before.pulledBytes,
      failed,
      notStored: stats.not_stored - before.not_stored,
      seconds: Math.round((this.#clock.monotonic() - startedMs) / 1000),
    };
    if (failed === 0) this.#logger.info(fields, "Restored copies: this replica holds what it found missing");
    else {
      this.#logger.warn(
        { ...fields, see: pages.copies },
        "Restored copies in part: no replica sent the others. The next comparison tries them again",
      );
    }
  }
}
