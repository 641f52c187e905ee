/**
 * The times that an origin took to its first byte, of the newest requests only, so that a percentile follows an origin
 * that becomes slower or faster. A ring of numbers: an observation costs no allocation.
 */

const samplesMax = 256;

/** Between two sorts. A percentile that is a few samples old serves as well. */
const samplesPerSort = 16;

export class LatencyWindow {
  readonly #ring = new Float64Array(samplesMax);
  /** Observations in all. */
  #count = 0;
  #sorted: Float64Array | undefined;

  get size(): number {
    return Math.min(this.#count, samplesMax);
  }

  observe(latencyMs: number): void {
    this.#ring[this.#count % samplesMax] = latencyMs;
    this.#count += 1;
    if (this.#count % samplesPerSort === 0) this.#sorted = undefined;
  }

  /** Of the observations in the window, the smallest that `part` of them do not exceed. NaN while there are none. */
  percentileMs(part: number): number {
    this.#sorted ??= this.#ring.slice(0, this.size).sort();
    return this.#sorted[Math.ceil(this.#sorted.length * part) - 1] ?? Number.NaN;
  }
}
