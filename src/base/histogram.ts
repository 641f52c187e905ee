/**
 * Durations, counted in fixed buckets. Every request observes two (first byte, last byte). So an observation is a short
 * search and two additions, without an allocation and without a map of labels. The cumulative form of Prometheus is
 * computed when a scrape reads it.
 */
import { assert } from "./assert.ts";

/** From a small range in memory (0.1 ms) to a whole object from a slow origin (a minute and more). */
export const latencyBoundsSeconds: readonly number[] = [
  0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/** Observations since some moment, as another thread sends them. */
export interface HistogramCounts {
  /** Of each bucket, the last one for those above all bounds. */
  readonly counts: readonly number[];
  readonly sumSeconds: number;
  /** @see Histogram.marks */
  readonly marks: readonly (Marked | undefined)[];
}

/** The observations up to `boundSeconds` (inclusive, as `le` in Prometheus). The last bound is Infinity. */
export interface CumulativeBucket {
  readonly boundSeconds: number;
  readonly count: number;
}

/** A request that a bucket counts, by its trace. */
export interface Marked {
  readonly traceId: string;
  readonly seconds: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

export class Histogram {
  readonly #boundsSeconds: Float64Array;
  /** One count per bound, and one for observations above the last bound. Doubles hold whole numbers up to 2^53. */
  readonly #counts: Float64Array;
  #sumSeconds = 0;
  /** The last marked observation of each bucket. Made for the first one. */
  #marks: (Marked | undefined)[] | undefined;

  /** `boundsSeconds` are the upper bounds of the buckets, ascending, without Infinity. */
  constructor(boundsSeconds: readonly number[] = latencyBoundsSeconds) {
    const ascending = boundsSeconds.every(
      (bound, index) => index === 0 || bound > (boundsSeconds[index - 1] ?? 0),
    );
    assert(boundsSeconds.length > 0 && ascending, "a histogram has bounds, in ascending order");
    this.#boundsSeconds = Float64Array.from(boundsSeconds);
    this.#counts = new Float64Array(boundsSeconds.length + 1);
  }

  observe(seconds: number): void {
    assert(seconds >= 0, "a duration is a number and not negative");
    const bucket = this.#bucketOf(seconds);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sumSeconds += seconds;
  }

  /** Names the trace of an observation. */
  mark(marked: Marked): void {
    this.#marks ??= new Array<undefined>(this.#counts.length).fill(undefined);
    this.#marks[this.#bucketOf(marked.seconds)] = marked;
  }

  /** By bucket, as {@link cumulativeBuckets}; empty where none was marked. */
  get marks(): readonly (Marked | undefined)[] {
    return this.#marks ?? [];
  }

  #bucketOf(seconds: number): number {
    let low = 0;
    let high = this.#boundsSeconds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (seconds <= (this.#boundsSeconds[middle] as number)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Returns all observations, and begins anew. */
  drain(): HistogramCounts {
    const drained = { counts: [...this.#counts], sumSeconds: this.#sumSeconds, marks: this.marks };
    this.#counts.fill(0);
    this.#marks = undefined;
    this.#sumSeconds = 0;
    return drained;
  }

  /** Adds the observations of a histogram with the same bounds. */
  add({ counts, sumSeconds, marks }: HistogramCounts): void {
    assert(counts.length === this.#counts.length, "histograms with the same bounds are added");
    for (const [index, count] of counts.entries())
      this.#counts[index] = (this.#counts[index] as number) + count;
    this.#sumSeconds += sumSeconds;
    for (const marked of marks) if (marked) this.mark(marked);
  }

  get sumSeconds(): number {
    return this.#sumSeconds;
  }

  get count(): number {
    return this.#counts.reduce((total, count) => total + count, 0);
  }

  /** In ascending order of bounds. The last bucket counts every observation. */
  cumulativeBuckets(): CumulativeBucket[] {
    const buckets: CumulativeBucket[] = [];
    let count = 0;
    for (const [index, inBucket] of this.#counts.entries()) {
      count += inBucket;
      buckets.push({ boundSeconds: this.#boundsSeconds[index] ?? Infinity, count });
    }
    return buckets;
  }
}
