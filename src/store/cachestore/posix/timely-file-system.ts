/**
 * The calls of the read path on a file system that may hang, as NFS does when its server is unreachable. Every call
 * ends by a deadline, with ETIMEDOUT. The kernel cannot cancel a call, so a thread must hang in it until it returns.
 * This class has a few threads of its own for that. Node has only four for the whole process: if these hung with the
 * mount, then the disk tier, name look-ups and everything else that needs them would hang, too.
 *
 * Invariants:
 * 1. At most threadsMax of these calls are in the kernel. A thread whose call is late is used again when that call
 *    returns. When all threads are late, calls fail at once.
 * 2. `done` is called once, and never before the call has returned to its caller.
 * 3. A caller's buffer is written just before `done`, and never later: a thread reads into its own scratch memory of 1
 *    MiB, and bytes that arrive in time are copied from there. The price is this copy, 0.08 ms a MiB on the event loop,
 *    where the checksum takes 0.2 ms, and the heap of a thread for every call that may run at once.
 * 4. A descriptor that is opened too late is closed. Closing has no deadline, because no caller waits for it.
 */

import type { Worker } from "node:worker_threads";
import { assert } from "../../../base/assert.ts";
import type { Clock, Timer } from "../../../base/clock.ts";
import { Linked, LinkedList } from "../../../base/linked-list.ts";
import { LogPace } from "../../../base/log-pace.ts";
import type { Logger } from "../../../base/logger.ts";
import { blockSizeBytes } from "../../chunk-file/chunk-file.ts";
import type { ReadFileSystem } from "../../chunk-file/disk-file.ts";
import { ThreadStarter } from "../../thread-starter.ts";
import type { FileCall, FileCallReply } from "./file-calls.ts";

type SystemError = NodeJS.ErrnoException;

class PendingCall extends Linked {
  readonly call: FileCall;
  readonly settle: (reply: FileCallReply, scratch: Buffer) => void;
  timer: Timer | undefined;
  /** The deadline has passed, and no caller waits. The result is discarded. */
  late = false;

  constructor(call: FileCall, settle: PendingCall["settle"]) {
    super();
    this.call = call;
    this.settle = settle;
  }
}

interface FileThread {
  readonly worker: Worker;
  readonly scratch: Buffer;
  running: PendingCall | undefined;
}

export interface TimelyFileSystemOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** For a call, from the moment when it is made. Waiting for a thread counts. */
  readonly deadlineMs: number;
  readonly threadsMax: number;
  /** The module that the threads run; for tests. */
  readonly threadModule?: URL | undefined;
}

const timedOut: FileCallReply = { code: "ETIMEDOUT" };
const noBytes = Buffer.alloc(0);

export class TimelyFileSystem implements ReadFileSystem {
  readonly stats = { timedOut: 0, threadCrashes: 0 };
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pace: LogPace;
  readonly #deadlineMs: number;
  readonly #threadsMax: number;
  readonly #threadModule: URL;
  readonly #starter: ThreadStarter;
  readonly #threads = new Set<FileThread>();
  /** Of a thread that could not be started. Each call tries again, and would else allocate a block. */
  #nextScratch: SharedArrayBuffer | undefined;
  /** In order of arrival. Bounded by the number of callers, each of which has memory for its read. */
  readonly #waiting = new LinkedList<PendingCall>();
  #stopped = false;
  #onIdle: (() => void) | undefined;

