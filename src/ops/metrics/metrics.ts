/**
 * What Prometheus reads. Parts count with plain numbers on their own `stats` objects and do not know this file. A metric is
 * a name, its help text, and a function that reads the number at a scrape. So counting costs one addition on the hot path,
 * and a series that nobody scrapes costs nothing. prom-client does the text format and the metrics of the process, on a
 * registry of our own: its global one would mix replicas that share a process.
 *
 * The help text is the only description of a metric. docs/metrics.md is made of it (metrics-page.ts).
 */
import { collectDefaultMetrics, type Metric, Registry } from "prom-client";
import { assert } from "../../base/assert.ts";
import { type Clock, sleep } from "../../base/clock.ts";
import type { Histogram } from "../../base/histogram.ts";
import { type Exemplar, openMetricsOf } from "./open-metrics.ts";

/** Only few and fixed values: each combination is a series that Prometheus keeps. Never a key or an address. */
export type Labels = Readonly<Record<string, string>>;

export interface LabelledValue {
  readonly labels: Labels;
  readonly value: number;
}

export interface LabelledHistogram {
  readonly labels: Labels;
  readonly histogram: Histogram;
}

/** Reads the value, or one value per combination of labels, at a scrape. */
export type ReadValues = () => number | Iterable<LabelledValue>;

/** For people. A text alone is a meaning that needs no more. */
export type MetricHelp = string | { readonly meaning: string; readonly watch: string };

type MetricType = "counter" | "gauge" | "histogram";

/** A metric as docs/metrics.md shows it. */
export interface MetricDescription {
  readonly name: string;
  readonly type: MetricType;
  /** Names of its labels. */
  readonly labels: readonly string[];
  readonly meaning: string;
  /** Which way is good, or what to do when it moves; may be empty. */
  readonly watch: string;
}

interface Sample {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

interface Registered extends Omit<MetricDescription, "labels"> {
  readonly samples: () => Iterable<Sample>;
}

/** Brings values without labels, and those with labels, into the one form that the registry prints. */
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

function* exemplarsOf(
  name: string,
  { labels, histogram }: LabelledHistogram,
): Generator<readonly [line: string, exemplar: Exemplar]> {
  if (histogram.marks.length === 0) return;
  for (const [index, { boundSeconds }] of histogram.cumulativeBuckets().entries()) {
    const marked = histogram.marks[index];
    if (!marked) continue;
    const le = boundSeconds === Infinity ? "+Inf" : String(boundSeconds);
    const pairs = Object.entries({ ...labels, le }).map(([label, value]) => `${label}="${value}"`);
    const { traceId, seconds: value, atMs } = marked;
    yield [`${name}_bucket{${pairs.join(",")}}`, { traceId, value, atSeconds: atMs / 1000 }];
  }
}

/** The rest after a page, by the time that it took. On a machine that is busy with other work, no longer than the second. */
const restFactor = 4;
const restMaxMs = 1000;

/** Numbers by name. The name becomes the value of a label, so there are few, and they are fixed. */
export type Counts = Readonly<Record<string, number>>;

/** One value for each name, with the name as the value of `label`. */
export function labelled(label: string, values: Counts): LabelledValue[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }));
}

