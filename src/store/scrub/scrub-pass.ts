/**
 * One pass of the scrub: reads every chunk on the disk with all checks, in the order of the files, and lets the disk tier
 * delete the bad ones. It keeps to a pace and yields to reads that a client waits for.
 *
 * Invariants:
 * 1. The cursor is the last file that was checked to its end, and the counts cover the files up to it.
 * 2. A verdict counts only if the entry that the tier had when the check began is still held. Otherwise: (1) the thread
 *    opens the file; (2) the tier evicts the chunk, and a commit stores it again; (3) the thread finds damage in the
 *    unlinked file, and the tier would delete the new one.
 */
import { join } from "node:path";
import type { BytePace } from "../../base/byte-pace.ts";
import { type Clock, sleep } from "../../base/clock.ts";
import { type StallWatch, watched } from "../../trace/stalls/stall-watch.ts";
import { chunkPathOfFileName, fanOuts } from "../chunk-file/chunk-file.ts";
import type { DiskTier } from "../disk/disk-tier.ts";
import type { DiskEntry } from "../disk/held-entries.ts";
import { type CheckStep, DiskAudit } from "./disk-audit.ts";
import type { ScrubCounts, UnfinishedPass } from "./scrub-state-file.ts";

/** What a scrub needs of the disk tier. */
export type ScrubbedDisk = Pick<
  DiskTier,
  "directory" | "usedBytes" | "ready" | "readsInProgress" | "hold" | "release" | "distrust"
>;

export interface ScrubPassOptions {
  readonly disk: ScrubbedDisk;
  /** Where the pass goes on. */
  readonly from: UnfinishedPass;
  readonly pace: BytePace;
  /** Counts what this process has checked; the pass adds to it. */
  readonly stats: { -readonly [Name in keyof ScrubCounts]: number };
  /** Called after each directory. */
  readonly onDirectoryChecked: () => Promise<void>;
  readonly clock: Clock;
  readonly stalls?: StallWatch | undefined;
  /** What the checking thread runs; for tests. */
  readonly threadModule?: URL | undefined;
}

/** Between two blocks the pass waits for a moment without reads, for 50 ms at most: a busy disk is checked too. */
const yieldMs = 2;
const yieldsMax = 25;

export class ScrubPass {
  readonly #options: ScrubPassOptions;
  #done: UnfinishedPass;
  /** Bytes checked of the current chunk. */
  #partBytes = 0;

  constructor(options: ScrubPassOptions) {
    this.#options = options;
    this.#done = options.from;
  }

  /** What the pass has checked, up to its cursor. */
  get done(): UnfinishedPass {
    return this.#done;
  }

  /** Includes the bytes of the current chunk. */
  get checkedBytes(): number {
    return this.#done.checkedBytes + this.#partBytes;
  }

  /** Resolves at the end of the disk. @throws the signal's reason; OrcaError if a directory or the thread fails. */
  async run(signal: AbortSignal): Promise<void> {
    const { disk, threadModule } = this.#options;
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    let audit: DiskAudit | undefined;
    const stop = (): void => {
      aborted.reject(signal.reason);
      void audit?.close();
    };
    signal.addEventListener("abort", stop, { once: true });
    try {
      // Until the scan has ended, the tier does not know all chunks.
      await Promise.race([disk.ready, aborted.promise]);
      // An empty disk needs no thread.
      if (disk.usedBytes === 0) return;
      audit = new DiskAudit(threadModule);
      await this.#checkAll(audit, signal);
    } finally {
      signal.removeEventListener("abort", stop);
      this.#partBytes = 0;
      await audit?.close();
    }
  }

  async #checkAll(audit: DiskAudit, signal: AbortSignal): Promise<void> {
    for (const fanOut of fanOuts) {
      // A cursor at the last file of a directory still begins with the name of that directory.
      if (fanOut < this.#done.cursor.slice(0, fanOut.length)) continue;
      signal.throwIfAborted();
      const directory = join(this.#options.disk.directory, fanOut);
      const names = await this.#watched(`the list of the files in ${fanOut}`, directory, () =>
        audit.list(directory),
      );
      for (const name of names) {
        const file = `${fanOut}/${name}`;
        if (file <= this.#done.cursor) continue;
        signal.throwIfAborted();
        await this.#check(audit, join(directory, name), name, signal);
        this.#done = { ...this.#done, cursor: file };
      }
      if (names.length > 0) await this.#options.onDirectoryChecked();
    }
  }

  async #check(audit: DiskAudit, path: string, name: string, signal: AbortSignal): Promise<void> {
    const { disk } = this.#options;
    const key = chunkPathOfFileName(name);
    const entry = key === undefined ? undefined : disk.hold(key);
    // The file is no chunk's, or its chunk is being stored or deleted.
    if (entry === undefined) return;
    try {
      await this.#checkEntry(audit, path, entry, signal);
    } finally {
      disk.release(entry);
    }
  }

  async #checkEntry(audit: DiskAudit, path: string, entry: DiskEntry, signal: AbortSignal): Promise<void> {
    const { disk, pace } = this.#options;
    await this.#yieldToReads(signal);
    const what = `the check of ${path.slice(disk.directory.length + 1)}`;
    let step: CheckStep = await this.#watched(what, path, () => audit.check(path, entry.path));
    while (step.kind === "read") {
      this.#partBytes += step.lengthBytes;
      await pace.spend(step.lengthBytes, signal);
      await this.#yieldToReads(signal);
      step = await this.#watched(what, path, () => audit.next());
    }
    const isReplaced = !entry.isHeld;
    const isBad = step.fault !== undefined && (await disk.distrust(entry, step.fault));
    this.#partBytes = 0;
    if (!isReplaced) this.#count(entry.sizeBytes, isBad, step.fault !== undefined && !isBad);
  }

  /** One question to the thread: a list of a directory, or a block of a file. */
  #watched<Answer>(what: string, path: string, ask: () => Promise<Answer>): Promise<Answer> {
    const { stalls } = this.#options;
    const waiting = stalls && { stalls, waiting: () => [`${what} by the scrub waits for it`] };
    return watched(waiting, "disk", "scrub", { path }, ask);
  }

  #count(sizeBytes: number, isBad: boolean, isSkipped: boolean): void {
    const { stats } = this.#options;
    const { cursor, checkedChunks, checkedBytes, badChunks, skippedChunks } = this.#done;
    this.#done = {
      cursor,
      checkedChunks: checkedChunks + 1,
      checkedBytes: checkedBytes + sizeBytes,
      badChunks: badChunks + Number(isBad),
      skippedChunks: skippedChunks + Number(isSkipped),
    };
    stats.checkedChunks += 1;
    stats.checkedBytes += sizeBytes;
    stats.badChunks += Number(isBad);
    stats.skippedChunks += Number(isSkipped);
  }

  async #yieldToReads(signal: AbortSignal): Promise<void> {
    const { disk, clock } = this.#options;
    for (let waits = 0; disk.readsInProgress > 0 && waits < yieldsMax; waits += 1) {
      await sleep(clock, yieldMs, signal);
    }
  }
}
