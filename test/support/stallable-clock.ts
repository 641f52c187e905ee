/**
 * The clock of one simulated process, which can be made to stand still as a blocked event loop does: time passes, but
 * no timer fires before the stall is over. Then all that fell due fire first, in order, and only after them
 * is heard what others sent meanwhile, as in Node, whose loop runs timers before it reads sockets.
 */
import type { Clock, Timer } from "../../src/base/clock.ts";

export class StallableClock implements Clock {
  readonly #clock: Clock;
  #stalledUntilMs = -Infinity;
  readonly #heldTimers: (() => void)[] = [];
  readonly #heldEvents: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  get stalled(): boolean {
    return this.monotonic() < this.#stalledUntilMs;
  }

  timer(delayMs: number, callback: () => void): Timer {
    // Counts the armings, so that a held one that was cancelled or refreshed since does not fire.
    let arming = 0;
    const timer = this.#clock.timer(delayMs, () => {
      const held = arming;
      const fire = (): void => {
        if (held === arming) callback();
      };
      if (this.stalled) this.#heldTimers.push(fire);
      else fire();
    });
    return {
      refresh: () => {
        arming += 1;
        timer.refresh();
      },
      cancel: () => {
        arming += 1;
        timer.cancel();
      },
    };
  }

  /** Something that reaches this process from outside, such as a message. */
  deliver(event: () => void): void {
    if (this.stalled) this.#heldEvents.push(event);
    else event();
  }

  stall(durationMs: number): void {
    this.#stalledUntilMs = this.monotonic() + durationMs;
    // A process that is dead wakes no more.
    if (durationMs === Number.POSITIVE_INFINITY) return;
    this.#clock.timer(durationMs, () => {
      // Another stall has begun before this one was over, if only that of a process that is dead.
      if (this.stalled) return;
      for (const held of [...this.#heldTimers.splice(0), ...this.#heldEvents.splice(0)]) {
        // One after the other, with what each makes ready in between.
        this.#clock.timer(0, held);
      }
    });
  }
}
