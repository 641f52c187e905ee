/**
 * Holds work to so many bytes a second. Time that was lost to something else is not caught up: work that comes back from
 * a pause goes on at its pace, and not in a burst.
 */
import { type Clock, sleep } from "./clock.ts";

/** A shorter wait is put off to the next bytes: a timer is not that exact. */
const waitMsMin = 5;

export class BytePace {
  bytesPerSecond: number;
  readonly #clock: Clock;
  #paidUntilMs = 0;

  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.bytesPerSecond = bytesPerSecond;
  }

  /** After `lengthBytes` of work: resolves when the next may begin. Rejects with the signal's reason as soon as it aborts. */
  async spend(lengthBytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.monotonic();
    this.#paidUntilMs = Math.max(this.#paidUntilMs, nowMs) + (lengthBytes * 1000) / this.bytesPerSecond;
    const waitMs = this.#paidUntilMs - nowMs;
    if (waitMs >= waitMsMin) await sleep(this.#clock, waitMs, signal);
  }
}