/** Values of labels are written like the names of metrics: `notHeld` is `not_held`. */
export function snakeCased(counts: Counts): Counts {
  return Object.fromEntries(
    Object.entries(counts).map(([name, value]) => [
      name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}

/**
 * Names follow https://prometheus.io/docs/practices/naming/: `orca_`, what is counted, the unit, and `_total` for
 * counters only. Any other name, and a name that is taken, is a bug and fails at start.
 */
export class MetricsRegistry {
  readonly #registry = new Registry();
  readonly #registered: Registered[] = [];
  readonly #histograms: { readonly name: string; readonly read: () => Iterable<LabelledHistogram> }[] = [];
  readonly #clock: Clock;
  #rendering: Promise<string> | undefined;
  #beforePage: (() => Promise<void>) | undefined;
  /** When the next page may begin. */
  #nextPageMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `collect` before each page: it brings numbers that other threads have counted. */
  collectBeforePage(collect: () => Promise<void>): void {
    this.#beforePage = collect;
  }

  /** A number that only grows while the process lives. */
  counter(name: string, help: MetricHelp, read: ReadValues): void {
    assert(name.endsWith("_total"), `the name of counter ${name} ends in _total`);
    this.#register("counter", name, help, () => valueSamples(read));
  }

  /** A number that goes up and down. */
  gauge(name: string, help: MetricHelp, read: ReadValues): void {
    assert(!name.endsWith("_total"), `the name of gauge ${name} does not end in _total`);
    this.#register("gauge", name, help, () => valueSamples(read));
  }

  /** Durations: one histogram, or one per combination of labels. */
  histogram(name: string, help: MetricHelp, source: Histogram | (() => Iterable<LabelledHistogram>)): void {
    assert(name.endsWith("_seconds"), `the name of histogram ${name} ends in _seconds`);
    const read = typeof source === "function" ? source : () => [{ labels: {}, histogram: source }];
    this.#histograms.push({ name, read });
    this.#register("histogram", name, help, function* () {
      for (const each of read()) yield* histogramSamples(name, each);
    });
  }

  /** Memory, CPU, garbage collection and event loop lag of this process, under prom-client's usual names. */
  collectProcessMetrics(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** {@link render} in the OpenMetrics format, with exemplars. */
  async renderOpenMetrics(): Promise<string> {
    const page = await this.render();
    const exemplars = new Map<string, Exemplar>();
    for (const { name, read } of this.#histograms)
      for (const each of read())
        for (const [line, exemplar] of exemplarsOf(name, each)) exemplars.set(line, exemplar);
    return openMetricsOf(page, exemplars);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /**
   * Everything as Prometheus text. Rejects with the error that a read function threw. A page takes some milliseconds of
   * the event loop, so scrapes that arrive while one is made, or waits for its turn, share it. After a page, the event loop
   * belongs to others for {@link restFactor} times as long: a flood of scrapes costs a fifth of it at most.
   */
  render(): Promise<string> {
    this.#rendering ??= this.#makePage().finally(() => {
      this.#rendering = undefined;
    });
    return this.#rendering;
  }

  async #makePage(): Promise<string> {
    const delayMs = this.#nextPageMs - this.#clock.monotonic();
    if (delayMs > 0) await sleep(this.#clock, delayMs);
    await this.#beforePage?.();
    const startedMs = this.#clock.monotonic();
    try {
      return await this.#registry.metrics();
    } finally {
      const endedMs = this.#clock.monotonic();
      this.#nextPageMs = endedMs + Math.min(restMaxMs, restFactor * (endedMs - startedMs));
    }
  }

  /**
   * Describes Orca's own metrics, in the order of registration. It finds the labels by reading each metric, so each must
   * show a value.
   */
  describe(): MetricDescription[] {
    return this.#registered.map(({ samples, ...described }) => {
      const read = [...samples()];
      assert(read.length > 0, `metric ${described.name} shows a value`);
      const labels = new Set(read.flatMap((sample) => Object.keys(sample.labels)));
      labels.delete("le");
      return { ...described, labels: [...labels] };
    });
  }

  #register(type: MetricType, name: string, help: MetricHelp, samples: () => Iterable<Sample>): void {
    assert(/^orca(_[a-z0-9]+)+$/.test(name), `the metric name ${name} is orca_ and lower case words`);
    const { meaning, watch } = typeof help === "string" ? { meaning: help, watch: "" } : help;
    // The registry calls only `name` and `get()`. Its declared type wants a class of prom-client, which would keep
    // numbers of its own; this file exists to avoid that.
    const metric = { name, get: async () => ({ name, help: meaning, type, values: [...samples()] }) };
    this.#registry.registerMetric(metric as unknown as Metric);
    this.#registered.push({ name, type, meaning, watch, samples });
  }
}
