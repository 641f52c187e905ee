import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemClock } from "../../../src/base/clock.ts";
import { Histogram } from "../../../src/base/histogram.ts";
import { MetricsRegistry } from "../../../src/ops/metrics/metrics.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const zero = (): number => 0;

function seriesOf(text: string): string[] {
  return text.split("\n").filter((line) => line.startsWith("orca_"));
}

test("MetricsRegistry: a number is read when a scrape comes", async () => {
  const metrics = new MetricsRegistry(new SystemClock());
  const stats = { evictions: 0 };
  metrics.counter("orca_memory_evictions_total", "Chunks that gave way.", () => stats.evictions);
  stats.evictions = 7;
  assert.equal(
    await metrics.render(),
    "# HELP orca_memory_evictions_total Chunks that gave way.\n" +
      "# TYPE orca_memory_evictions_total counter\n" +
      "orca_memory_evictions_total 7\n",
  );
  stats.evictions = 9;
  assert.match(await metrics.render(), /^orca_memory_evictions_total 9$/m);
});

test("MetricsRegistry: scrapes that come while a page is made share it", async () => {
  const metrics = new MetricsRegistry(new SystemClock());
  let reads = 0;
  metrics.gauge("orca_reads", "Reads.", () => (reads += 1));
  const pages = await Promise.all([metrics.render(), metrics.render(), metrics.render()]);
  assert.equal(new Set(pages).size, 1);
  assert.equal(reads, 1);
  await metrics.render();
  assert.equal(reads, 2);
});

test("MetricsRegistry: labelled values are a series each, and vanish with their source", async () => {
  const metrics = new MetricsRegistry(new SystemClock());
  const inFlight = new Map([
    ["origin-a", 3],
    ["origin-b", 0],
  ]);
  metrics.gauge("orca_origin_requests_in_flight", "Requests on their way.", function* () {
    for (const [origin, value] of inFlight) yield { labels: { origin }, value };
  });
  assert.deepEqual(seriesOf(await metrics.render()), [
    'orca_origin_requests_in_flight{origin="origin-a"} 3',
    'orca_origin_requests_in_flight{origin="origin-b"} 0',
  ]);
  inFlight.delete("origin-a");
  assert.deepEqual(seriesOf(await metrics.render()), ['orca_origin_requests_in_flight{origin="origin-b"} 0']);
});

