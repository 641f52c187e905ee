/**
 * What all threads of the edge have together, counted in words that they share, so that a limit is that of the process:
 * connections, requests, requests that wait for their turn on a connection, pinned slabs, listings, questions about
 * sub-resources, and lines of the log. Nothing is taken back from a thread that dies, because the process ends with it.
 */
import type { Clock } from "../../base/clock.ts";
import { sharedWords } from "../../store/eviction/shared-columns.ts";
import { ProcessLogPace, paceWords } from "./process-log-pace.ts";
import { ProcessSemaphore, semaphoreWords, tryTake } from "./process-semaphore.ts";

const connectionsAt = 0;
const requestsAt = 1;
const waitingAt = 2;
const slabsAt = 3;
const semaphoresAt = { listings: 4, subResources: 4 + semaphoreWords };
const paceAt = semaphoresAt.subResources + semaphoreWords;

export class ProcessLimits {
  readonly words: Int32Array<SharedArrayBuffer>;

  /** `words`: those of the engine's, in another thread. */
  constructor(words = sharedWords(paceAt + paceWords)) {
    this.words = words;
  }

  get requests(): number {
    return Atomics.load(this.words, requestsAt);
  }

  /** Returns how many connections there are with this one. */
  openConnection(): number {
    return Atomics.add(this.words, connectionsAt, 1) + 1;
  }

  closeConnection(): void {
    Atomics.sub(this.words, connectionsAt, 1);
  }

  beginRequest(): void {
    Atomics.add(this.words, requestsAt, 1);
  }

  endRequest(): void {
    Atomics.sub(this.words, requestsAt, 1);
  }

  /** Requests that wait for the answers before them on their connections. */
  get waiting(): number {
    return Atomics.load(this.words, waitingAt);
  }

  addWaiting(count: number): void {
    Atomics.add(this.words, waitingAt, count);
  }

  /** Whether one more slab may be pinned where `slabsMax` are at once. Not for the first one of a thread. */
  tryPinSlab(slabsMax: number): boolean {
    return tryTake(this.words, slabsAt, slabsMax);
  }

  unpinSlab(): void {
    Atomics.sub(this.words, slabsAt, 1);
  }

  /** The process's own in place of a {@link Semaphore}. All threads give the same numbers. */
  semaphore(
    of: keyof typeof semaphoresAt,
    name: string,
    permitsMax: number,
    clock: Clock,
    queueMax: number,
  ): ProcessSemaphore {
    const words = this.words.subarray(semaphoresAt[of], semaphoresAt[of] + semaphoreWords);
    return new ProcessSemaphore(name, permitsMax, clock, queueMax, words);
  }

  /** The process's own in place of a {@link LogPace}. */
  logPace(clock: Clock, linesMax: number): ProcessLogPace {
    return new ProcessLogPace(clock, linesMax, this.words.subarray(paceAt));
  }
}
