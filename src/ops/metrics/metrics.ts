/**
 * What Prometheus reads. Parts count with plain numbers on their own `stats` objects and know nothing of this file;
 * a metric here is a name and a function that reads such a number when a scrape comes. So counting costs one
 * addition on the hot path, and a series that nobody asks for costs nothing. prom-client does the text format and
 * the process's own metrics, on a registry of our own: its global one would join replicas that share a process.
 */
import { collectDefaultMetrics, type Metric, Registry } from "prom-client";
import { assert } from "../../base/assert.ts";
import type { Histogram } from "../../base/histogram.ts";

/** Few and fixed values only: every combination is a series that Prometheus keeps. Never a key or an address. */
export type Labels = Readonly<Record<string, string>>;

export interface LabelledValue {
  readonly labels: Labels;
  readonly value: number;
}

export interface LabelledHistogram {
  readonly labels: Labels;
  readonly histogram: Histogram;
}

/** Reads the value, or one value per combination of labels, at the moment of a scrape. */
export type ReadValues = () => number | Iterable<LabelledValue>;

type MetricType = "counter" | "gauge" | "histogram";

interface Sample {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** Unlabelled numbers and labelled ones in the one form that the registry prints. */
function* valueSamples(read: ReadValues): Generator<Sample> {
  const reading = read();
  if (typeof reading === "number") yield { labels: {}, value: reading };
  else yield* reading;
}

function* histogramSamples(name: string, { labels, histogram }: LabelledHistogram): Generator<Sample> {
  for (const { boundSeconds, count } of histogram.cumulativeBuckets()) {
    const le = boundSeconds === Infinity ? "+Inf" : String(boundSeconds);
    yield { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
  }
  yield { metricName: `${name}_sum`, labels, value: histogram.sumSeconds };
  yield { metricName: `${name}_count`, labels, value: histogram.count };
}

/**
 * Names follow https://prometheus.io/docs/practices/naming/: `orca_`, what is counted, the unit, and `_total` for
 * counters alone. A name that does not, or that is taken, is a bug and fails at start.
 */
export class MetricsRegistry {
  readonly #registry = new Registry();

  /** A number that only grows while the process lives. */
  counter(name: string, help: string, read: ReadValues): void {
    assert(name.endsWith("_total"), `the name of counter ${name} ends in _total`);
    this.#register("counter", name, help, () => valueSamples(read));
  }

  /** A number that goes up and down. */
  gauge(name: string, help: string, read: ReadValues): void {
    assert(!name.endsWith("_total"), `the name of gauge ${name} does not end in _total`);
    this.#register("gauge", name, help, () => valueSamples(read));
  }

  /** Durations: one histogram, or one per combination of labels. */
  histogram(name: string, help: string, source: Histogram | (() => Iterable<LabelledHistogram>)): void {
    assert(name.endsWith("_seconds"), `the name of histogram ${name} ends in _seconds`);
    const read = typeof source === "function" ? source : () => [{ labels: {}, histogram: source }];
    this.#register("histogram", name, help, function* () {
      for (const labelled of read()) yield* histogramSamples(name, labelled);
    });
  }

  /** Memory, CPU, garbage collection and event loop lag of this process, under prom-client's usual names. */
  collectProcessMetrics(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything as Prometheus text. Rejects with what a read function threw. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  #register(type: MetricType, name: string, help: string, samples: () => Iterable<Sample>): void {
    assert(/^orca(_[a-z0-9]+)+$/.test(name), `the metric name ${name} is orca_ and lower case words`);
    // The registry asks a metric for its name and for get(), and no more. Its declared type asks for one of
    // prom-client's own classes, which keep numbers of their own: what this file exists to avoid.
    const metric = { name, get: async () => ({ name, help, type, values: [...samples()] }) };
    this.#registry.registerMetric(metric as unknown as Metric);
  }
}
