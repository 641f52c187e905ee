/** How many connections, requests, and requests that wait for their turn on a connection, all threads of the edge have together: their limits are those of the process. */
import { sharedWords } from "../../store/eviction/shared-columns.ts";

const connectionsAt = 0;
const requestsAt = 1;
const waitingAt = 2;

export class ProcessLimits {
  readonly words: Int32Array<SharedArrayBuffer>;

  /** `words`: those of the engine's, in another thread. */
  constructor(words = sharedWords(3)) {
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

  /** Requests that wait for the answers before them on their connections. */
  get waiting(): number {
    return Atomics.load(this.words, waitingAt);
  }

  addWaiting(count: number): void {
    Atomics.add(this.words, waitingAt, count);
  }

  endRequest(): void {
    Atomics.sub(this.words, requestsAt, 1);
  }
}
