/** Counts the faults of the disk tier, and logs each kind once a minute at most. */
import type { Clock } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import type { DiskStats } from "./disk-stats.ts";

export class DiskFaultLog {
  readonly #pace: LogPace;
  readonly #logger: Logger;
  readonly #stats: DiskStats;

  constructor(clock: Clock, logger: Logger, stats: DiskStats) {
    this.#pace = new LogPace(clock);
    this.#logger = logger;
    this.#stats = stats;
  }

  /** `action` completes "Cannot …". */
  countError(code: string, action: string): void {
    this.#stats.errorsByCode[code] = (this.#stats.errorsByCode[code] ?? 0) + 1;
    if (this.#pace.isDue(code))
      this.#logger.error({ code }, `Cannot ${action}: ${code}; going on without it`);
  }

  countDamaged(reason: string, chunk: string): void {
    this.#stats.damaged += 1;
    if (this.#pace.isDue(reason))
      this.#logger.warn({ chunk, reason }, "A chunk on disk is damaged; it is deleted");
  }
}
