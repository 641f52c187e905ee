/**
 * Everything the disk tier asks of its writing thread: the scan at start, commits, and evictions to make room. It
 * decides when a job's turn comes and not when it is queued, so a commit that is dropped has evicted nothing, and
 * what was already stored meanwhile is not written again.
 */
import { randomUUID } from "node:crypto";
import { assert } from "../base/assert.ts";
import type { ChunkBytes } from "../chunk/chunk-bytes.ts";
import { type ChunkIdentity, chunkFilePath, chunkFileSize } from "./chunk-file.ts";
import type { PutResult } from "./chunk-store.ts";
import type { DiskFaultLog } from "./disk-fault-log.ts";
import type { DiskEntry, DiskIndex } from "./disk-index.ts";
import type { ChunkWrite } from "./disk-jobs.ts";
import type { DiskOpenFiles } from "./disk-open-files.ts";
import type { DiskRoot } from "./disk-root.ts";
import type { DiskStats } from "./disk-stats.ts";
import type { DiskWriter, TaskResult } from "./disk-writer.ts";

export interface DiskCommitterOptions {
  readonly root: DiskRoot;
  readonly index: DiskIndex;
  readonly files: DiskOpenFiles;
  readonly writer: DiskWriter;
  readonly faultLog: DiskFaultLog;
  readonly stats: DiskStats;
  readonly fsync: boolean;
}

export class DiskCommitter {
  readonly #root: DiskRoot;
  readonly #index: DiskIndex;
  readonly #files: DiskOpenFiles;
  readonly #writer: DiskWriter;
  readonly #faultLog: DiskFaultLog;
  readonly #stats: DiskStats;
  readonly #fsync: boolean;
  #makingRoom = false;

  constructor(options: DiskCommitterOptions) {
    this.#root = options.root;
    this.#index = options.index;
    this.#files = options.files;
    this.#writer = options.writer;
    this.#faultLog = options.faultLog;
    this.#stats = options.stats;
    this.#fsync = options.fsync;
  }

  get pendingBytes(): number {
    return this.#writer.pendingBytes;
  }

  dropQueued(bytesWanted: number): void {
    this.#writer.dropQueued(bytesWanted);
  }

  close(deadlineMs: number): Promise<void> {
    return this.#writer.close(deadlineMs);
  }

  /**
   * Sweeps the directory and fills the index; resolves when that is done and what passes the watermark is gone. Where
   * the scan fails nobody knows what there is room for: chunks are read as before, and none is kept until a restart.
   */
  scan(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#writer.enqueue({
      bytes: 0,
      start: () => ({ kind: "scan", directory: this.#root.directory }),
      onBatch: (batch) => this.#index.addScanned(batch),
      settle: (result) => {
        if (result.outcome !== "scanned") {
          if (result.outcome === "failed") this.#faultLog.countError(result.code, "scan the disk root");
          resolve();
          return;
        }
        this.#stats.stagedFilesRemoved = result.stagedFilesRemoved;
        this.#stats.foreignFilesRemoved = result.foreignFilesRemoved;
        this.#index.endScan();
        this.#evict(() => this.#index.takeSurplus(), resolve);
      },
    });
    return promise;
  }

  /** The tier sees to it that one commit of a chunk runs at a time. */
  commit(key: string, identity: ChunkIdentity, chunk: ChunkBytes): Promise<PutResult> {
    const { promise, resolve } = Promise.withResolvers<PutResult>();
    const sizeBytes = chunkFileSize(identity);
    const write = this.#chunkWrite(key, identity, chunk);
    let victims: DiskEntry[] | undefined;
    this.#writer.enqueue({
      bytes: chunk.lengthBytes,
      start: () => {
        const isHeld = this.#index.get(key) !== undefined;
        victims = isHeld || this.#index.isLeaving(key) ? undefined : this.#index.reserve(sizeBytes);
        if (victims !== undefined) return { kind: "commit", victims: this.#retire(victims), write };
        resolve(isHeld ? "present" : "refused");
        return undefined;
      },
      settle: (result) => {
        this.#settleVictims(victims ?? [], result);
        if (result.outcome === "crashed") {
          this.#sweep([write.stagingPath, write.finalPath], sizeBytes, () => resolve("refused"));
          return;
        }
        if (victims !== undefined) this.#index.endReservation(sizeBytes);
        resolve(this.#settleCommit(key, sizeBytes, result));
      },
    });
    return promise;
  }

  /**
   * The thread died somewhere in a commit, perhaps between linking the file and saying so. Both its names are unlinked
   * by the next thread; should that one not manage either, the bytes stay reserved, since they may lie there.
   */
  #sweep(paths: readonly string[], sizeBytes: number, onEnd: () => void): void {
    const settle = (result: TaskResult): void => {
      if (result.outcome === "done") this.#index.endReservation(sizeBytes);
      onEnd();
    };
    this.#writer.enqueue({ bytes: 0, start: () => ({ kind: "evict", victims: paths }), settle }, "first");
  }

  #chunkWrite(key: string, identity: ChunkIdentity, chunk: ChunkBytes): ChunkWrite {
    const blocks = chunk.segments.map((segment) => segment.bytes);
    for (const block of blocks) {
      assert(
        block.buffer instanceof SharedArrayBuffer,
        "a segment is shared with the disk thread, not copied to it",
      );
    }
    return {
      stagingPath: `${this.#root.stagingDirectory}/${randomUUID()}`,
      finalPath: chunkFilePath(this.#root.directory, key),
      identity,
      blocks,
      fsync: this.#fsync,
    };
  }

  #settleCommit(key: string, sizeBytes: number, result: TaskResult): PutResult {
    switch (result.outcome) {
      case "stored":
        this.#index.add(key, sizeBytes, result.sha256);
        return "stored";
      case "present":
        // Put there by nobody we know, of the right size, and checked when it is opened, as any other.
        this.#index.add(key, sizeBytes);
        return "present";
      case "failed":
        this.#faultLog.countError(result.code, "write a chunk to disk");
        if (result.code === "ENOSPC") this.#makeRoom();
        return "refused";
      case "dropped":
        this.#stats.commitsDropped += 1;
        return "refused";
      default:
        return "refused";
    }
  }

  /** The medium is full. A share of it is evicted once, however many commits meet that before it is done. */
  #makeRoom(): void {
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
      this.#settleVictims(victims, result);
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

  /** Victims that may still be on disk are entries again: what was to be written in their place was not. */
  #settleVictims(victims: readonly DiskEntry[], result: TaskResult): void {
    let gone = victims.length;
    if (result.outcome === "failed") gone = result.victimsGone;
    else if (result.outcome === "crashed") gone = 0;
    this.#stats.evictions += gone;
    for (const { key, sizeBytes, sha256 } of victims.slice(gone)) this.#index.add(key, sizeBytes, sha256);
  }
}
