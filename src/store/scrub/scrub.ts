/**
 * Reads every chunk on this replica's disk with all checks, and has the disk tier let go of the bad ones: damage in what
 * nobody has read for months is found before it is asked for. It goes through the files in order, at a pace, stands back
 * behind reads that somebody waits for, and can be left and taken up again at its cursor, also after a restart.
 *
 * It runs for as long as somebody watches it: whoever begins to watch starts it, or joins it, and when the last one
 * leaves it stops and keeps its place. So an operator's Ctrl-C is a pause, and no scrub goes on that nobody knows of.
 *
 * Invariants:
 * 1. One walk runs at a time, and one question of it at a time.
 * 2. The cursor is the last place that was checked to its end, and the counts are of what lies up to it.
 * 3. A verdict counts only where the chunk has not been away since its check began: the file that was read may be one
 *    that was unlinked meanwhile, and another may lie there.
 */
import { once } from "node:events";
import { join } from "node:path";
import { BytePace } from "../../base/byte-pace.ts";
import { type Clock, sleep } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { MiB } from "../../base/units.ts";
import { chunkPathOfFileName, fanOuts } from "../chunk-file/chunk-file.ts";
import type { DiskTier } from "../disk/disk-tier.ts";
import { type CheckStep, DiskAudit } from "./disk-audit.ts";
import { type ScrubState, ScrubStateFile } from "./scrub-state-file.ts";

/** What a scrub needs of the disk tier. */
export type ScrubbedDisk = Pick<
  DiskTier,
  "directory" | "usedBytes" | "ready" | "readsInProgress" | "entry" | "distrust"
>;

/** `stopped` goes on at the cursor; `failed` too, and `reason` says what ended it. */
export interface ScrubProgress extends ScrubState {
  readonly state: "idle" | "running" | "stopped" | "complete" | "failed";
  /** Bytes on disk at the moment. */
  readonly totalBytes: number;
  readonly reason: string;
}

export interface ScrubWatch {
  /** Resolves when the walk has ended, however it did. */
  readonly ended: Promise<void>;
  /** The last one to leave stops the walk. Any number of times. */
  leave(): void;
}

export interface ScrubOptions {
  readonly disk: ScrubbedDisk;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What the checking thread runs; for tests. */
  readonly threadModule?: URL;
}

/** A seventh of what a common SSD reads, and half of what a hard disk does. */
export const scrubBytesPerSecond = 64 * MiB;

/** Between two blocks it waits for a moment without reads, but not for ever: a busy disk is checked too. */
const yieldMs = 2;
const yieldsMax = 25;

const nothing: ScrubState = {
  cursor: "",
  checkedChunks: 0,
  checkedBytes: 0,
  badChunks: 0,
  skippedChunks: 0,
};

export class Scrub {
  readonly stats = { runs: 0, checkedChunks: 0, checkedBytes: 0, badChunks: 0 };
  readonly #options: ScrubOptions;
  readonly #stateFile: ScrubStateFile;
  #pace: BytePace;
  #done: ScrubState;
  /** Of the chunk that is being checked. */
  #partBytes = 0;
  #state: ScrubProgress["state"] = "idle";
  #reason = "";
  #watchers = 0;
  #run: Promise<void> | undefined;
  #stopping: AbortController | undefined;
  #isOver = false;

  constructor(options: ScrubOptions) {
    this.#options = options;
    this.#pace = new BytePace(options.clock, scrubBytesPerSecond);
    this.#stateFile = new ScrubStateFile(options.disk.directory);
    const left = this.#stateFile.load();
    this.#done = left ?? nothing;
    if (left) this.#state = "stopped";
  }

  get progress(): ScrubProgress {
    return {
      ...this.#done,
      checkedBytes: this.#done.checkedBytes + this.#partBytes,
      state: this.#state,
      totalBytes: this.#options.disk.usedBytes,
      reason: this.#reason,
    };
  }

