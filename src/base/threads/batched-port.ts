/**
 * A port between the engine and another thread. Messages of one turn of the event loop leave together: waking the other
 * thread costs more than the messages do. A message that is not urgent waits for the next one that is, for a while.
 */
import type { MessagePort } from "node:worker_threads";
import type { Clock, Timer } from "../clock.ts";

/** How long a message waits for another one. */
export const lateMsMax = 10;

export class BatchedPort<Sent, Received> {
  readonly #port: MessagePort;
  readonly #clock: Clock;
  #batch: Sent[] = [];
  #isLeaving = false;
  /** Made with the first message that is not urgent. */
  #lateTimer: Timer | undefined;
  #isLateTimerSet = false;

  /** `onBatchEnd` is called after the messages that came together. */
  constructor(
    port: MessagePort,
    clock: Clock,
    onMessage: (message: Received) => void,
    onBatchEnd?: () => void,
  ) {
    this.#port = port;
    this.#clock = clock;
    port.on("message", (batch: readonly Received[]) => {
      for (const message of batch) onMessage(message);
      onBatchEnd?.();
    });
  }

  send(message: Sent): void {
    this.#batch.push(message);
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    setImmediate(this.#flush);
  }

  /** With the next message, or after {@link lateMsMax}. Messages keep their order. */
  sendLate(message: Sent): void {
    this.#batch.push(message);
    if (this.#isLeaving || this.#isLateTimerSet) return;
    this.#isLateTimerSet = true;
    if (this.#lateTimer) this.#lateTimer.refresh();
    else this.#lateTimer = this.#clock.timer(lateMsMax, () => this.#lateIsDue());
  }

  #lateIsDue(): void {
    // Unless a message is leaving in this turn, which takes them along.
    if (!this.#isLeaving) this.#flush();
  }

  readonly #flush = (): void => {
    this.#isLeaving = false;
    if (this.#isLateTimerSet) this.#lateTimer?.cancel();
    this.#isLateTimerSet = false;
    const batch = this.#batch;
    this.#batch = [];
    this.#port.postMessage(batch);
  };
}
