/**
 * Time that can pass slower than the machine's. To whoever lives by this clock a busy machine looks fast, so that nobody is
 * taken for dead and nothing times out where neither is under test.
 */
import { type Clock, SystemClock, type Timer } from "../../src/base/clock.ts";

export class SlowClock implements Clock {
  readonly #clock = new SystemClock();
  #factor = 1;
  /** When the factor was last set: by this clock, and by the machine's. */
  #setAtMs = 0;
  #machineSetAtMs = this.#clock.monotonic();

  /** From now on a second of this clock takes `factor` seconds. Timers that are armed go by the pace they were armed at. */
  slowDown(factor: number): void {
    this.#setAtMs = this.monotonic();
    this.#machineSetAtMs = this.#clock.monotonic();
    this.#factor = factor;
  }

  now(): number {
    return this.#clock.now();
  }

  monotonic(): number {
    return this.#setAtMs + (this.#clock.monotonic() - this.#machineSetAtMs) / this.#factor;
  }

  timer(delayMs: number, callback: () => void): Timer {
    let timer = this.#clock.timer(delayMs * this.#factor, callback);
    return {
      refresh: () => {
        timer.cancel();
        timer = this.#clock.timer(delayMs * this.#factor, callback);
      },
      cancel: () => timer.cancel(),
    };
  }
}
