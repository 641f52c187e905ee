/**
 * A deadline for silence on a stream. A stream has no deadline as a whole, because a chunk takes as long as its origin.
 * But a stream without progress holds a permit and memory, and its reader waits.
 *
 * The deadline passes at the second of two checks, half of the time apart. After a stall of this replica's event loop
 * the first check fires before the bytes that have arrived are read.
 */
import type { Clock, Timer } from "../../base/clock.ts";

export class StallDeadline {
  readonly #timer: Timer;
  #checks = 0;
  #ended = false;

  /** Calls `onStall` once, when `timeoutMs` pass without a {@link restart}. */
  constructor(clock: Clock, timeoutMs: number, onStall: () => void) {
    this.#timer = clock.timer(timeoutMs / 2, () => {
      this.#checks += 1;
      if (this.#checks < 2) {
        this.#timer.refresh();
        return;
      }
      this.#ended = true;
      onStall();
    });
  }

  /** Starts the time again, because bytes were received or sent. */
  restart(): void {
    if (this.#ended) return;
    this.#checks = 0;
    this.#timer.refresh();
  }

  /** Stops the time until the next {@link restart}, because the other end is not at fault now. */
  pause(): void {
    this.#timer.cancel();
  }

  /** After this `onStall` is not called. */
  end(): void {
    this.#ended = true;
    this.#timer.cancel();
  }
}
