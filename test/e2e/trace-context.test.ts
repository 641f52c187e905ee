/** A client's trace, by W3C's headers, through replicas to the origin and into the logs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ReplicaCluster, startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
const tracestate = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";
const sizeBytes = 1000;

interface Traced {
  readonly traceId?: string;
  readonly requestId?: string;
  readonly step?: string;
  readonly log?: string;
}

function linesOf({ logger }: ReplicaFixture): Traced[] {
  return logger.events.map(({ fields }): Traced => ({ ...fields }));
}

/** Requests for objects at the origin: their trace headers, and what their signature covers. */
function sentOn({ requests }: S3Server) {
  return requests
    .filter(({ operation }) => operation === "GET" || operation === "HEAD")
    .map(({ operation, headers }) => ({
      operation,
      traceparent: headers["traceparent"],
      tracestate: headers["tracestate"],
      isSigned: /SignedHeaders=[^,]*trace/.test(headers.authorization ?? ""),
    }));
}

async function read(fixture: ReplicaFixture, key: string, headers: Record<string, string>): Promise<string> {
  const response = await fixture.get(key, headers);
  assert.equal((await response.arrayBuffer()).byteLength, sizeBytes);
  return response.headers.get("x-amz-request-id") ?? "";
}

test("trace context: an origin that checks signatures gets both headers, and the logs the trace id", async (context) => {
  const credentials = { accessKey: "test", secretKey: "test-secret" };
  const origin = await S3Server.start({ buckets: [testBucket], credentials });
  const fixture = await startReplica({
    origin,
    disk: true,
    settings: { logging: { access: "all", slow_request: "1ms" } },
  });
  context.after(async () => {
    await fixture.stop();
    await origin.stop();
  });
  origin.put(testBucket, "k", { seed: 1, sizeBytes });
  const gate = origin.hold("GET", "k", 500);
  const answer = read(fixture, "k", { traceparent, tracestate });
  await gate.reached;
  setTimeout(() => gate.release(), 5);
  const requestId = await answer;
  await until(() => linesOf(fixture).some(({ log }) => log === "access"));
  origin.put(testBucket, "other", { seed: 1, sizeBytes });
  const url = `${fixture.endpoint}/${testBucket}/other`;
  await fetch(url, { method: "HEAD", headers: { traceparent, tracestate } });
  const headers = { traceparent, tracestate, isSigned: false };
  assert.deepEqual(sentOn(origin), [
    { operation: "GET", ...headers },
    { operation: "HEAD", ...headers },
  ]);
  const ofRequest = () => linesOf(fixture).filter((line) => line.requestId === requestId);
  // The disk stores the chunk after the client has it.
  await until(() => ofRequest().length >= 12);
  const lines = ofRequest();
  assert.deepEqual([...new Set(lines.map((line) => line.traceId))], [traceId]);
  assert.ok(fixture.logger.events.some(({ message }) => message === "A request was slow"));
});

test("trace context: a client without one leaves no header and no field; one that breaks the rules is ignored", async (context) => {
  const fixture = await startReplica({ settings: { logging: { access: "all" } } });
  context.after(() => fixture.stop());
  for (const [index, headers] of [
    {},
    { tracestate },
    { traceparent: traceparent.toUpperCase(), tracestate },
    { traceparent: `${traceparent}-00`, tracestate },
  ].entries()) {
    fixture.origin.put(testBucket, `k${index}`, { seed: 1, sizeBytes });
    await read(fixture, `k${index}`, headers);
  }
  await until(() => linesOf(fixture).filter(({ log }) => log === "access").length === 4);
  const none = { traceparent: undefined, tracestate: undefined, isSigned: false };
  for (const { operation: _, ...headers } of sentOn(fixture.origin)) assert.deepEqual(headers, none);
  assert.equal(sentOn(fixture.origin).length, 4, "one request brings metadata and bytes");
  assert.ok(linesOf(fixture).every((line) => line.traceId === undefined));
});

async function readAll({ origin, replicas }: ReplicaCluster): Promise<void> {
  const [assembler] = replicas as [ReplicaFixture];
  for (let index = 0; index < 12; index += 1) {
    origin.put(testBucket, `k${index}`, { seed: index, sizeBytes });
    await read(assembler, `k${index}`, { traceparent, tracestate });
  }
}

test("trace context: it goes over the mesh to the coordinators, and from them to the origin", async (context) => {
  const cluster = await startReplicas();
  context.after(() => cluster.stop());
  await readAll(cluster);
  const [, ...coordinators] = cluster.replicas;
  const headers = sentOn(cluster.origin);
  assert.equal(headers.length, 12, "one request brings metadata and bytes");
  for (const { operation: _, ...each } of headers)
    assert.deepEqual(each, { traceparent, tracestate, isSigned: false });
  for (const replica of coordinators) {
    const asked = linesOf(replica).filter(({ step }) => step === "peer_request");
    assert.ok(asked.length > 0, "each coordinates some of 12 objects");
    for (const line of asked) assert.equal(line.traceId, traceId);
  }
});
