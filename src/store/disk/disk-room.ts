/**
 * Room on disk: promised by the index, made by the writing thread. Whoever writes gets the paths of what must be unlinked
 * before its first byte, and says afterwards how that went, so that the account follows the disk and not the plan.
 */
import { chunkFilePath } from "../chunk-file/chunk-file.ts";
import type { DiskEntry, DiskIndex } from "./disk-index.ts";
import type { DiskOpenFiles } from "./disk-open-files.ts";
import type { DiskRoot } from "./disk-root.ts";
import type { DiskFaultLog, DiskStats } from "./disk-stats.ts";
import type { DiskWriter, TaskResult } from "./disk-writer.ts";

export interface DiskRoomOptions {
  readonly root: DiskRoot;
  readonly index: DiskIndex;
  readonly files: DiskOpenFiles;
  readonly writer: DiskWriter;
  readonly faultLog: DiskFaultLog;
  readonly stats: DiskStats;
}

/** Promised to one file: what gives way for it, and where that lies. */
export interface Room {
  readonly victims: readonly DiskEntry[];
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

  constructor(options: DiskRoomOptions) {
    this.#root = options.root;
    this.#index = options.index;
    this.#files = options.files;
    this.#writer = options.writer;
    this.#faultLog = options.faultLog;
    this.#stats = options.stats;
  }

  /** Undefined where there is none. */
  reserve(sizeBytes: number): Room | undefined {
    const victims = this.#index.reserve(sizeBytes);
    return victims && { victims, victimPaths: this.#retire(victims) };
  }

  /** What was reserved is an entry's now, or nobody's. */
  release(sizeBytes: number): void {
    this.#index.endReservation(sizeBytes);
  }

  /** Victims that may still be on disk are entries again: what was to be written in their place was not. */
  settleVictims(victims: readonly DiskEntry[], result: TaskResult): void {
    let gone = victims.length;
    if (result.outcome === "failed") gone = result.victimsGone;
    else if (result.outcome === "crashed") gone = 0;
    this.#stats.evictions += gone;
    for (const { key, sizeBytes, sha256 } of victims.slice(gone)) this.#index.add(key, sizeBytes, sha256);
  }

  /** A chunk could not be written. */
  countFailure(code: string): void {
    this.#faultLog.countError(code, "write a chunk to disk");
    if (code === "ENOSPC") this.#evictShare();
  }

  /**
   * The thread died somewhere in a commit, perhaps between linking the file and saying so. Both its names are unlinked
   * by the next thread; should that one not manage either, the bytes stay reserved, since they may lie there.
   */
  sweep(paths: readonly string[], sizeBytes: number, onEnd: () => void): void {
    const settle = (result: TaskResult): void => {
      if (result.outcome === "done") this.#index.endReservation(sizeBytes);
      onEnd();
    };
    this.#writer.enqueue({ bytes: 0, start: () => ({ kind: "evict", victims: paths }), settle }, "first");
  }

  /** Evicts what passes the watermark. */
  evictSurplus(onEnd: () => void): void {
    this.#evict(() => this.#index.takeSurplus(), onEnd);
  }

  /** The medium is full. A share of it is evicted once, however many commits meet that before it is done. */
  #evictShare(): void {
    if (this.#makingRoom) return;
    this.#makingRoom = true;
    this.#evict(
      () => this.#index.takeShare(),
      () => {
        this.#makingRoom = false;
      },
    );
  }

  #evict(takeVictims: () => DiskEntry[], onEnd: () => void): void {
    let victims: DiskEntry[] = [];
    const start = (): { kind: "evict"; victims: string[] } | undefined => {
      victims = takeVictims();
      if (victims.length > 0) return { kind: "evict", victims: this.#retire(victims) };
      onEnd();
      return undefined;
    };
    const settle = (result: TaskResult): void => {
      if (result.outcome === "failed") this.#faultLog.countError(result.code, "evict chunks from disk");
      this.settleVictims(victims, result);
      onEnd();
    };
    this.#writer.enqueue({ bytes: 0, start, settle }, "first");
  }

  /** Paths of the victims' files, which are not opened or read from any more. */
  #retire(victims: readonly DiskEntry[]): string[] {
    return victims.map(({ key }) => {
      this.#files.retire(key);
      return chunkFilePath(this.#root.directory, key);
    });
  }
}
