/**
 * The jobs of the POSIX cachestore's writing thread: the self-test at start, and commits. The thread is like the disk
 * tier's (disk-writer.ts), but it may hang. A running write cannot be stopped, and the thread reads the memory of the
 * chunk for as long as it hangs. So a late commit fails while its memory stays pinned. One commit runs at a time, so
 * that this is the memory of one chunk and not of all that wait.
 *
 * Invariants:
 * 1. A chunk that the thread may read is held until the thread has answered, whatever result the put returned.
 * 2. While a commit is late, no other one waits for the thread: new ones fail at once.
 */
import { randomUUID } from "node:crypto";
import { assert } from "../../../base/assert.ts";
import type { Clock, Timer } from "../../../base/clock.ts";
import type { Logger } from "../../../base/logger.ts";
import { OrcaError } from "../../../base/orca-error.ts";
import type { ChunkBytes } from "../../../chunk/chunk-bytes.ts";
import { cachestoreDirectoryOf } from "../../chunk-file/cachestore-directory.ts";
import type { ChunkWrite } from "../../chunk-file/chunk-commit.ts";
import { chunkFilePath, storedKeyOf } from "../../chunk-file/chunk-file.ts";
import type { ChunkKey, PutResult } from "../../chunk-store.ts";
import type { DiskJob } from "../../disk/disk-job.ts";
import { DiskWriter, type TaskResult } from "../../disk/disk-writer.ts";
import type { PosixStats } from "./posix-stats.ts";

export interface PosixCommitterOptions {
  readonly root: string;
  /** For a commit or the self-test, from the moment when the thread begins it. */
  readonly timeoutMs: number;
  readonly stats: PosixStats;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly threadModule?: URL | undefined;
  /** Called for a chunk that cannot be stored because of a fact about it; `code` is the system's error. */
  readonly onLasting: (path: string, code: string) => void;
}

/** `late`: the deadline has passed, and the thread may still be working. */
type RunResult = TaskResult | { readonly outcome: "late" };

/** The time that a thread that does not hang needs to end, if it is terminated during a write. */
const terminationMs = 1000;

export class PosixCommitter {
  readonly #root: string;
  readonly #directory: string;
  readonly #staging: string;
  readonly #timeoutMs: number;
  readonly #stats: PosixStats;
  readonly #clock: Clock;
  readonly #writer: DiskWriter;
  readonly #onLasting: PosixCommitterOptions["onLasting"];
  #late = false;
  #closed = false;
  /** Ends a {@link close} that waits for a commit that hangs. */
  #onLate: (() => void) | undefined;

