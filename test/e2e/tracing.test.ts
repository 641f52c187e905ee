/** Traced reads over three replicas: what a collector receives of one cold GET, and what a client's own context decides. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { attribute, collector, type SentSpan } from "../support/otlp-collector.ts";
import { type ReplicaCluster, startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

const chunking = { size: "4MiB", tiers: [] };
const sizeBytes = 16 * MiB;

async function coldGet(cluster: ReplicaCluster): Promise<void> {
  cluster.origin.put(testBucket, "dir/k", { seed: 3, sizeBytes });
  const response = await (cluster.replicas[0] as ReplicaFixture).get("dir/k");
  assert.equal((await response.arrayBuffer()).byteLength, sizeBytes);
}

test("the spans of one cold GET over three replicas: each chunk by tier, peers and origin, with right parents", async (context) => {
  const { spans, paths, endpoint } = await collector(context);
  const cluster = await startReplicas({
    settings: { chunking, tracing: { otlp_endpoint: endpoint, sample_ratio: 1 } },
  });
  context.after(() => cluster.stop());
  await coldGet(cluster);
  await until(() => spans.some(({ name }) => name === "request"));
  for (const { replica } of cluster.replicas) await replica.stop();
  assert.deepEqual([...new Set(paths)], ["POST /v1/traces"]);
  const roots = spans.filter(({ parentSpanId }) => !parentSpanId);
  const [root] = roots as [SentSpan];
  assert.deepEqual([roots.length, root.name, root.kind, attribute(root, "status")], [1, "request", 2, 200]);
  assert.deepEqual(new Set(spans.map(({ traceId }) => traceId)), new Set([root.traceId]));
  assert.equal(
    new Set(spans.map(({ spanId }) => spanId)).size,
    spans.length,
    "each span has an id of its own",
  );
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const parentOf = (span: SentSpan): SentSpan => {
    const parent = byId.get(span.parentSpanId ?? "");
    assert.ok(parent, `the parent of ${span.name} was sent`);
    return parent;
  };
  for (const span of spans) {
    assert.ok(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano));
    if (span !== root)
      assert.ok(BigInt(parentOf(span).startTimeUnixNano) <= BigInt(span.startTimeUnixNano) + 50_000_000n);
  }
  const chunks = spans.filter(
    (span) => span.name.startsWith("chunk ") && attribute(span, "replica") === "r0",
  );
  assert.deepEqual(chunks.map(({ name }) => name).sort(), ["chunk 0", "chunk 1", "chunk 2", "chunk 3"]);
  for (const chunk of chunks) assert.equal(parentOf(chunk), root);
  const metadata = spans.filter((span) => span.name === "metadata" && attribute(span, "replica") === "r0");
  assert.deepEqual(metadata.map(parentOf), [root]);
  const gets = spans.filter(({ name }) => name === "origin get");
  assert.equal(
    gets.length,
    cluster.origin.count("GET", "dir/k"),
    "a span for each request that the origin received",
  );
  for (const get of gets) {
    const asking = parentOf(get);
    assert.match(asking.name, /^(chunk \d|metadata)$/);
    assert.equal(attribute(asking, "replica"), attribute(get, "replica"));
    if (attribute(get, "replica") === "r0") continue;
    // Asked by r0: the span of its attempt is between the two replicas.
    const attempt = parentOf(asking);
    assert.match(attempt.name, /^peer (chunk|metadata)$/);
    assert.deepEqual([attempt.kind, attribute(attempt, "peer")], [3, attribute(get, "replica")]);
  }
  assert.ok(
    gets.some((get) => attribute(get, "replica") !== "r0"),
    "some chunk has another coordinator",
  );
});

test("a client's traceparent decides: its span is the parent, and one that is not sampled makes none", async (context) => {
  const { spans, endpoint } = await collector(context);
  const replica = await startReplica({ settings: { tracing: { otlp_endpoint: endpoint, sample_ratio: 0 } } });
  context.after(() => replica.stop());
  replica.origin.put(testBucket, "k", { seed: 3, sizeBytes: MiB });
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const get = async (headers: Record<string, string>) => (await replica.get("k", headers)).arrayBuffer();
  await get({});
  await get({ traceparent: `00-${traceId.replace("4", "5")}-00f067aa0ba902b7-00` });
  await get({ traceparent: `00-${traceId}-00f067aa0ba902b7-01` });
  await until(() => spans.some(({ name }) => name === "request"));
  assert.deepEqual(new Set(spans.map((span) => span.traceId)), new Set([traceId]));
  const root = spans.find(({ name }) => name === "request");
  assert.equal(root?.parentSpanId, "00f067aa0ba902b7");
  const openMetrics = await fetch(`${replica.opsEndpoint}/metrics`, {
    headers: { accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.5" },
  });
  assert.equal(
    openMetrics.headers.get("content-type"),
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
  );
  const page = await openMetrics.text();
  const marked = page.split("\n").filter((line) => line.includes("# {"));
  assert.equal(marked.length, 1, marked.join("\n"));
  assert.match(
    marked[0] ?? "",
    new RegExp(
      `^orca_first_byte_seconds_bucket\\{source="memory",le="[\\d.]+"\\} \\d+ # \\{trace_id="${traceId}"\\} [\\d.e-]+ \\d+\\.\\d{3}$`,
    ),
  );
  assert.match(
    page,
    /\n# TYPE orca_flights counter\norca_flights_total \d+\n|# TYPE orca_requests counter\n/,
  );
  assert.ok(page.endsWith("\n# EOF\n"));
  const text = await (await fetch(`${replica.opsEndpoint}/metrics`)).text();
  assert.ok(!text.includes("trace_id") && text.includes("# TYPE orca_requests_total counter"));
});

test("a collector that fails costs spans and a warning, and no read", async (context) => {
  const { paths, endpoint } = await collector(context, 400);
  const replica = await startReplica({ settings: { tracing: { otlp_endpoint: endpoint, sample_ratio: 1 } } });
  context.after(() => replica.stop());
  replica.origin.put(testBucket, "k", { seed: 3, sizeBytes: MiB });
  assert.equal((await replica.get("k")).status, 200);
  await until(() => replica.logger.count("warn") > 0);
  const warning = replica.logger.events.find(({ level }) => level === "warn");
  assert.match(JSON.stringify(warning?.fields), /"event":"spans_not_sent"/);
  assert.ok(paths.length >= 1);
  assert.ok((await replica.metric('orca_spans_total{result="failed"}')) >= 3);
  assert.equal(await replica.metric('orca_spans_total{result="sent"}'), 0);
});
