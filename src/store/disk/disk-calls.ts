/**
 * The file system calls of the disk tier's reads, each with a deadline. The kernel cannot cancel a call, so a late one
 * goes on: its caller gets ETIMEDOUT, and the tier sets the disk aside until every late call has returned.
 *
 * Blocks and small files are read by threads of their own (block-threads.ts) where there is more than one core. Node makes
 * all other calls in the four threads of its pool, which look-ups of names need, too. So at most callsMax run at once, and
 * none begins while one is late. A disk that hangs thus leaves a thread to the rest of the process.
 *
 * Invariants:
 * 1. `done` is called once: with the result, or with ETIMEDOUT at the deadline or because another call is late.
 * 2. A late read may still write into its target. Its caller keeps that memory until {@link DiskCalls.whenReturned}.
 * 3. A descriptor that is opened too late is closed. A close waits for its turn and never fails.
 * 4. One timer runs while calls run, and not one for each call.
 */
import nodeFileSystem from "node:fs";
import { availableParallelism } from "node:os";
import type { Clock, Timer } from "../../base/clock.ts";
import { Linked, LinkedList } from "../../base/linked-list.ts";
import type { Logger } from "../../base/logger.ts";
import { BlockTags } from "../chunk-file/block-tags.ts";
import type { FileCallback, ReadFileSystem, SummingFileSystem } from "../chunk-file/disk-file.ts";
import { BlockThreads } from "./reads/block-threads.ts";
import { type SmallFileJob, type SmallFileReply, smallFileBytesMax } from "./reads/small-file.ts";

const callsMax = 3;

/** The CRC-32 of a shorter block costs less than a message to a thread. */
const threadBytesMin = 16 * 1024;

class Call extends Linked {
  readonly begin: (call: Call) => void;
  /** Undefined for a close, which no caller waits for. */
  readonly expire: (() => void) | undefined;
  /** Where a read puts its bytes. */
  readonly target: Buffer | undefined;
  startedMs = 0;
  isLate = false;
  onReturned: (() => void) | undefined;

  constructor(begin: (call: Call) => void, expire?: () => void, target?: Buffer) {
    super();
    this.begin = begin;
    this.expire = expire;
    this.target = target;
  }
}

export interface DiskCallsOptions {
  /** Another file system than Node's, which also reads the blocks; for tests. */
  readonly fileSystem?: ReadFileSystem | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onThreadCrash: () => void;
  /** The module that the threads run which read blocks; for tests. */
  readonly readThreadModule?: URL | undefined;
  /** Other threads need this event loop for all that they cannot do themselves. */
  readonly sparesEventLoop?: boolean | undefined;
  /** For a call, from the moment when the kernel gets it. */
  readonly deadlineMs: number;
  /** A call is late, and none was before. */
  readonly onLate: () => void;
  /** No call is late any more. */
  readonly onReturned: () => void;
}

