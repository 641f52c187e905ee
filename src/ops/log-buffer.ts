/**
 * Buffers log lines for an output that may be slow, full or broken. A part that logs never waits and never fails. pino's
 * own destination (sonic-boom) does not suffice: it waits for a full pipe, or loses a thread to it; it does not write
 * again once its buffer is full; and it does not write to the log how many lines are missing.
 *
 * Invariants:
 * 1. Lines leave in the order in which they came, whole, and one write at a time.
 * 2. A line that the buffer took is not dropped. It holds at most bufferBytesMax and bufferLinesMax; what comes on top is
 *    dropped and counted.
 * 3. After one line was dropped, all are, until the buffer is empty. So what is missing is missing in one place, and the
 *    line that tells how much stands there.
 *    A spare line (the access log) is dropped earlier, and stands nowhere: a counter tells of it.
 * 4. An error of the output drops nothing. The same bytes are tried again, at the latest after retryDelayMsMax.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { KiB, MiB } from "../base/units.ts";
import type { LogOutput } from "./log-output.ts";

/** Seconds of the busiest log, and little beside the memory of a replica. */
export const bufferBytesMax = 4 * MiB;
export const bufferLinesMax = 16_384;

/** Bytes of one write, unless a line is longer. A pipe of Linux holds as much. */
const writeBytesMax = 64 * KiB;

/** From the first retry to the last. A reader that is only slow takes on after a few milliseconds. */
const retryDelayMsMin = 5;
const retryDelayMsMax = 1000;

/** How long one line may hold up a process that ends. */
const writeNowMs = 500;

/** Enough for a thread that has begun to write to a file, unless the file system hangs. */
const threadEndMs = 50;

const noBytes = Buffer.alloc(0);

export interface LogBufferOptions {
  readonly output: LogOutput;
  readonly clock: Clock;
  /** Called where `lines` are missing. `reason` is the code of an error, or empty if the output was slow. It may write. */
  readonly onGap: (lines: number, reason: string) => void;
}

export class LogBuffer {
  readonly stats = { linesDropped: 0, spareLinesDropped: 0 };
  readonly #options: LogBufferOptions;
  readonly #lines: string[] = [];
  /** What the output is to write, or writes; the head of `#lines` until then. */
  #batch: Buffer = noBytes;
  #batchLines = 0;
  #bytes = 0;
  /** Lines dropped since the last notice of a gap, and the error at the first of them. */
  #missing = 0;
  #gapReason = "";
  #lastError = "";
  #synchronous = false;
  #isWriting = false;
  #pumping = false;
  #retry: Timer | undefined;
  #retryDelayMs = retryDelayMsMin;
  #onEmpty: (() => void) | undefined;

  constructor(options: LogBufferOptions) {
    this.#options = options;
  }

  /** Lines that are not written yet. */
  get pendingLines(): number {
    return this.#lines.length + this.#batchLines;
  }

  /** The code of the last error, such as ENOSPC; empty after a write that succeeded. */
  get lastError(): string {
    return this.#lastError;
  }

