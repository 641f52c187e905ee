/**
 * The scrub: reads the whole disk in the background, once per interval, so that damage in a chunk that no client has read
 * for months is found before a client asks for it. `orca cache verify` starts a pass early, or joins the one that runs.
 * A pass that was interrupted goes on at its cursor, also after a restart.
 *
 * Invariants:
 * 1. One pass runs at a time, started by the schedule or by a command.
 * 2. The interval counts from the end of the last finished pass, across restarts.
 * 3. When stop() has resolved, nothing is read, deleted or written any more.
 */

import { BytePace } from "../../base/byte-pace.ts";
import { type Clock, sleep } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { pages } from "../../base/pages.ts";
import { MiB } from "../../base/units.ts";
import type { StallWatch } from "../../trace/stalls/stall-watch.ts";
import { type ScrubbedDisk, ScrubPass } from "./scrub-pass.ts";
import {
  type FinishedPass,
  type ScrubState,
  ScrubStateFile,
  type UnfinishedPass,
} from "./scrub-state-file.ts";

export interface ScrubOptions {
  readonly disk: ScrubbedDisk;
  /** `disk.scrub_interval`; 0 leaves passes to {@link Scrub.verify}. */
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of reads that hang. */
  readonly stalls?: StallWatch | undefined;
  /** What the checking thread runs; for tests. */
  readonly threadModule?: URL;
}

/** Of the pass that runs or was interrupted, else of the last one. */
export interface ScrubProgress extends UnfinishedPass {
  /** `stopped` and `failed` go on at the cursor. `idle`: there was no pass yet. */
  readonly state: "idle" | "running" | "stopped" | "complete" | "failed";
  /** Bytes on disk now. */
  readonly totalBytes: number;
  /** Why the pass failed; empty if it did not. */
  readonly reason: string;
  readonly finished: FinishedPass | undefined;
  /** When the next pass is due, as wall-clock time; undefined while one runs, and without an interval. */
  readonly dueMs: number | undefined;
}

/** The default pace: a seventh of what a common SSD reads, half of what a hard disk reads. */
export const scrubBytesPerSecond = 64 * MiB;

/** From a pass that failed to the next attempt. */
const retryMs = 3_600_000;
/** The longest sleep: a timer of Node holds at most 24 days, and the wall clock may be set meanwhile. */
const sleepMsMax = 24 * 3_600_000;

const nothing: UnfinishedPass = {
  cursor: "",
  checkedChunks: 0,
  checkedBytes: 0,
  badChunks: 0,
  skippedChunks: 0,
};

export class Scrub {
  readonly stats = {
    passes: 0,
    passesFailed: 0,
    checkedChunks: 0,
    checkedBytes: 0,
    badChunks: 0,
    skippedChunks: 0,
  };
  readonly #options: ScrubOptions;
  readonly #stateFile: ScrubStateFile;
  readonly #stopping = new AbortController();
  readonly #logPace: LogPace;
  #pace: BytePace;
  #saved: ScrubState;
  #isSaveFailing = false;
  #state: ScrubProgress["state"];
  #reason = "";
  #failedMs = -Infinity;
  #pass: ScrubPass | undefined;
  #running: Promise<void> | undefined;
  #schedule: Promise<void> | undefined;

  constructor(options: ScrubOptions) {
    this.#options = options;
    this.#logPace = new LogPace(options.clock);
    this.#pace = new BytePace(options.clock, scrubBytesPerSecond);
    this.#stateFile = new ScrubStateFile(options.disk.directory);
    const { unfinished, finished } = this.#stateFile.load();
    // The clock was wrong if a pass finished in the future; without the bound the next one might never be due.
    const finishedMs = Math.min(finished?.finishedMs ?? 0, options.clock.now());
    this.#saved = { unfinished, finished: finished && { ...finished, finishedMs } };
    this.#state = unfinished ? "stopped" : finished ? "complete" : "idle";
  }

