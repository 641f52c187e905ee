/** The counters of the disk tier, and the log of its faults. The log has a line for each kind of fault once a minute. */

import type { Clock } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import { pages } from "../../base/pages.ts";
import type { PutResult } from "../chunk-store.ts";

export class DiskStats {
  blocksRead = 0;
  bytesRead = 0;
  /** Results of `put`. `notStored` counts every commit that stored nothing, whatever the reason. */
  stored = 0;
  present = 0;
  notStored = 0;
  /** Of the latter, those that were dropped before they had started, or were unfinished at the close. */
  commitsDropped = 0;
  evictions = 0;
  /** Files whose size, footer, stored key or block checksum was wrong; deleted. */
  damaged = 0;
  /** Files that were missing when they were to be read. */
  vanished = 0;
  /** Swept at start: staging files of a killed process, and files that are no chunks. */
  stagedFilesRemoved = 0;
  foreignFilesRemoved = 0;
  threadCrashes = 0;
  /** Times the disk was set aside, because a call of its file system did not return. */
  setAside = 0;
  /** Errors of the file system by code (`ENOSPC`, `EIO`, …). */
  readonly errorsByCode: Record<string, number> = {};

  readonly countThreadCrash = (): void => {
    this.threadCrashes += 1;
  };

  countPut(result: PutResult): void {
    this[result === "not_stored" ? "notStored" : result] += 1;
  }
}

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
      this.#logger.error({ code, see: pages.disk }, `Cannot ${action}: ${code}; Orca continues without it`);
  }

  /** A call of the file system has not returned for `callTimeoutMs`. */
  countSetAside(callTimeoutMs: number): void {
    this.#stats.setAside += 1;
    if (!this.#pace.isDue("set aside")) return;
    const message =
      "The disk does not answer within disk.call_timeout; Orca goes on without it until it does. Check the disk of disk.root";
    this.#logger.error({ callTimeoutMs, see: pages.disk }, message);
  }

  noteUsedAgain(): void {
    if (this.#pace.isDue("used again")) this.#logger.info({}, "The disk answers again, and is used again");
  }

  countDamaged(reason: string, path: string): void {
    this.#stats.damaged += 1;
    if (this.#pace.isDue(reason))
      this.#logger.warn(
        { chunk: path, reason, see: pages.disk },
        "A chunk on disk is damaged; Orca deletes it",
      );
  }
}
