/**
 * A port between a thread of the edge and the engine. Messages of one turn of the event loop leave together: waking the
 * other thread costs more than the messages do.
 */
import type { MessagePort } from "node:worker_threads";

export class BatchedPort<Sent, Received> {
  readonly #port: MessagePort;
  #batch: Sent[] = [];

  /** `onBatchEnd` is called after the messages that came together. */
  constructor(port: MessagePort, onMessage: (message: Received) => void, onBatchEnd?: () => void) {
    this.#port = port;
    port.on("message", (batch: readonly Received[]) => {
      for (const message of batch) onMessage(message);
      onBatchEnd?.();
    });
  }

  send(message: Sent): void {
    if (this.#batch.push(message) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const batch = this.#batch;
    this.#batch = [];
    this.#port.postMessage(batch);
  }
}
