/**
 * The 99th percentile of the latest durations, to within a factor of the square root of 2. It counts in buckets, in the
 * current window of five minutes and the one before, so an observation is an addition.
 */
import type { Clock } from "../../base/clock.ts";

const windowMs = 300_000;
const bucketsPerOctave = 2;
/** Up to 2^20 ms, which is 17 minutes. */
const buckets = 20 * bucketsPerOctave + 1;

/** With fewer durations, the 99th percentile is a guess. */
const observationsMin = 20;

export class RecentLatency {
  readonly #clock: Clock;
  #current = new Uint32Array(buckets);
  #previous = new Uint32Array(buckets);
  #beganMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#beganMs = clock.monotonic();
  }

  observe(durationMs: number): void {
    this.#turn();
    const bucket = Math.min(buckets - 1, Math.ceil(bucketsPerOctave * Math.log2(Math.max(1, durationMs))));
    this.#current[bucket] = (this.#current[bucket] as number) + 1;
  }

  /** Undefined where too few were observed. */
  get p99Ms(): number | undefined {
    this.#turn();
    let left = 0;
    for (let at = 0; at < buckets; at += 1) left += this.#countOf(at);
    if (left < observationsMin) return undefined;
    let above = left * 0.01;
    for (let at = buckets - 1; at >= 0; at -= 1) {
      above -= this.#countOf(at);
      if (above < 0) return Math.round(2 ** (at / bucketsPerOctave));
    }
    return undefined;
  }

  #countOf(bucket: number): number {
    return (this.#current[bucket] as number) + (this.#previous[bucket] as number);
  }

  #turn(): void {
    const nowMs = this.#clock.monotonic();
    const sinceMs = nowMs - this.#beganMs;
    if (sinceMs < windowMs) return;
    this.#previous = sinceMs < 2 * windowMs ? this.#current : new Uint32Array(buckets);
    this.#current = new Uint32Array(buckets);
    this.#beganMs = nowMs;
  }
}
