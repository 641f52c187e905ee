/**
 * Room on disk: the index reserves it, and the writing thread makes it. A writer receives the paths of the victims,
 * which must be unlinked before its first byte. It reports the result afterwards, so that the account follows the disk
 * and not the plan.
 */
import { chunkFilePath } from "../chunk-file/chunk-file.ts";
import type { DiskIndex } from "./disk-index.ts";
import type { DiskJob } from "./disk-job.ts";
import { sliceMax } from "./disk-limits.ts";
import type { DiskOpenFiles } from "./disk-open-files.ts";
import type { DiskRoot } from "./disk-root.ts";
import type { DiskFaultLog, DiskStats } from "./disk-stats.ts";
import type { DiskWriter, TaskResult } from "./disk-writer.ts";
import type { FileOnDisk } from "./held-entries.ts";

export interface DiskRoomOptions {
  readonly root: DiskRoot;
  readonly index: DiskIndex;
  readonly files: DiskOpenFiles;
  readonly writer: DiskWriter;
  readonly faultLog: DiskFaultLog;
  readonly stats: DiskStats;
}

/** Room for one file: the entries that are evicted for it, and the paths of their files. */
export interface Room {
  readonly victims: readonly FileOnDisk[];
  readonly victimPaths: readonly string[];
}

export class DiskRoom {
  readonly #root: DiskRoot;
  readonly #index: DiskIndex;
  readonly #files: DiskOpenFiles;
  readonly #writer: DiskWriter;
  readonly #faultLog: DiskFaultLog;
  readonly #stats: DiskStats;
  #makingRoom = false;
  #trimming = false;

  constructor(options: DiskRoomOptions) {
    this.#root = options.root;
    this.#index = options.index;
    this.#files = options.files;
    this.#writer = options.writer;
    this.#faultLog = options.faultLog;
    this.#stats = options.stats;
  }

  /**
   * Undefined if there is no room. It evicts a slice of entries at most, and the rest, down to the low watermark, between
   * the next jobs. Large chunks that arrive when many small ones must go may find no room before that ends.
   */
  reserve(sizeBytes: number): Room | undefined {
    const { isReserved, victims } = this.#index.reserve(sizeBytes);
    if (isReserved) return { victims, victimPaths: this.#retire(victims) };
    if (victims.length > 0) this.#unlink(victims);
    return undefined;
  }

  /** Ends a reservation: its bytes belong to an entry now, or are not on disk. */
  release(sizeBytes: number): void {
    this.#index.endReservation(sizeBytes);
  }

  /** Victims that may still be on disk become entries again: the bytes that should replace them were not written. */
  settleVictims(victims: readonly FileOnDisk[], result: TaskResult): void {
    let gone = victims.length;
    if (result.outcome === "failed") gone = result.victimsGone;
    else if (result.outcome === "crashed") gone = 0;
    this.#stats.evictions += gone;
    for (const victim of victims.slice(gone)) this.#index.restore(victim);
    if (result.outcome !== "dropped" && this.#index.isTrimming && !this.#trimming) this.evictExcess(() => {});
  }

  /** A chunk could not be written. */
  countFailure(code: string): void {
    this.#faultLog.countError(code, "write a chunk to disk");
    if (code === "ENOSPC") this.#evictShare();
  }

  /**
   * The thread died in a commit, perhaps after it had linked the file and before it answered. The next thread unlinks
   * both names of the file. If that fails, too, the bytes stay reserved, since they may be on disk.
   */
  sweep(paths: readonly string[], sizeBytes: number, onEnd: () => void): void {
    const settle = (result: TaskResult): void => {
      if (result.outcome === "done") this.#index.endReservation(sizeBytes);
      onEnd();
    };
    const start = (): DiskJob => ({ kind: "evict", victims: paths });
    this.#writer.enqueue({ bytes: 0, start, settle, giveUp: onEnd }, "first");
  }

  /** Evicts the bytes above the watermark. */
  evictExcess(onEnd: () => void): void {
    this.#trimming = true;
    const end = (): void => {
      this.#trimming = false;
      onEnd();
    };
    this.#evictInSlices(() => this.#index.takeExcess(), end);
  }

  /** The medium is full, so a share of the chunks is evicted: once, even if several commits fail before it ends. */
  #evictShare(): void {
    if (this.#makingRoom) return;
    this.#makingRoom = true;
    let entryBytesMax: number | undefined;
    const takeSlice = (): FileOnDisk[] => {
      entryBytesMax ??= this.#index.shareThatStaysBytes;
      return this.#index.takeDownTo(entryBytesMax);
    };
    this.#evictInSlices(takeSlice, () => {
      this.#makingRoom = false;
    });
  }

  /**
   * Evicts slice after slice until one is not full, each as a job of its own. The first job comes before all that wait,
   * and the later ones after them, so that commits go on.
   */
  #evictInSlices(
    takeSlice: () => readonly FileOnDisk[],
    onEnd: () => void,
    place: "first" | "last" = "first",
  ): void {
    let victims: readonly FileOnDisk[] = [];
    const start = (): DiskJob | undefined => {
      victims = takeSlice();
      if (victims.length > 0) return { kind: "evict", victims: this.#retire(victims) };
      onEnd();
      return undefined;
    };
    const settle = (result: TaskResult): void => {
      this.#settleEviction(victims, result);
      const goesOn = victims.length === sliceMax && result.outcome === "done" && !this.#writer.isClosing;
      if (goesOn) this.#evictInSlices(takeSlice, onEnd, "last");
      else onEnd();
    };
    this.#writer.enqueue({ bytes: 0, start, settle }, place);
  }

  #unlink(victims: readonly FileOnDisk[]): void {
    const job: DiskJob = { kind: "evict", victims: this.#retire(victims) };
    const settle = (result: TaskResult): void => this.#settleEviction(victims, result);
    this.#writer.enqueue({ bytes: 0, start: () => job, settle }, "first");
  }

  #settleEviction(victims: readonly FileOnDisk[], result: TaskResult): void {
    if (result.outcome === "failed") this.#faultLog.countError(result.code, "evict chunks from disk");
    this.settleVictims(victims, result);
  }

  /** The paths of the victims' files. The files are no longer opened or read. */
  #retire(victims: readonly FileOnDisk[]): string[] {
    return victims.map(({ path }) => {
      this.#files.retire(path);
      return chunkFilePath(this.#root.directory, path);
    });
  }
}