  constructor(options: PosixCommitterOptions) {
    const { directory, staging } = cachestoreDirectoryOf(options.root);
    this.#root = options.root;
    this.#directory = directory;
    this.#staging = staging;
    this.#timeoutMs = options.timeoutMs;
    this.#stats = options.stats;
    this.#clock = options.clock;
    this.#onLasting = options.onLasting;
    this.#writer = new DiskWriter({
      clock: options.clock,
      logger: options.logger,
      threadModule: options.threadModule,
      threadName: "orca-cachestore-writer",
      startedMax: 1,
      onThreadCrash: () => {
        this.#stats.threadCrashes += 1;
      },
    });
  }

  /** Chunk bytes in memory that commits hold. */
  get pendingBytes(): number {
    return this.#writer.pendingBytes;
  }

  dropQueued(bytesWanted: number): void {
    this.#writer.dropQueued(bytesWanted);
  }

  /** @throws OrcaError `config_invalid`, with the property that the directory lacks. */
  async check(): Promise<void> {
    const result = await this.#run(0, { kind: "check", root: this.#root });
    if (result.outcome === "checked") {
      this.#stats.stagedFilesRemoved = result.stagedFilesRemoved;
      return;
    }
    let reason = "the thread that tests it failed";
    if (result.outcome === "unfit") reason = result.reason;
    else if (result.outcome === "late") reason = `no answer within ${this.#timeoutMs} ms`;
    const action = `Cannot use "${this.#root}" as a cachestore`;
    throw new OrcaError("config_invalid", "cachestore", `${action}: ${reason}`);
  }

  /** @throws OrcaError like CachestoreDriver.put. */
  async commit(path: string, key: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    if (this.#late || this.#closed) throw this.#error(path, this.#late ? "ETIMEDOUT" : undefined);
    const write = this.#chunkWrite(path, key, chunk);
    const hold = chunk.share();
    const job: DiskJob = { kind: "commit", victims: [], write };
    const result = await this.#run(chunk.lengthBytes, job, () => hold.release());
    switch (result.outcome) {
      case "stored":
      case "present":
        this.#stats[result.outcome] += 1;
        return result.outcome;
      case "dropped":
        this.#stats.commitsDropped += 1;
        throw this.#error(path, this.#late ? "ETIMEDOUT" : undefined);
      case "failed":
        if (this.#stats.countLasting(result.code)) {
          this.#onLasting(path, result.code);
          return "not_stored";
        }
        throw this.#error(path, result.code);
      case "late":
        throw this.#error(path, "ETIMEDOUT");
      default:
        // The thread died. A file that it had linked is whole and stays. Its staging file is deleted.
        void this.#run(0, { kind: "evict", victims: [write.stagingPath] });
        throw this.#error(path, "EIO");
    }
  }

  /** Waits up to `deadlineMs` for commits. A thread that hangs is abandoned, and so is the memory that it reads. */
  async close(deadlineMs: number): Promise<void> {
    this.#closed = true;
    const closing = this.#writer.close(this.#late ? 0 : deadlineMs);
    // A thread that hangs in a call does not end when it is terminated.
    if (this.#late) return;
    const { promise: gaveUp, resolve: giveUp } = Promise.withResolvers<void>();
    const timer = this.#clock.timer(deadlineMs + terminationMs, giveUp);
    this.#onLate = () => {
      this.#writer.stopWaiting();
      giveUp();
    };
    await Promise.race([closing, gaveUp]);
    timer.cancel();
  }

  /** Runs a job until its deadline. `onEnd` is called when the thread no longer uses anything of the job. */
  #run(bytes: number, job: DiskJob, onEnd: () => void = () => {}): Promise<RunResult> {
    const { promise, resolve } = Promise.withResolvers<RunResult>();
    let timer: Timer | undefined;
    this.#writer.enqueue({
      bytes,
      start: () => {
        timer = this.#clock.timer(this.#timeoutMs, () => {
          this.#late = true;
          resolve({ outcome: "late" });
          this.#onLate?.();
          this.#writer.dropQueued(Number.POSITIVE_INFINITY);
        });
        return job;
      },
      settle: (result) => {
        timer?.cancel();
        if (timer) this.#late = false;
        onEnd();
        resolve(result);
      },
    });
    return promise;
  }

  #chunkWrite(path: string, key: ChunkKey, chunk: ChunkBytes): ChunkWrite {
    const blocks = chunk.segments.map((segment) => segment.bytes);
    for (const block of blocks) {
      assert(
        block.buffer instanceof SharedArrayBuffer,
        "a segment is shared with the thread, not copied to it",
      );
    }
    return {
      stagingPath: `${this.#staging}/${randomUUID()}`,
      finalPath: chunkFilePath(this.#directory, path),
      storedKey: storedKeyOf(key),
      blocks,
      // After a crash of the server, every replica would find a torn file. So a chunk counts as stored once it is
      // synced.
      fsync: true,
    };
  }

  #error(path: string, systemCode: string | undefined): OrcaError {
    const action = `store chunk "${path}" in the cachestore`;
    if (systemCode === undefined) {
      return new OrcaError(
        "overloaded",
        "cachestore",
        `Cannot ${action}: memory is short, or Orca is stopping`,
      );
    }
    return this.#stats.countError(systemCode, action);
  }
}
