/** A token bucket: it lets a burst pass, and then a rate. */
import type { Clock } from "./clock.ts";

export interface TokenBucketOptions {
  readonly perSecond: number;
  /** Tokens of a full bucket. */
  readonly burst: number;
}

export class TokenBucket {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledMs: number;

  constructor(clock: Clock, { perSecond, burst }: TokenBucketOptions) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledMs = clock.monotonic();
  }

  /** Takes a token. False if there is none. */
  take(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Charges for what has happened already. The bucket may owe tokens after that, at most a burst. */
  charge(tokens: number): void {
    this.#fill();
    this.#tokens = Math.max(-this.#burst, this.#tokens - tokens);
  }

  #fill(): void {
    const nowMs = this.#clock.monotonic();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#filledMs) / 1000) * this.#perSecond);
    this.#filledMs = nowMs;
  }
}