  constructor(options: TimelyFileSystemOptions) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#pace = new LogPace(options.clock);
    const message =
      "Cannot start a thread that reads the cachestore; calls wait for another one, at most for their deadline";
    this.#starter = new ThreadStarter(options.clock, options.logger, message);
    this.#deadlineMs = options.deadlineMs;
    this.#threadsMax = options.threadsMax;
    this.#threadModule = options.threadModule ?? new URL("./timely-file-thread.ts", import.meta.url);
  }

  /** Threads that hang in a call after its deadline. */
  get lateCalls(): number {
    let late = 0;
    for (const { running } of this.#threads) if (running?.late) late += 1;
    return late;
  }

  readonly open: ReadFileSystem["open"] = (path, _flags, done) =>
    this.#make({ kind: "open", path }, (reply) => finish(reply, done));

  readonly fstat: ReadFileSystem["fstat"] = (fd, done) =>
    this.#make({ kind: "fstat", fd }, (reply) => finish(reply, (error, size) => done(error, { size })));

  readonly read: ReadFileSystem["read"] = (fd, target, targetOffset, lengthBytes, position, done) => {
    assert(lengthBytes <= blockSizeBytes, "a read fits into scratch");
    this.#make({ kind: "read", fd, lengthBytes, position }, (reply, scratch) => {
      if ("value" in reply) scratch.copy(target, targetOffset, 0, reply.value);
      finish(reply, done);
    });
  };

  readonly close: ReadFileSystem["close"] = (fd, done) =>
    this.#make({ kind: "close", fd }, (reply) => finish(reply, done));

  readonly unlink: ReadFileSystem["unlink"] = (path, done) =>
    this.#make({ kind: "unlink", path }, (reply) => finish(reply, done));

  /**
   * Accepts no more calls, waits up to `deadlineMs` for the running ones, and ends the threads. A thread that still
   * hangs is abandoned, and keeps the process alive: Node's exit would wait for it, and main.ts ends the process without.
   */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopped = true;
    if (this.#isBusy()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = this.#clock.timer(deadlineMs, resolve);
      this.#onIdle = resolve;
      await promise;
      timer.cancel();
    }
    for (let pending = this.#waiting.oldest; pending; pending = this.#waiting.oldest) this.#expire(pending);
    const ending: Promise<unknown>[] = [];
    for (const { worker, running } of this.#threads) {
      if (running && !running.late) this.#expire(running);
      worker.removeAllListeners();
      const ended = worker.terminate();
      if (!running) ending.push(ended);
    }
    this.#threads.clear();
    await Promise.all(ending);
  }

  #make(call: FileCall, settle: PendingCall["settle"]): void {
    const pending = new PendingCall(call, settle);
    if (call.kind === "close" && this.#stopped && this.#threads.size === 0) {
      // The end of the process closes the descriptor. A thread that was started for it now would never be ended.
      queueMicrotask(() => settle({ value: 0 }, noBytes));
      return;
    }
    if (call.kind !== "close") {
      if (this.#stopped || this.#allLate()) {
        queueMicrotask(() => this.#expire(pending));
        return;
      }
      pending.timer = this.#clock.timer(this.#deadlineMs, () => this.#expire(pending));
    }
    this.#waiting.push(pending);
    this.#startNext();
  }

  #allLate(): boolean {
    return this.#threads.size >= this.#threadsMax && this.lateCalls === this.#threads.size;
  }

  #expire(pending: PendingCall): void {
    this.stats.timedOut += 1;
    pending.late = true;
    pending.timer?.cancel();
    if (pending.list !== undefined) this.#waiting.remove(pending);
    pending.settle(timedOut, noBytes);
  }

  #startNext(): void {
    while (this.#waiting.size > 0) {
      const thread = this.#idleThread();
      if (!thread) return;
      const pending = this.#waiting.shift() as PendingCall;
      thread.running = pending;
      thread.worker.postMessage(pending.call);
    }
    if (!this.#isBusy()) this.#onIdle?.();
  }

  #isBusy(): boolean {
    if (this.#waiting.size > 0) return true;
    for (const { running } of this.#threads) if (running && !running.late) return true;
    return false;
  }

  #idleThread(): FileThread | undefined {
    for (const thread of this.#threads) if (!thread.running) return thread;
    return this.#threads.size < this.#threadsMax ? this.#startThread() : undefined;
  }

  #startThread(): FileThread | undefined {
    const scratch = (this.#nextScratch ??= new SharedArrayBuffer(blockSizeBytes));
    const worker = this.#starter.start(this.#threadModule, {
      name: "orca-cachestore",
      // The thread needs little memory, and no budget counts its heap. So the heap is smaller than by default.
      resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 },
      workerData: scratch,
      // One thread opens a file, all read it and any closes it, so no thread owns a descriptor.
      trackUnmanagedFds: false,
    });
    if (worker === undefined) return undefined;
    this.#nextScratch = undefined;
    const thread: FileThread = { worker, scratch: Buffer.from(scratch), running: undefined };
    this.#threads.add(thread);
    worker.on("message", (reply: FileCallReply) => {
      this.#finish(thread, reply);
      this.#startNext();
    });
    worker.on("error", (error) => {
      const suppressed = this.#pace.take("crash");
      const message = "A thread that reads the cachestore failed; Orca starts a new one";
      if (suppressed) this.#logger.error({ err: error, ...suppressed }, message);
    });
    worker.on("exit", () => {
      this.stats.threadCrashes += 1;
      this.#threads.delete(thread);
      this.#finish(thread, { code: "EIO" });
      this.#startNext();
    });
    return thread;
  }

  #finish(thread: FileThread, reply: FileCallReply): void {
    const pending = thread.running;
    thread.running = undefined;
    if (!pending) return;
    pending.timer?.cancel();
    if (!pending.late) pending.settle(reply, thread.scratch);
    else if (pending.call.kind === "open" && "value" in reply) this.close(reply.value, ignoreCloseError);
  }
}

function finish(reply: FileCallReply, done: (error: SystemError | null, value: number) => void): void {
  if ("value" in reply) done(null, reply.value);
  else done(Object.assign(new Error(`the file system answered ${reply.code}`), { code: reply.code }), 0);
}

/** The file was only read, so an error of close(2) loses nothing. */
function ignoreCloseError(): void {}
