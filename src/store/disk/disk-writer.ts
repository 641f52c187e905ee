/**
 * The queue of the disk's thread. Waiting commits hold the memory of their chunks, and only the memory budget bounds
 * them. When memory is short, commits that have not started are dropped, the newest first: a chunk that is not stored
 * costs one fetch later, but a request without memory costs an error now.
 *
 * Invariants:
 * 1. Jobs are answered in the order in which they were started; #started has that order.
 * 2. After a job that unlinks or scans, no job is started until it is answered: the bytes that it frees are reserved
 *    only after they are known to be free.
 * 3. Every task is settled exactly once, even if the thread dies.
 */

import { Worker, type WorkerOptions } from "node:worker_threads";
import type { Clock } from "../../base/clock.ts";
import { Linked, LinkedList } from "../../base/linked-list.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import { MiB } from "../../base/units.ts";
import { ThreadStarter } from "../thread-starter.ts";
import {
  type DiskJob,
  type DiskJobReply,
  type DiskJobResult,
  runsAlone,
  type ScanBatch,
} from "./disk-job.ts";
import { HangWatch, type HangWatchOptions } from "./hang-watch.ts";

/** `dropped`: never started. `crashed`: the thread ended while the job ran, or a task that is never dropped had none. */
export type TaskResult = DiskJobResult | { readonly outcome: "dropped" } | { readonly outcome: "crashed" };

export interface DiskTask {
  /** Chunk bytes that stay in memory until the task is settled. Zero: not a commit, and never dropped. */
  readonly bytes: number;
  /** Makes the job when its turn comes. Undefined: there is nothing to do any more, and the task has settled itself. */
  start(): DiskJob | undefined;
  settle(result: TaskResult): void;
  onBatch?(batch: ScanBatch): void;
  /**
   * The thread hangs in this task or in one before it, and nobody should wait for it. It is settled later all the same.
   * May be called more than once.
   */
  giveUp?(): void;
}

class Waiting extends Linked {
  readonly task: DiskTask;

  constructor(task: DiskTask) {
    super();
    this.task = task;
  }
}

/**
 * Large enough that the thread finds its next job without a turn of the event loop. Small enough that most commits can
 * still be dropped, and that on a small disk the reservations of started commits leave room for each other.
 */
const startedBytesMax = 16 * MiB;
const startedMaxDefault = 4;

export interface DiskWriterOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onThreadCrash: () => void;
  /** The name of the thread, for logs and for top(1). */
  readonly threadName?: string;
  /** The number of tasks that may be started at once. */
  readonly startedMax?: number;
  /** The module that the thread runs; for tests. */
  readonly threadModule?: URL | undefined;
  /** Watches for a call of the file system that does not return. Left out where the tasks have deadlines of their own. */
  readonly watch?: HangWatchOptions;
}

export class DiskWriter {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pace: LogPace;
  readonly #onThreadCrash: () => void;
  readonly #threadName: string;
  readonly #startedMax: number;
  readonly #threadModule: URL;
  readonly #waiting = new LinkedList<Waiting>();
  readonly #started: DiskTask[] = [];
  readonly #starter: ThreadStarter;
  #thread: Worker | undefined;
  #hadThread = false;
  #waitingBytes = 0;
  #startedBytes = 0;
  #settlingBytes = 0;
  /** The started task that invariant 2 is about, if there is one. */
  #alone: DiskTask | undefined;
  #onIdle: (() => void) | undefined;
  readonly #hangWatch: HangWatch | undefined;
  #isClosing = false;

