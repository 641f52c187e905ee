/**
 * What the POSIX cachestore asks of its writing thread: the self-test at start, and commits. The thread is the disk
 * tier's (disk-writer.ts); what is new is that it may hang. A write cannot be called back, and the thread goes on reading
 * the memory of the chunk for as long as it hangs in it. So a commit that is late is given up while its memory stays
 * pinned, and one commit runs at a time, so that this is the memory of one chunk and not of all that wait.
 *
 * Invariants:
 * 1. A chunk that the thread may read from is held until the thread has answered, whatever its put was told.
 * 2. While a commit is late, no other one waits behind it: new ones fail at once.
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
import { posixError } from "./posix-errors.ts";
import type { PosixStats } from "./posix-stats.ts";

export interface PosixCommitterOptions {
  readonly root: string;
  /** For a commit or the self-test, from when the thread begins with it. */
  readonly timeoutMs: number;
  readonly stats: PosixStats;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly threadModule?: URL | undefined;
}

type Stored = Exclude<PutResult, "refused">;
/** `late`: given up by the deadline, and the thread may still be at it. */
type RunResult = TaskResult | { readonly outcome: "late" };

/** What a thread that does not hang needs to end, when it is told to in the middle of a write. */
const terminationMs = 1000;

export class PosixCommitter {
  readonly #root: string;
  readonly #directory: string;
  readonly #staging: string;
  readonly #timeoutMs: number;
  readonly #stats: PosixStats;
  readonly #clock: Clock;
  readonly #writer: DiskWriter;
  #late = false;
  #closed = false;

  constructor(options: PosixCommitterOptions) {
    const { directory, staging } = cachestoreDirectoryOf(options.root);
    this.#root = options.root;
    this.#directory = directory;
    this.#staging = staging;
    this.#timeoutMs = options.timeoutMs;
    this.#stats = options.stats;
    this.#clock = options.clock;
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

  /** Chunk bytes in memory that commits still hold. */
  get pendingBytes(): number {
    return this.#writer.pendingBytes;
  }

  dropQueued(bytesWanted: number): void {
    this.#writer.dropQueued(bytesWanted);
  }

  /** @throws OrcaError `config_invalid`, with what the directory cannot do. */
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

  /** @throws OrcaError as CachestoreDriver.put. */
  async commit(key: string, ref: ChunkKey, chunk: ChunkBytes): Promise<Stored> {
    if (this.#late || this.#closed) throw this.#error(key, this.#late ? "ETIMEDOUT" : undefined);
    const write = this.#chunkWrite(key, ref, chunk);
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
        throw this.#error(key, this.#late ? "ETIMEDOUT" : undefined);
      case "failed":
        throw this.#error(key, result.code);
      case "late":
        throw this.#error(key, "ETIMEDOUT");
      default:
        // The thread died. What it had linked is whole and stays; what it had staged is nobody's.
        void this.#run(0, { kind: "evict", victims: [write.stagingPath] });
        throw this.#error(key, "EIO");
    }
  }

  /** Waits up to `deadlineMs` for commits. A thread that hangs is left behind, and so is the memory it reads from. */
  async close(deadlineMs: number): Promise<void> {
    this.#closed = true;
    const closing = this.#writer.close(this.#late ? 0 : deadlineMs);
    // A thread that hangs does not end by being told to.
    if (this.#late) return;
    const { promise: gaveUp, resolve: giveUp } = Promise.withResolvers<void>();
    const timer = this.#clock.timer(deadlineMs + terminationMs, giveUp);
    await Promise.race([closing, gaveUp]);
    timer.cancel();
  }

  /** Runs a job for as long as it is given. `onEnd` is called when the thread has nothing of it in use any more. */
  #run(bytes: number, job: DiskJob, onEnd: () => void = () => {}): Promise<RunResult> {
    const { promise, resolve } = Promise.withResolvers<RunResult>();
    let timer: Timer | undefined;
    this.#writer.enqueue({
      bytes,
      start: () => {
        timer = this.#clock.timer(this.#timeoutMs, () => {
          this.#late = true;
          resolve({ outcome: "late" });
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

  #chunkWrite(key: string, ref: ChunkKey, chunk: ChunkBytes): ChunkWrite {
    const blocks = chunk.segments.map((segment) => segment.bytes);
    for (const block of blocks) {
      assert(
        block.buffer instanceof SharedArrayBuffer,
        "a segment is shared with the thread, not copied to it",
      );
    }
    return {
      stagingPath: `${this.#staging}/${randomUUID()}`,
      finalPath: chunkFilePath(this.#directory, key),
      storedKey: storedKeyOf(ref),
      blocks,
      // Every replica would come upon what a crash of the server tore, so nothing is told as stored before it is.
      fsync: true,
    };
  }

  #error(key: string, systemCode: string | undefined): OrcaError {
    const action = `store chunk "${key}" in the cachestore`;
    if (systemCode === undefined) {
      return new OrcaError(
        "overloaded",
        "cachestore",
        `Cannot ${action}: its memory is needed, or Orca is stopping`,
      );
    }
    this.#stats.countError(systemCode);
    return posixError(systemCode, action);
  }
}
