/**
 * Watches that a body keeps up a minimum rate. The stall timeout alone has no end: an origin that sends one byte in each
 * holds a permit and the memory of a whole chunk for ever.
 *
 * Time is cut into windows, from the first byte on. Before it, the deadlines of the connection apply.
 */
import type { Clock, Timer } from "../base/clock.ts";

export interface MinRateSettings {
  /** 0 turns the watch off. */
  readonly bytesPerSecond: number;
  readonly windowMs: number;
}

export class MinRate {
  readonly #settings: MinRateSettings;
  readonly #clock: Clock;
  readonly #onTooSlow: (windowBytes: number) => void;
  #timer: Timer | undefined;
  #windowBytes = 0;
  #receivedBytes = 0;
  #firstByteMs = 0;
  #lastByteMs = 0;

  /** Calls `onTooSlow` at the end of the first window that brought too few bytes, and never again. */
  constructor(settings: MinRateSettings, clock: Clock, onTooSlow: (windowBytes: number) => void) {
    this.#settings = settings;
    this.#clock = clock;
    this.#onTooSlow = onTooSlow;
  }

  received(lengthBytes: number): void {
    this.#lastByteMs = this.#clock.monotonic();
    this.#receivedBytes += lengthBytes;
    this.#windowBytes += lengthBytes;
    if (this.#timer !== undefined || this.#settings.bytesPerSecond === 0) return;
    this.#firstByteMs = this.#lastByteMs;
    this.#timer = this.#clock.timer(this.#settings.windowMs, this.#endWindow);
  }

  /** Whether the bytes came at the minimum rate, from the first to the last of them. */
  get isKept(): boolean {
    return this.#receivedBytes >= this.#bytesDue(this.#lastByteMs - this.#firstByteMs);
  }

  /** The body has ended. Call it in any case: until then a timer runs. */
  end(): void {
    this.#timer?.cancel();
  }

  readonly #endWindow = (): void => {
    const windowBytes = this.#windowBytes;
    if (windowBytes < this.#bytesDue(this.#settings.windowMs)) return this.#onTooSlow(windowBytes);
    this.#windowBytes = 0;
    this.#timer?.refresh();
  };

  #bytesDue(durationMs: number): number {
    return (this.#settings.bytesPerSecond * durationMs) / 1000;
  }
}
