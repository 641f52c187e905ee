/**
 * Finds out that a thread hangs in a call of a file system. A job may take long, because it makes many calls; a call that
 * does not return is a disk that hangs. The thread counts its calls in memory that both threads share, so to watch it
 * costs nothing while it moves.
 */
import type { Clock, Timer } from "../../base/clock.ts";

export interface HangWatchOptions {
  /** For one call. */
  readonly deadlineMs: number;
  /** The thread has made no call and sent no answer for this long. */
  readonly onHang: () => void;
  /** It moves again. */
  readonly onMoved: () => void;
}

/** The deadline is found to have passed at most this part of it too late. */
const looksPerDeadline = 8;

export class HangWatch {
  /** Counted up by the thread, with each call that it makes. */
  readonly pulse = new Int32Array(new SharedArrayBuffer(4));
  readonly #clock: Clock;
  readonly #options: HangWatchOptions;
  readonly #giveUp: () => void;
  #timer: Timer | undefined;
  #lastPulse = 0;
  #movedAtMs = 0;
  #hangs = false;
  #stopped = false;

  /** `giveUp` is called after `onHang`. */
  constructor(clock: Clock, options: HangWatchOptions, giveUp: () => void) {
    this.#clock = clock;
    this.#options = options;
    this.#giveUp = giveUp;
  }

  get hangs(): boolean {
    return this.#hangs;
  }

  /** The thread got something to do. */
  begin(): void {
    if (this.#timer || this.#stopped) return;
    this.#movedAtMs = this.#clock.monotonic();
    this.#look();
  }

  /** The thread has nothing to do. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** The thread has answered, or has ended. */
  moved(): void {
    this.#movedAtMs = this.#clock.monotonic();
    if (!this.#hangs) return;
    this.#hangs = false;
    this.#options.onMoved();
  }

  stop(): void {
    this.#stopped = true;
    this.end();
  }

  #look(): void {
    if (this.#stopped) return;
    const { deadlineMs, onHang } = this.#options;
    const pulse = Atomics.load(this.pulse, 0);
    if (pulse !== this.#lastPulse) this.moved();
    this.#lastPulse = pulse;
    if (!this.#hangs && this.#clock.monotonic() - this.#movedAtMs >= deadlineMs) {
      this.#hangs = true;
      onHang();
      this.#giveUp();
    }
    this.#timer = this.#clock.timer(deadlineMs / looksPerDeadline, () => this.#look());
  }
}
