import assert from "node:assert/strict";
import { test } from "node:test";
import { Histogram } from "../../../src/base/histogram.ts";
import { MetricsRegistry } from "../../../src/ops/metrics/metrics.ts";
import { asksForOpenMetrics } from "../../../src/ops/metrics/open-metrics.ts";
import { FakeClock } from "../../support/fake-clock.ts";

test("OpenMetrics: counters are named for their family, help is quoted, exemplars follow their buckets", async () => {
  const metrics = new MetricsRegistry(new FakeClock());
  metrics.counter("orca_things_total", 'Things "of all kinds".', () => 3);
  metrics.gauge("orca_room", "Room.", () => 1);
  metrics.counter("orca_room_total", "Room taken.", () => 9);
  const histogram = new Histogram([0.1, 1]);
  histogram.observe(0.05);
  histogram.observe(0.5);
  histogram.observe(7);
  histogram.mark({ traceId: "a1", seconds: 0.5, atMs: 1500 });
  histogram.mark({ traceId: "b2", seconds: 7, atMs: 2500 });
  metrics.histogram("orca_wait_seconds", "Waits.", () => [{ labels: { source: "memory" }, histogram }]);
  assert.equal(
    await metrics.renderOpenMetrics(),
    `# HELP orca_things Things \\"of all kinds\\".
# TYPE orca_things counter
orca_things_total 3
# HELP orca_room Room.
# TYPE orca_room gauge
orca_room 1
# HELP orca_room_total Room taken.
# TYPE orca_room_total unknown
orca_room_total 9
# HELP orca_wait_seconds Waits.
# TYPE orca_wait_seconds histogram
orca_wait_seconds_bucket{source="memory",le="0.1"} 1
orca_wait_seconds_bucket{source="memory",le="1"} 2 # {trace_id="a1"} 0.5 1.500
orca_wait_seconds_bucket{source="memory",le="+Inf"} 3 # {trace_id="b2"} 7 2.500
orca_wait_seconds_sum{source="memory"} 7.55
orca_wait_seconds_count{source="memory"} 3
# EOF
`,
  );
});

test("asksForOpenMetrics: only where Accept names it", () => {
  assert.ok(asksForOpenMetrics("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"));
  for (const accept of [undefined, "", "*/*", "text/plain;version=0.0.4"])
    assert.ok(!asksForOpenMetrics(accept));
});
