/**
 * Limits work to a number of bytes per second. Work that was delayed by something else does not catch up: after a pause it
 * continues at its pace, without a burst.
 */
import { type Clock, sleep } from "./clock.ts";

/** A shorter wait is added to the next one, because timers are not that exact. */
const waitMsMin = 5;

export class BytePace {
  bytesPerSecond: number;
  readonly #clock: Clock;
  #paidUntilMs = 0;

  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.bytesPerSecond = bytesPerSecond;
  }

  /** Call it after `lengthBytes` of work. Resolves when the next work may begin; rejects with the reason of `signal`. */
  async spend(lengthBytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.monotonic();
    this.#paidUntilMs = Math.max(this.#paidUntilMs, nowMs) + (lengthBytes * 1000) / this.bytesPerSecond;
    const waitMs = this.#paidUntilMs - nowMs;
    if (waitMs >= waitMsMin) await sleep(this.#clock, waitMs, signal);
  }
}
