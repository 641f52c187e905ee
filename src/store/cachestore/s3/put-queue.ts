/**
 * The queue in front of puts to the cachestore: a few run at once, so that they leave room for reads. Those that wait
 * hold the memory of their chunk and have no bound but the memory budget: when memory is short they are let go of, the
 * newest first, since a chunk that is not kept costs one fetch later and a request without memory costs an error now.
 */
import { assert } from "../../../base/assert.ts";
import { OrcaError } from "../../../base/orca-error.ts";

interface Waiter {
  readonly bytes: number;
  readonly start: () => void;
  readonly drop: (error: OrcaError) => void;
}

export class PutQueue {
  readonly stats = { dropped: 0 };
  readonly #runningMax: number;
  readonly #waiting: Waiter[] = [];
  #running = 0;
  #pendingBytes = 0;
  /** Dropped, and not yet given back by those who wait for it. */
  #settlingBytes = 0;
  #closed = false;
  #onIdle: (() => void) | undefined;

  constructor(runningMax: number) {
    assert(runningMax > 0, "a queue lets somebody through");
    this.#runningMax = runningMax;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Chunk bytes of puts that wait or run. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Runs `put` when its turn comes. @throws what it throws; OrcaError `overloaded` where it was let go of before its turn
   * or the queue is closed.
   */
  async run<Result>(bytes: number, put: () => Promise<Result>): Promise<Result> {
    if (this.#closed) throw dropped("Orca is stopping");
    this.#pendingBytes += bytes;
    try {
      if (this.#running < this.#runningMax) this.#running += 1;
      else await this.#turn(bytes);
    } catch (thrown) {
      this.#pendingBytes -= bytes;
      throw thrown;
    }
    try {
      return await put();
    } finally {
      this.#pendingBytes -= bytes;
      this.#passOn();
    }
  }

  /** Lets go of puts that wait, the newest first, until `bytesWanted` are free. */
  dropQueued(bytesWanted: number): void {
    const missingBytes = bytesWanted - this.#settlingBytes;
    let droppedBytes = 0;
    while (droppedBytes < missingBytes) {
      const newest = this.#waiting.pop();
      if (newest === undefined) break;
      droppedBytes += newest.bytes;
      this.#drop(newest, "memory is needed");
    }
    if (droppedBytes === 0) return;
    // Their memory comes back when whoever waits for them runs, which is after this call.
    this.#settlingBytes += droppedBytes;
    setImmediate(() => {
      this.#settlingBytes -= droppedBytes;
    });
  }

  /** Takes no more puts; resolves when there are none left. */
  async drain(): Promise<void> {
    this.#closed = true;
    if (this.#running === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onIdle = resolve;
    await promise;
  }

  /** Lets go of all that wait. */
  clear(): void {
    for (const waiter of this.#waiting.splice(0)) this.#drop(waiter, "Orca is stopping");
  }

  #turn(bytes: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ bytes, start: resolve, drop: reject });
    return promise;
  }

  /** The place of one that has ended goes to the one that has waited longest. */
  #passOn(): void {
    const next = this.#waiting.shift();
    if (next) return next.start();
    this.#running -= 1;
    if (this.#running === 0) this.#onIdle?.();
  }

  #drop(waiter: Waiter, reason: string): void {
    this.stats.dropped += 1;
    waiter.drop(dropped(reason));
  }
}

function dropped(reason: string): OrcaError {
  return new OrcaError("overloaded", "cachestore", `Cannot keep a chunk in the cachestore: ${reason}`);
}