export class DiskCalls implements SummingFileSystem {
  /** Of the blocks that are read by these calls. */
  readonly tags = new BlockTags();
  readonly #options: DiskCallsOptions;
  readonly #fileSystem: ReadFileSystem;
  readonly #threads: BlockThreads | undefined;
  /** Calls in the kernel whose deadline has not passed, in the order of their starts. */
  readonly #running = new LinkedList<Call>();
  /** Calls in the kernel whose deadline has passed. At most callsMax. */
  readonly #late = new Set<Call>();
  /** Bounded by the readers, each of which has memory for its read, and by the open files. */
  readonly #waiting = new LinkedList<Call>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: DiskCallsOptions) {
    this.#options = options;
    this.#fileSystem = options.fileSystem ?? nodeFileSystem;
    const { clock, logger, onThreadCrash, readThreadModule: threadModule } = options;
    // One core is the event loop's. More threads than the others have cores only add messages and memory, unless many
    // threads wait for this event loop: then each block that it sums itself delays all of them.
    const cores = availableParallelism();
    const isSpared = threadModule !== undefined || (options.sparesEventLoop === true && cores > 1);
    const threadsMax = isSpared ? callsMax : Math.min(callsMax, cores - 1);
    if (options.fileSystem || threadsMax === 0) return;
    const { key } = this.tags;
    this.#threads = new BlockThreads({
      threadsMax,
      key,
      clock,
      logger,
      onThreadCrash,
      threadModule,
    });
  }

  get lateCalls(): number {
    return this.#late.size;
  }

  readonly open: ReadFileSystem["open"] = (path, flags, done) => {
    const begin = (call: Call): void =>
      this.#fileSystem.open(path, flags, (error, fd) => {
        if (this.#returned(call)) done(error, fd);
        else if (!error) this.close(fd, ignoreCloseError);
      });
    this.#make(new Call(begin, () => done(timedOut(), 0)));
  };

  readonly fstat: ReadFileSystem["fstat"] = (fd, done) => {
    const begin = (call: Call): void => this.#fileSystem.fstat(fd, this.#passOn(call, done));
    this.#make(new Call(begin, () => done(timedOut(), { size: 0 })));
  };

  readonly read: ReadFileSystem["read"] = (fd, target, targetOffset, lengthBytes, position, done) => {
    const begin = (call: Call): void =>
      this.#fileSystem.read(fd, target, targetOffset, lengthBytes, position, this.#passOn(call, done));
    this.#make(new Call(begin, () => done(timedOut(), 0), target));
  };

  readonly readBlock: NonNullable<SummingFileSystem["readBlock"]> = (fd, target, position, kind, done) => {
    // A thread must write into the caller's own memory.
    const isShared = target.buffer instanceof SharedArrayBuffer;
    const threads = isShared && target.length >= threadBytesMin ? this.#threads : undefined;
    const begin = (call: Call): void => {
      const returned = this.#passOn(call, done);
      if (threads?.tryRead({ fd, target, position, kind }, returned)) return;
      this.#fileSystem.read(fd, target, 0, target.length, position, (error, bytesRead) =>
        returned(error, { bytesRead, sums: undefined }),
      );
    };
    this.#make(new Call(begin, () => done(timedOut(), { bytesRead: 0, sums: undefined }), target));
  };

  /**
   * Reads a small file as a whole, in a thread. `done` gets undefined where no thread waits for it, so that
   * the caller must open the file.
   */
  readSmallFile(job: SmallFileJob, done: (reply: SmallFileReply | undefined) => void): void {
    const [, target] = job;
    const isShared = target.buffer instanceof SharedArrayBuffer;
    const threads = isShared ? this.#threads : undefined;
    if (threads === undefined || target.length > smallFileBytesMax) return done(undefined);
    const begin = (call: Call): void => {
      const returned = (reply: SmallFileReply | undefined): void => {
        if (this.#returned(call)) done(reply);
      };
      // Not at once: the next call that waits would begin inside this one, and thousands of them would fill the stack.
      if (!threads.tryReadSmall(job, returned)) queueMicrotask(() => returned(undefined));
    };
    this.#make(new Call(begin, () => done({ kind: "error", reason: "ETIMEDOUT" }), target));
  }

  readonly unlink: ReadFileSystem["unlink"] = (path, done) => {
    const begin = (call: Call): void =>
      this.#fileSystem.unlink(path, (error) => {
        if (this.#returned(call)) done(error);
      });
    this.#make(new Call(begin, () => done(timedOut())));
  };

  readonly close: ReadFileSystem["close"] = (fd, done) => {
    const begin = (call: Call): void =>
      this.#fileSystem.close(fd, (error) => {
        if (this.#returned(call)) done(error);
      });
    this.#make(new Call(begin));
  };

  /** Calls `done` when no late read writes into `target` any more: at once, or when that read returns. */
  whenReturned(target: Buffer, done: () => void): void {
    for (const call of this.#late) {
      if (call.target !== target) continue;
      call.onReturned = done;
      return;
    }
    done();
  }

  /**
   * Gives up all calls that have not returned. The end of the process closes what waits to be closed. Resolves when the
   * threads have ended; one that hangs ends when its call returns.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch();
    this.#expireStartedBefore(Number.POSITIVE_INFINITY);
    await this.#threads?.stop();
  }

  #passOn<Value>(call: Call, done: FileCallback<Value>): FileCallback<Value> {
    return (error, value) => {
      if (this.#returned(call)) done(error, value);
    };
  }

  #make(call: Call): void {
    if (this.#late.size > 0 && call.expire) return queueMicrotask(call.expire);
    this.#waiting.push(call);
    this.#startNext();
  }

  #startNext(): void {
    while (this.#late.size === 0 && this.#running.size < callsMax) {
      const call = this.#waiting.shift();
      if (!call) return;
      call.startedMs = this.#options.clock.monotonic();
      this.#running.push(call);
      this.#watch();
      call.begin(call);
    }
  }

  /** Whether the caller waits for the result. */
  #returned(call: Call): boolean {
    if (!call.isLate) {
      this.#running.remove(call);
      this.#startNext();
      if (this.#running.size === 0) this.#unwatch();
      return true;
    }
    this.#late.delete(call);
    call.onReturned?.();
    if (this.#late.size === 0 && !this.#stopped) this.#options.onReturned();
    this.#startNext();
    return false;
  }

  #watch(): void {
    const oldest = this.#running.oldest;
    if (this.#timer || this.#stopped || !oldest) return;
    const { clock, deadlineMs } = this.#options;
    const leftMs = Math.max(1, oldest.startedMs + deadlineMs - clock.monotonic());
    this.#timer = clock.timer(leftMs, () => {
      this.#timer = undefined;
      this.#expireStartedBefore(clock.monotonic() - deadlineMs);
      this.#watch();
    });
  }

  #unwatch(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #expireStartedBefore(timeMs: number): void {
    for (let call = this.#running.oldest; call && call.startedMs <= timeMs; call = this.#running.oldest) {
      this.#running.remove(call);
      call.isLate = true;
      this.#late.add(call);
      if (this.#late.size === 1 && !this.#stopped) this.#options.onLate();
      call.expire?.();
    }
    if (this.#late.size === 0) return;
    for (const call of this.#waiting) {
      if (!call.expire) continue;
      this.#waiting.remove(call);
      call.expire();
    }
  }
}

function timedOut(): NodeJS.ErrnoException {
  return Object.assign(new Error("the file system did not answer in time"), { code: "ETIMEDOUT" });
}

/** The file was only read, so an error of close(2) loses nothing. */
function ignoreCloseError(): void {}