test("MetricsRegistry: label values are escaped", async () => {
  const metrics = new MetricsRegistry(new SystemClock());
  metrics.gauge("orca_build_info", "Version.", () => [{ labels: { version: 'a"b\\c\nd' }, value: 1 }]);
  assert.match(await metrics.render(), /^orca_build_info\{version="a\\"b\\\\c\\nd"\} 1$/m);
});

test("MetricsRegistry: a histogram has cumulative buckets, sum and count", async () => {
  const metrics = new MetricsRegistry(new SystemClock());
  const histogram = new Histogram([0.1, 1]);
  for (const seconds of [0.0625, 0.5, 0.5, 2]) histogram.observe(seconds);
  metrics.histogram("orca_first_byte_seconds", "Time to the first byte.", histogram);
  assert.equal(
    await metrics.render(),
    [
      "# HELP orca_first_byte_seconds Time to the first byte.",
      "# TYPE orca_first_byte_seconds histogram",
      'orca_first_byte_seconds_bucket{le="0.1"} 1',
      'orca_first_byte_seconds_bucket{le="1"} 3',
      'orca_first_byte_seconds_bucket{le="+Inf"} 4',
      "orca_first_byte_seconds_sum 3.0625",
      "orca_first_byte_seconds_count 4",
      "",
    ].join("\n"),
  );
});

test("MetricsRegistry: labelled histograms keep their labels on every line", async () => {
  const metrics = new MetricsRegistry(new SystemClock());
  const histogram = new Histogram([1]);
  histogram.observe(0.5);
  metrics.histogram("orca_request_seconds", "Whole requests.", () => [
    { labels: { operation: "get" }, histogram },
  ]);
  assert.deepEqual(seriesOf(await metrics.render()), [
    'orca_request_seconds_bucket{operation="get",le="1"} 1',
    'orca_request_seconds_bucket{operation="get",le="+Inf"} 1',
    'orca_request_seconds_sum{operation="get"} 0.5',
    'orca_request_seconds_count{operation="get"} 1',
  ]);
});

test("MetricsRegistry: a name against the conventions is a bug", () => {
  const metrics = new MetricsRegistry(new SystemClock());
  assert.throws(() => metrics.counter("orca_evictions", "Lacks _total.", zero), { name: "AssertionFailure" });
  assert.throws(() => metrics.gauge("orca_bytes_total", "Is no counter.", zero), {
    name: "AssertionFailure",
  });
  assert.throws(() => metrics.counter("evictions_total", "Lacks orca_.", zero), { name: "AssertionFailure" });
  assert.throws(() => metrics.gauge("orca_Bytes", "Is not lower case.", zero), { name: "AssertionFailure" });
  assert.throws(() => metrics.histogram("orca_latency", "Lacks the unit.", new Histogram()), {
    name: "AssertionFailure",
  });
});

test("MetricsRegistry: a name is given once", () => {
  const metrics = new MetricsRegistry(new SystemClock());
  metrics.gauge("orca_memory_bytes", "Bytes.", () => 0);
  assert.throws(() => metrics.gauge("orca_memory_bytes", "Bytes again.", () => 0), /already been registered/);
});

test("MetricsRegistry: two registries of one process do not meet", async () => {
  const [left, right] = [new MetricsRegistry(new SystemClock()), new MetricsRegistry(new SystemClock())];
  left.gauge("orca_memory_bytes", "Bytes.", () => 1);
  right.gauge("orca_memory_bytes", "Bytes.", () => 2);
  assert.match(await left.render(), /^orca_memory_bytes 1$/m);
  assert.match(await right.render(), /^orca_memory_bytes 2$/m);
});

test("MetricsRegistry: describe tells name, type, labels and help of each metric, in order", async () => {
  const metrics = new MetricsRegistry(new SystemClock());
  metrics.gauge("orca_one", { meaning: "One.", watch: "Higher is better." }, () => 1);
  metrics.counter("orca_two_total", "Two.", () => [{ labels: { origin: "o", code: "c" }, value: 1 }]);
  metrics.histogram("orca_three_seconds", "Three.", () => [
    { labels: { operation: "get" }, histogram: new Histogram([1]) },
  ]);
  assert.deepEqual(metrics.describe(), [
    { name: "orca_one", type: "gauge", labels: [], meaning: "One.", watch: "Higher is better." },
    { name: "orca_two_total", type: "counter", labels: ["origin", "code"], meaning: "Two.", watch: "" },
    { name: "orca_three_seconds", type: "histogram", labels: ["operation"], meaning: "Three.", watch: "" },
  ]);
  assert.match(await metrics.render(), /^# HELP orca_one One\.$/m);
});

test("MetricsRegistry: a metric that shows no value cannot be described", () => {
  const metrics = new MetricsRegistry(new SystemClock());
  metrics.gauge("orca_nothing", "Nothing.", () => []);
  assert.throws(() => metrics.describe(), { name: "AssertionFailure" });
});

test("MetricsRegistry: the process's own metrics are there when asked for", async () => {
  const metrics = new MetricsRegistry(new SystemClock());
  metrics.collectProcessMetrics();
  const text = await metrics.render();
  assert.match(text, /^process_resident_memory_bytes \d+$/m);
  assert.match(text, /^nodejs_eventloop_lag_p99_seconds /m);
});

test("MetricsRegistry: what a read function throws comes out of the scrape", async () => {
  const metrics = new MetricsRegistry(new SystemClock());
  metrics.gauge("orca_broken", "Throws.", () => {
    throw new Error("out of order");
  });
  await assert.rejects(metrics.render(), /out of order/);
});

test("MetricsRegistry: a flood of scrapes gets few pages, each made after the scrape, with a rest in between", async () => {
  const clock = new FakeClock();
  let pages = 0;
  const pageMs = 10;
  const metrics = new MetricsRegistry({
    now: () => clock.now(),
    monotonic: () => clock.monotonic() + pages * pageMs,
    timer: (delayMs, callback) => clock.timer(delayMs, callback),
  });
  metrics.gauge("orca_pages", "Each takes 10 ms.", () => (pages += 1));
  assert.match(await metrics.render(), /^orca_pages 1$/m);
  const flood = Array.from({ length: 1000 }, () => metrics.render());
  await clock.advance(4 * pageMs - 1);
  assert.equal(pages, 1);
  await clock.advance(1);
  for (const page of await Promise.all(flood)) assert.match(page, /^orca_pages 2$/m);
  await clock.advance(4 * pageMs);
  assert.match(await metrics.render(), /^orca_pages 3$/m);
});
