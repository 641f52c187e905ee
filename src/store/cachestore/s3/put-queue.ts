/**
 * The queue of puts to the cachestore. Only a few run at once, so that they leave capacity for reads. Waiting puts hold
 * the memory of their chunks, and only the memory budget bounds them. When memory is short they are dropped, the newest
 * first: a chunk that is not stored costs one fetch later, but a request without memory costs an error now.
 */
import { assert } from "../../../base/assert.ts";
import { Linked, LinkedList } from "../../../base/linked-list.ts";
import { OrcaError } from "../../../base/orca-error.ts";

class Waiter extends Linked {
  readonly bytes: number;
  readonly start: () => void;
  readonly drop: (error: OrcaError) => void;

  constructor(bytes: number, start: () => void, drop: (error: OrcaError) => void) {
    super();
    this.bytes = bytes;
    this.start = start;
    this.drop = drop;
  }
}

export class PutQueue {
  readonly stats = { dropped: 0 };
  readonly #runningMax: number;
  readonly #waiting = new LinkedList<Waiter>();
  #running = 0;
  #pendingBytes = 0;
  /** Bytes of dropped puts whose callers have not released the memory yet. */
  #settlingBytes = 0;
  #closed = false;
  #onIdle: (() => void) | undefined;

  constructor(runningMax: number) {
    assert(runningMax > 0, "a queue runs at least one put at a time");
    this.#runningMax = runningMax;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Chunk bytes of puts that wait or run. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Runs `put` when its turn comes. @throws the error of `put`; OrcaError `overloaded` if the put was dropped before
   * its turn or the queue is closed.
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
      this.#startNext();
    }
  }

  /** Drops waiting puts, the newest first, until `bytesWanted` are released. */
  dropQueued(bytesWanted: number): void {
    const missingBytes = bytesWanted - this.#settlingBytes;
    let droppedBytes = 0;
    while (droppedBytes < missingBytes) {
      const newest = this.#waiting.pop();
      if (newest === undefined) break;
      droppedBytes += newest.bytes;
      this.#drop(newest, "memory is short");
    }
    if (droppedBytes === 0) return;
    // Their callers release the memory after this call.
    this.#settlingBytes += droppedBytes;
    setImmediate(() => {
      this.#settlingBytes -= droppedBytes;
    });
  }

  /** Accepts no more puts. Resolves when the last one has ended. */
  async drain(): Promise<void> {
    this.#closed = true;
    if (this.#running === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onIdle = resolve;
    await promise;
  }

  /** Drops all waiting puts. */
  clear(): void {
    while (this.#waiting.size > 0) this.#drop(this.#waiting.shift() as Waiter, "Orca is stopping");
  }

  #turn(bytes: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push(new Waiter(bytes, resolve, reject));
    return promise;
  }

  /** Gives the place of a put that has ended to the put that has waited longest. */
  #startNext(): void {
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
  return new OrcaError("overloaded", "cachestore", `Cannot store a chunk in the cachestore: ${reason}`);
}