  get progress(): ScrubProgress {
    const { disk, intervalMs, clock } = this.#options;
    const { unfinished, finished } = this.#saved;
    const isRunning = this.#state === "running";
    const { checkedChunks, checkedBytes, badChunks, skippedChunks, cursor } = {
      ...nothing,
      ...(this.#pass?.done ?? unfinished ?? finished),
    };
    return {
      cursor,
      checkedChunks,
      checkedBytes: this.#pass?.checkedBytes ?? checkedBytes,
      badChunks,
      skippedChunks,
      state: this.#state,
      totalBytes: disk.usedBytes,
      reason: this.#reason,
      finished,
      dueMs: intervalMs === 0 || isRunning ? undefined : Math.max(this.#dueMs, clock.now()),
    };
  }

  /** Begins to run a pass per interval. To be called once. */
  start(): void {
    if (this.#options.intervalMs > 0) this.#schedule = this.#runOnSchedule(this.#stopping.signal);
  }

  /**
   * Starts a pass, or joins the one that runs. The promise resolves when the pass has ended, in whatever state; it goes on
   * without anybody who waits for it. A rate holds until the end of the pass.
   * @throws OrcaError `shutting_down` after {@link stop}.
   */
  verify(bytesPerSecond?: number): Promise<void> {
    if (this.#stopping.signal.aborted) throw stopped();
    if (this.#running === undefined) {
      this.#pace = new BytePace(this.#options.clock, scrubBytesPerSecond);
      this.#running = this.#run(this.#stopping.signal).finally(() => {
        this.#running = undefined;
      });
    }
    if (bytesPerSecond !== undefined) this.#pace.bytesPerSecond = bytesPerSecond;
    return this.#running;
  }

  /** Ends the schedule and the pass that runs; the pass keeps its cursor. Resolves when both have ended. */
  async stop(): Promise<void> {
    this.#stopping.abort(stopped());
    await Promise.all([this.#running, this.#schedule]);
  }

  /** The first pass is due at once, and so is an interrupted one. */
  get #dueMs(): number {
    const { unfinished, finished } = this.#saved;
    const dueMs = unfinished || !finished ? 0 : finished.finishedMs + this.#options.intervalMs;
    return Math.max(dueMs, this.#failedMs + retryMs);
  }

  async #runOnSchedule(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const waitMs = this.#running ? 0 : this.#dueMs - clock.now();
      if (waitMs <= 0) await this.verify();
      else await sleep(clock, Math.min(waitMs, sleepMsMax), signal).catch(() => undefined);
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { disk, clock, logger, stalls, threadModule } = this.#options;
    const pass = new ScrubPass({
      disk,
      from: this.#saved.unfinished ?? nothing,
      pace: this.#pace,
      stats: this.stats,
      onDirectoryChecked: () => this.#save({ unfinished: pass.done }),
      clock,
      stalls,
      threadModule,
    });
    this.#pass = pass;
    this.#state = "running";
    this.#reason = "";
    try {
      await pass.run(signal);
      const { cursor: _, ...counts } = pass.done;
      this.#state = "complete";
      this.stats.passes += 1;
      const suppressed = this.#logPace.take("checked");
      if (suppressed) logger.info({ ...counts, ...suppressed }, "Checked every chunk on the disk");
      await this.#save({ unfinished: undefined, finished: { ...counts, finishedMs: clock.now() } });
    } catch (thrown) {
      this.#state = signal.aborted ? "stopped" : "failed";
      if (!signal.aborted) this.#fail(thrown);
      await this.#save({ unfinished: pass.done });
    } finally {
      this.#pass = undefined;
    }
  }

  #fail(thrown: unknown): void {
    const { clock, logger } = this.#options;
    const error = OrcaError.from(thrown, "internal", "disk", "Cannot finish the scrub of the disk");
    this.#reason = error.message;
    this.#failedMs = clock.now();
    this.stats.passesFailed += 1;
    const suppressed = this.#logPace.take("failed");
    if (suppressed)
      logger.error({ err: error, ...suppressed }, "The scrub failed; the next pass goes on where it stopped");
  }

  async #save(change: ScrubState): Promise<void> {
    this.#saved = { ...this.#saved, ...change };
    try {
      await this.#stateFile.save(this.#saved);
      this.#isSaveFailing = false;
    } catch (error) {
      const message = "Cannot save the progress of the scrub: after a restart it begins again";
      if (!this.#isSaveFailing && this.#logPace.isDue("save")) {
        this.#options.logger.warn({ error, see: pages.disk }, message);
      }
      this.#isSaveFailing = true;
    }
  }
}

function stopped(): OrcaError {
  return new OrcaError("shutting_down", "disk", "Cannot go on with the scrub: Orca is stopping");
}
