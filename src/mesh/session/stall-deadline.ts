/**
 * A bound on how long a stream may stand still. A stream has no bound in all, because a chunk takes as long as its
 * origin; but one on which nothing moves holds a permit and memory, and somebody waits behind it.
 *
 * It takes two looks, half of the time apart, for the reason told in keep-alive.ts: after a stall of our own event loop
 * the bytes are there and not yet read.
 */
import type { Clock, Timer } from "../../base/clock.ts";

export class StallDeadline {
  readonly #timer: Timer;
  #looks = 0;
  #ended = false;

  /** Calls `onStall` once, when nothing {@link moved} for `timeoutMs`. */
  constructor(clock: Clock, timeoutMs: number, onStall: () => void) {
    this.#timer = clock.timer(timeoutMs / 2, () => {
      this.#looks += 1;
      if (this.#looks < 2) {
        this.#timer.refresh();
        return;
      }
      this.#ended = true;
      onStall();
    });
  }

  /** Bytes came or went: the time begins anew. */
  moved(): void {
    if (this.#ended) return;
    this.#looks = 0;
    this.#timer.refresh();
  }

  /** After this `onStall` is not called. */
  end(): void {
    this.#ended = true;
    this.#timer.cancel();
  }
}
