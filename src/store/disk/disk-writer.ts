/**
 * The queue in front of the disk thread. Commits hold the memory of their chunk while they wait, so the queue has no
 * bound but the memory budget: when memory is short, those that have not started are let go, the newest first, since
 * a chunk that is not kept costs one fetch later and a request that finds no memory costs an error now.
 *
 * Invariants:
 * 1. Jobs are answered in the order they were started; #started is that order.
 * 2. Behind a job that unlinks or scans nothing is started until it is answered: the bytes it frees are promised to
 *    nobody before they are known to be free.
 * 3. Every task is settled exactly once, also when the thread dies.
 */
import { Worker } from "node:worker_threads";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { MiB } from "../../base/units.ts";
import { type DiskJob, type DiskJobResult, runsAlone, type ScanBatch } from "./disk-job.ts";
import type { DiskJobReply } from "./disk-job-server.ts";

/** `dropped`: never started. `crashed`: the thread ended while the job ran. */
export type TaskResult = DiskJobResult | { readonly outcome: "dropped" } | { readonly outcome: "crashed" };

export interface DiskTask {
  /** Chunk bytes that stay in memory until the task is settled. Zero: not a commit, and never dropped. */
  readonly bytes: number;
  /** The job, made when its turn comes; undefined where it has become pointless, and the task has settled itself. */
  start(): DiskJob | undefined;
  settle(result: TaskResult): void;
  onBatch?(batch: ScanBatch): void;
}

/**
 * Enough that the thread finds its next job without a turn of the event loop; few enough that most stay droppable, and
 * that what they reserve on a small disk leaves room for each other.
 */
const startedBytesMax = 16 * MiB;
const startedMaxDefault = 4;

export interface DiskWriterOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onThreadCrash: () => void;
  /** The thread's, for logs and for top(1). */
  readonly threadName?: string;
  /** How many tasks may be started at once. */
  readonly startedMax?: number;
  /** What the thread runs; for tests. */
  readonly threadModule?: URL | undefined;
}

export class DiskWriter {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onThreadCrash: () => void;
  readonly #threadName: string;
  readonly #startedMax: number;
  readonly #threadModule: URL;
  readonly #waiting: DiskTask[] = [];
  readonly #started: DiskTask[] = [];
  #thread: Worker | undefined;
  #waitingBytes = 0;
  #startedBytes = 0;
  #settlingBytes = 0;
  /** The started task of invariant 2, if one is. */
  #alone: DiskTask | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: DiskWriterOptions) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onThreadCrash = options.onThreadCrash;
    this.#threadName = options.threadName ?? "orca-disk";
    this.#startedMax = options.startedMax ?? startedMaxDefault;
    this.#threadModule = options.threadModule ?? new URL("./disk-writer-thread.ts", import.meta.url);
  }

  /** Chunk bytes held by tasks that are not settled. */
  get pendingBytes(): number {
    return this.#waitingBytes + this.#startedBytes;
  }

  /** Puts `task` behind the others, or in front of all that wait. */
  enqueue(task: DiskTask, place: "last" | "first" = "last"): void {
    if (place === "last") this.#waiting.push(task);
    else this.#waiting.unshift(task);
    this.#waitingBytes += task.bytes;
    this.#startNext();
  }

  /**
   * Drops commits that have not started, the newest first, until `bytesWanted` are let go. Their memory comes back when
   * whoever waits for them runs, which is after this call; until then what was dropped counts for later calls.
   */
  dropQueued(bytesWanted: number): void {
    const missingBytes = bytesWanted - this.#settlingBytes;
    let droppedBytes = 0;
    for (let index = this.#waiting.length - 1; index >= 0 && droppedBytes < missingBytes; index -= 1) {
      const task = this.#waiting[index] as DiskTask;
      if (task.bytes === 0) continue;
      this.#waiting.splice(index, 1);
      this.#waitingBytes -= task.bytes;
      droppedBytes += task.bytes;
      task.settle({ outcome: "dropped" });
    }
    if (droppedBytes === 0) return;
    this.#settlingBytes += droppedBytes;
    setImmediate(() => {
      this.#settlingBytes -= droppedBytes;
    });
  }

  /**
   * Waits for all tasks, at most `deadlineMs`, and ends the thread. What is left then is settled as dropped; the file
   * that was being written stays in staging, where the next start sweeps it.
   */
  async close(deadlineMs: number): Promise<void> {
    if (deadlineMs > 0 && (this.#started.length > 0 || this.#waiting.length > 0)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = this.#clock.timer(deadlineMs, resolve);
      this.#onIdle = resolve;
      await promise;
      timer.cancel();
    }
    const left = [...this.#started.splice(0), ...this.#waiting.splice(0)];
    this.#waitingBytes = 0;
    this.#startedBytes = 0;
    const thread = this.#thread;
    this.#thread = undefined;
    thread?.removeAllListeners("message").removeAllListeners("exit");
    await thread?.terminate();
    // Only now: until the thread has ended, it may still read the memory of these chunks.
    for (const task of left) task.settle({ outcome: "dropped" });
  }

  #startNext(): void {
    while (this.#waiting.length > 0 && this.#alone === undefined) {
      if (this.#started.length >= this.#startedMax || this.#startedBytes >= startedBytesMax) return;
      const task = this.#waiting.shift() as DiskTask;
      this.#waitingBytes -= task.bytes;
      const job = task.start();
      if (job === undefined) continue;
      this.#started.push(task);
      this.#startedBytes += task.bytes;
      if (runsAlone(job)) this.#alone = task;
      this.#thread ??= this.#startThread();
      this.#thread.postMessage(job);
    }
    if (this.#started.length === 0 && this.#waiting.length === 0) this.#onIdle?.();
  }

  #startThread(): Worker {
    const thread = new Worker(this.#threadModule, {
      name: this.#threadName,
      // Bytes come in memory that is shared: a young generation of the default size would be memory for nothing.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    thread.on("message", (reply: DiskJobReply) => {
      if ("batch" in reply) this.#started[0]?.onBatch?.(reply.batch);
      else this.#finish(this.#started.shift() as DiskTask, reply.result);
    });
    thread.on("error", (error) =>
      this.#logger.error(
        { err: error },
        `The thread "${this.#threadName}" failed; its chunks are not kept, a new one is started`,
      ),
    );
    thread.on("exit", () => {
      this.#thread = undefined;
      this.#onThreadCrash();
      for (const task of this.#started.splice(0)) this.#finish(task, { outcome: "crashed" });
    });
    return thread;
  }

  #finish(task: DiskTask, result: TaskResult): void {
    this.#startedBytes -= task.bytes;
    if (this.#alone === task) this.#alone = undefined;
    task.settle(result);
    this.#startNext();
  }
}