  /** `line` ends with its line end. */
  write(line: string): void {
    const lengthBytes = Buffer.byteLength(line);
    const isFull = this.pendingLines >= bufferLinesMax || this.#bytes + lengthBytes > bufferBytesMax;
    if (isFull || this.#missing > 0) {
      if (this.#missing === 0) this.#gapReason = this.#lastError;
      this.#missing += 1;
      this.stats.linesDropped += 1;
      // A line longer than the whole buffer: nothing else is on its way.
      if (this.pendingLines === 0) this.#tellGap();
      return;
    }
    this.#push(line, lengthBytes);
  }

  /**
   * Writes a line that gives way to others. Where half of the buffer is full it is dropped and counted apart, so that it never
   * takes the room of an event that a person waits for.
   */
  writeSpare(line: string): void {
    const lengthBytes = Buffer.byteLength(line);
    const isHalfFull =
      this.pendingLines >= bufferLinesMax / 2 || this.#bytes + lengthBytes > bufferBytesMax / 2;
    if (isHalfFull || this.#missing > 0) this.stats.spareLinesDropped += 1;
    else this.#push(line, lengthBytes);
  }

  /** Resolves when all is written, or after `timeoutMs`: then with false. */
  async flush(timeoutMs: number): Promise<boolean> {
    if (this.pendingLines === 0) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#onEmpty = () => resolve(true);
    const timer = this.#options.clock.timer(timeoutMs, () => resolve(false));
    const flushed = await promise;
    timer.cancel();
    this.#onEmpty = undefined;
    return flushed;
  }

  /** Tries no more. */
  close(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
  }

  /**
   * For a process that is about to end: writes what there is, and from now on each line before {@link write} returns, as
   * far as the output takes it. {@link pendingLines} says whether that was all. What a thread writes at this moment is left
   * to it.
   */
  writeThrough(): void {
    this.close();
    this.#synchronous = true;
    if (this.#isWriting) {
      pause(threadEndMs);
      this.#batch = noBytes;
    }
    this.#pumpNow();
  }

  #push(line: string, lengthBytes: number): void {
    this.#lines.push(line);
    this.#bytes += lengthBytes;
    this.#pump();
  }

  #pump(): void {
    if (this.#synchronous) {
      this.#pumpNow();
      return;
    }
    // An output may be done before its write returns. The loop goes on then, and this method is not entered twice.
    if (this.#pumping) return;
    this.#pumping = true;
    while (!this.#isWriting && this.#retry === undefined) {
      if (this.#batch.length === 0) this.#takeBatch();
      if (this.#batch.length === 0) break;
      this.#isWriting = true;
      this.#options.output.write(this.#batch, (error, writtenBytes) => this.#finish(error, writtenBytes));
    }
    this.#pumping = false;
  }

  #pumpNow(): void {
    const { clock, output } = this.#options;
    const startedMs = clock.monotonic();
    for (;;) {
      if (this.#batch.length === 0) this.#takeBatch();
      if (this.#batch.length === 0) return;
      try {
        this.#advance(output.writeNow(this.#batch));
      } catch (error) {
        this.#lastError = codeOf(error);
        if (clock.monotonic() - startedMs > writeNowMs || !isBusy(error)) return;
        pause(retryDelayMsMin);
      }
    }
  }

  #takeBatch(): void {
    let count = 0;
    // A character takes one byte or more. Whole lines only, so that lines of several writers to one pipe do not mix.
    for (let length = 0; count < this.#lines.length; count += 1) {
      length += this.#lines[count]?.length ?? 0;
      if (count > 0 && length > writeBytesMax) break;
    }
    this.#batch = Buffer.from(this.#lines.splice(0, count).join(""));
    this.#batchLines = count;
  }

  #finish(error: NodeJS.ErrnoException | null, writtenBytes: number): void {
    this.#isWriting = false;
    // A device that takes nothing and says nothing is full.
    if (error || writtenBytes === 0) this.#retryLater(error ? codeOf(error) : "EAGAIN");
    else {
      this.#lastError = "";
      this.#retryDelayMs = retryDelayMsMin;
      this.#advance(writtenBytes);
    }
    this.#pump();
  }

  #advance(writtenBytes: number): void {
    this.#batch = this.#batch.subarray(writtenBytes);
    this.#bytes -= writtenBytes;
    if (this.#batch.length > 0) return;
    this.#batchLines = 0;
    if (this.#lines.length > 0) return;
    this.#bytes = 0;
    this.#tellGap();
    if (this.pendingLines === 0) this.#onEmpty?.();
  }

  #tellGap(): void {
    const lines = this.#missing;
    if (lines === 0) return;
    this.#missing = 0;
    this.#options.onGap(lines, this.#gapReason);
  }

  #retryLater(code: string): void {
    this.#lastError = code;
    this.#retry = this.#options.clock.timer(this.#retryDelayMs, () => {
      this.#retry = undefined;
      this.#pump();
    });
    this.#retryDelayMs = Math.min(2 * this.#retryDelayMs, retryDelayMsMax);
  }
}

function codeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}

/** The output may take more in a moment. */
function isBusy(error: unknown): boolean {
  return ["EAGAIN", "EINTR", "EBUSY"].includes(codeOf(error));
}

/** Holds up the whole thread. */
function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
