/** How many connections and requests all threads of the edge have together: their limits are those of the process. */
import { sharedWords } from "../../store/eviction/shared-columns.ts";

const connectionsAt = 0;
const requestsAt = 1;

export class ProcessLimits {
  readonly words: Int32Array<SharedArrayBuffer>;

  /** `words`: those of the engine's, in another thread. */
  constructor(words = sharedWords(2)) {
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
}
