/**
 * The threads that read blocks from disk. To read a block and to sum it takes 0.1 to 0.4 ms. A message to a thread and back
 * takes 0.01 ms, of which the event loop pays half: no more than a read by Node's own threads, which cannot sum. So the
 * event loop only compares sums, which also cost less where the read has just put the bytes into the processor's cache.
 *
 * Invariants:
 * 1. There are at most threadsMax threads. One is started when a read finds none; that read does not wait for it.
 * 2. A thread has one read at a time. `done` is called once for it, when no thread writes into its target any more.
 */
import type { Worker } from "node:worker_threads";
import type { Clock } from "../../../base/clock.ts";
import { LogPace } from "../../../base/log-pace.ts";
import type { Logger } from "../../../base/logger.ts";
import type { SummedRead } from "../../chunk-file/block-sums.ts";
import type { FileCallback } from "../../chunk-file/disk-file.ts";
import { ThreadStarter } from "../../thread-starter.ts";
import { type BlockRead, type BlockReadJob, type BlockReadReply, summedRead } from "./block-read.ts";
import type { SmallFileJob, SmallFileReply } from "./small-file.ts";

export interface BlockThreadsOptions {
  readonly threadsMax: number;
  /** Of tags; see BlockTags. */
  readonly key: Uint8Array;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onThreadCrash: () => void;
  /** The module that the threads run; for tests. */
  readonly threadModule?: URL | undefined;
}

interface ReadThread {
  readonly worker: Worker;
  readonly exited: Promise<void>;
  isOnline: boolean;
  /** Of the job that runs: gets its answer, or undefined where the thread has died. */
  finish: ((reply: BlockReadReply | SmallFileReply | undefined) => void) | undefined;
}

const nothing: SummedRead = { bytesRead: 0, sums: undefined };

export class BlockThreads {
  readonly #options: BlockThreadsOptions;
  readonly #pace: LogPace;
  readonly #starter: ThreadStarter;
  readonly #threads = new Set<ReadThread>();
  /** The one that was used last at the end: it is the first to be used again, and its memory is the warmest. */
  readonly #idle: ReadThread[] = [];
  #stopped = false;

  constructor(options: BlockThreadsOptions) {
    this.#options = options;
    this.#pace = new LogPace(options.clock);
    const message = "Cannot start a thread that reads the disk; the disk is read without it, more slowly";
    this.#starter = new ThreadStarter(options.clock, options.logger, message);
  }

  get count(): number {
    return this.#threads.size;
  }

  /** Threads that wait for a read. */
  get idle(): number {
    return this.#idle.length;
  }

  /**
   * False, and nothing happens, where no thread waits for a read. `done` gets the code of the system's error, or EAGAIN,
   * which says nothing about the file, if the thread dies.
   */
  tryRead({ fd, target, position, kind }: BlockRead, done: FileCallback<SummedRead>): boolean {
    const thread = this.#takeIdle();
    if (thread === undefined) return false;
    const job: BlockReadJob = [fd, target, position, kind];
    this.#run(thread, job, (answer) => {
      // A thread answers each job in the form of that job.
      const reply = answer as BlockReadReply | undefined;
      if (reply === undefined) done(failed("EAGAIN"), nothing);
      else if (typeof reply === "object" && "code" in reply) done(failed(reply.code), nothing);
      else done(null, summedRead(reply, target.length));
    });
    return true;
  }

  /** As {@link tryRead}, for a whole file that the thread checks (small-file.ts). `done` gets its fault, or its SHA-256. */
  tryReadSmall(job: SmallFileJob, done: (reply: SmallFileReply) => void): boolean {
    const thread = this.#takeIdle();
    if (thread === undefined) return false;
    const died: SmallFileReply = { kind: "error", reason: "EAGAIN" };
    this.#run(thread, job, (reply) => done((reply as SmallFileReply | undefined) ?? died));
    return true;
  }

  #takeIdle(): ReadThread | undefined {
    const thread = this.#idle.pop();
    if (thread === undefined) this.#startOne();
    return thread;
  }

  #run(
    thread: ReadThread,
    job: BlockReadJob | SmallFileJob,
    finish: NonNullable<ReadThread["finish"]>,
  ): void {
    thread.finish = finish;
    thread.worker.postMessage(job);
  }

  /** Ends the threads, each when its read has returned. Resolves when the last one has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#idle.length = 0;
    for (const { finish, worker } of this.#threads) if (!finish) void worker.terminate();
    await Promise.all([...this.#threads].map(({ exited }) => exited));
  }

  #startOne(): void {
    const isStarting = [...this.#threads].some(({ isOnline }) => !isOnline);
    if (this.#stopped || isStarting || this.#threads.size >= this.#options.threadsMax) return;
    const { key, threadModule = new URL("./block-read-thread.ts", import.meta.url) } = this.#options;
    const worker = this.#starter.start(threadModule, {
      name: "orca-disk-read",
      // Blocks are in shared memory, and no budget counts the heap of a thread. So it is smaller than by default.
      resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 },
      workerData: key,
      // The event loop opens and closes the files.
      trackUnmanagedFds: false,
    });
    if (worker) this.#watch(worker);
  }

  #watch(worker: Worker): void {
    const exit = Promise.withResolvers<void>();
    const thread: ReadThread = {
      worker,
      exited: exit.promise,
      isOnline: false,
      finish: undefined,
    };
    this.#threads.add(thread);
    worker.on("online", () => {
      thread.isOnline = true;
      if (!this.#stopped) this.#idle.push(thread);
    });
    worker.on("message", (reply: BlockReadReply | SmallFileReply) => this.#finish(thread, reply));
    worker.on("error", (error) => {
      const suppressed = this.#pace.take("crash");
      const message = "A thread that reads the disk failed; its read is a miss, and Orca starts a new thread";
      if (suppressed) this.#options.logger.error({ err: error, ...suppressed }, message);
    });
    worker.on("exit", () => {
      this.#threads.delete(thread);
      const at = this.#idle.indexOf(thread);
      if (at >= 0) this.#idle.splice(at, 1);
      if (!this.#stopped) this.#options.onThreadCrash();
      exit.resolve();
      const { finish } = thread;
      thread.finish = undefined;
      finish?.(undefined);
    });
  }

  #finish(thread: ReadThread, reply: BlockReadReply | SmallFileReply): void {
    const { finish } = thread;
    thread.finish = undefined;
    if (this.#stopped) void thread.worker.terminate();
    else this.#idle.push(thread);
    finish?.(reply);
  }
}

function failed(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`the read answered ${code}`), { code });
}