  /**
   * Starts a walk, at the cursor where one was left, or joins the one that runs. The pace of who comes last counts.
   * @throws OrcaError `shutting_down` after {@link stop}.
   */
  async watch(bytesPerSecond = scrubBytesPerSecond): Promise<ScrubWatch> {
    while (this.#stopping?.signal.aborted) await this.#run;
    if (this.#isOver) throw stopped();
    this.#pace.bytesPerSecond = bytesPerSecond;
    this.#watchers += 1;
    this.#run ??= this.#start(bytesPerSecond);
    const ended = this.#run;
    let isWatching = true;
    const leave = (): void => {
      if (!isWatching) return;
      isWatching = false;
      this.#watchers -= 1;
      if (this.#watchers === 0) this.#abort();
    };
    return { ended, leave };
  }

  /** For good, whoever watches. Resolves when nothing is read or let go of any more. */
  async stop(): Promise<void> {
    this.#isOver = true;
    this.#abort();
    await this.#run;
  }

  #abort(): void {
    this.#stopping?.abort(stopped());
  }

  #start(bytesPerSecond: number): Promise<void> {
    this.stats.runs += 1;
    this.#pace = new BytePace(this.#options.clock, bytesPerSecond);
    if (this.#state === "complete") this.#done = nothing;
    this.#state = "running";
    this.#reason = "";
    const stopping = new AbortController();
    this.#stopping = stopping;
    return this.#walkToEnd(stopping.signal).finally(() => {
      this.#partBytes = 0;
      this.#stopping = undefined;
      this.#run = undefined;
    });
  }

  async #walkToEnd(signal: AbortSignal): Promise<void> {
    const audit = new DiskAudit(this.#options.threadModule);
    const close = (): void => void audit.close();
    signal.addEventListener("abort", close, { once: true });
    try {
      await Promise.race([this.#options.disk.ready, once(signal, "abort")]);
      signal.throwIfAborted();
      await this.#walk(audit, signal);
      this.#state = "complete";
      await this.#keep(() => this.#stateFile.remove());
    } catch (thrown) {
      const error = OrcaError.from(thrown, "internal", "disk", "Cannot go on with the scrub");
      this.#state = signal.aborted ? "stopped" : "failed";
      if (!signal.aborted) {
        this.#reason = error.message;
        this.#options.logger.error({ err: error }, "The scrub failed; it can be taken up where it was");
      }
      await this.#save();
    } finally {
      await audit.close();
    }
  }

  async #walk(audit: DiskAudit, signal: AbortSignal): Promise<void> {
    for (const fanOut of fanOuts) {
      // Behind the last one of its directory the cursor still begins with the directory's name.
      if (fanOut < this.#done.cursor.slice(0, fanOut.length)) continue;
      const directory = join(this.#options.disk.directory, fanOut);
      const names = await audit.list(directory);
      for (const name of names) {
        const place = `${fanOut}/${name}`;
        if (place <= this.#done.cursor) continue;
        signal.throwIfAborted();
        await this.#check(audit, join(directory, name), name, signal);
        this.#done = { ...this.#done, cursor: place };
      }
      if (names.length > 0) await this.#save();
    }
  }

  async #check(audit: DiskAudit, path: string, name: string, signal: AbortSignal): Promise<void> {
    const { disk } = this.#options;
    const key = chunkPathOfFileName(name);
    const entry = key === undefined ? undefined : disk.entry(key);
    // On its way in or out, or no chunk's.
    if (key === undefined || entry === undefined) return;
    await this.#giveWay(signal);
    let step: CheckStep = await audit.check(path, key);
    while (step.kind === "read") {
      this.#partBytes += step.lengthBytes;
      await this.#pace.spend(step.lengthBytes, signal);
      await this.#giveWay(signal);
      step = await audit.next();
    }
    const isGone = disk.entry(key) !== entry;
    const isBad = step.fault !== undefined && (await disk.distrust(entry, step.fault));
    this.#partBytes = 0;
    if (!isGone) this.#count(entry.sizeBytes, isBad, step.fault !== undefined && !isBad);
  }

  #count(sizeBytes: number, isBad: boolean, isSkipped: boolean): void {
    const { checkedChunks, checkedBytes, badChunks, skippedChunks, cursor } = this.#done;
    this.#done = {
      cursor,
      checkedChunks: checkedChunks + 1,
      checkedBytes: checkedBytes + sizeBytes,
      badChunks: badChunks + Number(isBad),
      skippedChunks: skippedChunks + Number(isSkipped),
    };
    this.stats.checkedChunks += 1;
    this.stats.checkedBytes += sizeBytes;
    this.stats.badChunks += Number(isBad);
  }

  async #giveWay(signal: AbortSignal): Promise<void> {
    const { disk, clock } = this.#options;
    for (let waits = 0; disk.readsInProgress > 0 && waits < yieldsMax; waits += 1) {
      await sleep(clock, yieldMs, signal);
    }
  }

  #save(): Promise<void> {
    return this.#keep(() => this.#stateFile.save(this.#done));
  }

  async #keep(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#options.logger.warn(
        { error },
        "Cannot note how far the scrub has come; after a restart it begins anew",
      );
    }
  }
}

function stopped(): OrcaError {
  return new OrcaError("shutting_down", "disk", "Cannot go on with the scrub: it was stopped");
}