  constructor(options: DiskWriterOptions) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#pace = new LogPace(options.clock);
    this.#onThreadCrash = options.onThreadCrash;
    this.#threadName = options.threadName ?? "orca-disk";
    const message = `Cannot start the thread "${this.#threadName}"; chunks are not stored until it starts`;
    this.#starter = new ThreadStarter(options.clock, options.logger, message);
    this.#startedMax = options.startedMax ?? startedMaxDefault;
    this.#threadModule = options.threadModule ?? new URL("./disk-writer-thread.ts", import.meta.url);
    this.#hangWatch = options.watch && new HangWatch(options.clock, options.watch, () => this.#giveUp());
  }

  /** The thread hangs in a call of the file system. */
  get hangs(): boolean {
    return this.#hangWatch?.hangs ?? false;
  }

  /** Chunk bytes that unsettled tasks hold. */
  get pendingBytes(): number {
    return this.#waitingBytes + this.#startedBytes;
  }

  /** Whether {@link close} was called. A part that adds one task after the other stops then. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Adds `task` at the end of the queue, or before all waiting tasks. While the thread hangs, it drops commits at once. */
  enqueue(task: DiskTask, place: "last" | "first" = "last"): void {
    if (this.hangs && task.bytes > 0) return task.settle({ outcome: "dropped" });
    if (place === "last") this.#waiting.push(new Waiting(task));
    else this.#waiting.unshift(new Waiting(task));
    this.#waitingBytes += task.bytes;
    this.#startNext();
    if (this.hangs) task.giveUp?.();
  }

  /**
   * Drops commits that have not started, the newest first, until `bytesWanted` are released. Their callers release the
   * memory after this call. Until then, the dropped bytes count for later calls.
   */
  dropQueued(bytesWanted: number): void {
    const missingBytes = bytesWanted - this.#settlingBytes;
    let droppedBytes = 0;
    let older: Waiting | undefined;
    for (let waiting = this.#waiting.newest; waiting && droppedBytes < missingBytes; waiting = older) {
      older = waiting.older as Waiting | undefined;
      const { task } = waiting;
      if (task.bytes === 0) continue;
      this.#waiting.remove(waiting);
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
   * Waits for all tasks, at most `deadlineMs`, and ends the thread. The remaining tasks are settled as dropped. The
   * file that the thread was writing stays in the staging directory, and the next start sweeps it.
   */
  async close(deadlineMs: number): Promise<void> {
    this.#isClosing = true;
    if (deadlineMs > 0 && !this.hangs && (this.#started.length > 0 || this.#waiting.size > 0)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = this.#clock.timer(deadlineMs, resolve);
      this.#onIdle = resolve;
      await promise;
      timer.cancel();
    }
    const left = this.hangs ? [] : this.#started.splice(0);
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) left.push(next.task);
    this.#waitingBytes = 0;
    this.#startedBytes = 0;
    this.#hangWatch?.stop();
    const thread = this.#thread;
    this.#thread = undefined;
    thread?.removeAllListeners("message").removeAllListeners("exit");
    const ended = thread?.terminate();
    // A thread that hangs ends when its call returns, and runs no more code then. Its tasks keep their memory.
    if (!this.hangs) await ended;
    // Not earlier: until the thread has ended, it may read the memory of these chunks.
    for (const task of left) task.settle({ outcome: "dropped" });
  }

  /** Ends the wait of {@link close}: what it waits for hangs. */
  stopWaiting(): void {
    this.#onIdle?.();
  }

  #startNext(): void {
    while (this.#waiting.size > 0 && this.#alone === undefined) {
      if (this.#started.length >= this.#startedMax || this.#startedBytes >= startedBytesMax) return;
      const { task } = this.#waiting.shift() as Waiting;
      this.#waitingBytes -= task.bytes;
      // Before the task begins: it then has reserved nothing, and evicts nothing.
      const thread = (this.#thread ??= this.#startThread());
      if (thread === undefined) {
        task.settle({ outcome: task.bytes > 0 ? "dropped" : "crashed" });
        continue;
      }
      const job = task.start();
      if (job === undefined) continue;
      this.#started.push(task);
      this.#startedBytes += task.bytes;
      if (runsAlone(job)) this.#alone = task;
      thread.postMessage(job);
      this.#hangWatch?.begin();
    }
    if (this.#started.length === 0 && this.#waiting.size === 0) this.#onIdle?.();
  }

  /** Their callers continue without them. Tasks that have not started are dropped. */
  #giveUp(): void {
    for (const task of this.#started) task.giveUp?.();
    this.dropQueued(Number.POSITIVE_INFINITY);
    for (const { task } of this.#waiting) task.giveUp?.();
    this.stopWaiting();
  }

  /** Undefined where the system has no thread left. @throws at the first one, which belongs to the start of the store. */
  #startThread(): Worker | undefined {
    const options: WorkerOptions = {
      name: this.#threadName,
      // Chunk bytes are in shared memory, so the thread needs no young generation of the default size.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
      workerData: this.#hangWatch?.pulse ?? new Int32Array(new SharedArrayBuffer(4)),
    };
    const thread = this.#hadThread
      ? this.#starter.start(this.#threadModule, options)
      : new Worker(this.#threadModule, options);
    if (thread === undefined) return undefined;
    this.#hadThread = true;
    thread.on("message", (reply: DiskJobReply) => {
      this.#hangWatch?.moved();
      if ("batch" in reply) this.#started[0]?.onBatch?.(reply.batch);
      else this.#finish(this.#started.shift() as DiskTask, reply.result);
    });
    thread.on("error", (error) => {
      const suppressed = this.#pace.take("crash");
      const message = `The thread "${this.#threadName}" failed; its chunks are not stored, and Orca starts a new thread`;
      if (suppressed) this.#logger.error({ err: error, ...suppressed }, message);
    });
    thread.on("exit", () => {
      this.#thread = undefined;
      this.#hangWatch?.moved();
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
    if (this.#started.length === 0) this.#hangWatch?.end();
  }
}
