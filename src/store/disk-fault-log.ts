/**
 * Counts what goes wrong on disk, and tells of each kind once a minute at most: a disk that fails does so for every
 * request, and its log usually lies on the same disk.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { DiskStats } from "./disk-stats.ts";

const intervalMs = 60_000;

export class DiskFaultLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #stats: DiskStats;
  /** Bounded by the number of error codes there are. */
  readonly #toldAtMs = new Map<string, number>();

  constructor(clock: Clock, logger: Logger, stats: DiskStats) {
    this.#clock = clock;
    this.#logger = logger;
    this.#stats = stats;
  }

  /** `action` completes "Cannot …". */
  countError(code: string, action: string): void {
    this.#stats.errorsByCode[code] = (this.#stats.errorsByCode[code] ?? 0) + 1;
    if (this.#isDue(code)) this.#logger.error({ code }, `Cannot ${action}: ${code}; going on without it`);
  }

  countDamaged(reason: string, chunk: string): void {
    this.#stats.damaged += 1;
    if (this.#isDue(reason))
      this.#logger.warn({ chunk, reason }, "A chunk on disk is damaged; it is deleted");
  }

  #isDue(kind: string): boolean {
    const nowMs = this.#clock.monotonic();
    const toldAtMs = this.#toldAtMs.get(kind);
    if (toldAtMs !== undefined && nowMs - toldAtMs < intervalMs) return false;
    this.#toldAtMs.set(kind, nowMs);
    return true;
  }
}
