import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { SettingsTree } from "../../src/config/load.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

const request = `GET /${testBucket}/held HTTP/1.1\r\nHost: h\r\n\r\n`;
/** The lean lane leaves it to node:http, which parses all that one read has brought. */
const oddRequest = `GET /${testBucket}/held HTTP/1.1\r\nHost: h\r\nTE: x\r\n\r\n`;
const sizeBytes = 10;

/** The origin has `held`, whose GET waits for the gate, and `k`, which Orca knows. */
async function start(context: TestContext, server: SettingsTree = {}) {
  const fixture = await startReplica({ settings: { server } });
  context.after(() => fixture.stop());
  const { origin, get } = fixture;
  for (const key of ["held", "k"]) origin.put(testBucket, key, { seed: 1, sizeBytes });
  assertPattern(Buffer.from(await (await get("k")).arrayBuffer()), 1, 0);
  return { ...fixture, gate: origin.hold("GET", "held") };
}

function open(context: TestContext, { endpoint }: ReplicaFixture): Socket {
  const socket = connect(Number(new URL(endpoint).port), "127.0.0.1");
  socket.on("error", () => {});
  context.after(() => socket.destroy());
  return socket;
}

function reaches(fixture: ReplicaFixture, series: string, value: number): Promise<void> {
  return until(async () => (await fixture.metric(series)) === value, 10_000);
}

for (const [way, each] of [
  ["the lane", request],
  ["node:http", oddRequest],
] as const) {
  test(`pipelining by ${way}: only the request whose turn has come is in progress, and 16 are read ahead of their answers`, async (context) => {
    const fixture = await start(context);
    const socket = open(context, fixture);
    let answer = "";
    socket.setEncoding("latin1").on("data", (text: string) => (answer += text));
    socket.write(each.repeat(16));
    await reaches(fixture, "orca_requests_pipelined", 15);
    assert.equal(await fixture.metric("orca_requests_in_flight"), 1);
    // Orca answers others meanwhile, so it has had the time to read more.
    socket.write(each.repeat(50));
    for (let round = 0; round < 5; round += 1) assert.equal((await fixture.get("k")).status, 200);
    assert.equal(await fixture.metric("orca_requests_pipelined"), 15);
    fixture.gate.release();
    while (answer.split("HTTP/1.1 200 OK").length - 1 < 66) await once(socket, "data");
    await reaches(fixture, "orca_requests_in_flight", 0);
    assert.equal(await fixture.metric("orca_requests_pipelined"), 0);
    assert.deepEqual([fixture.origin.count("HEAD", "held"), fixture.origin.count("GET", "held")], [0, 1]);
  });
}

test("pipelining by node:http: six connections full of requests take six of server.max_requests, and others are served", async (context) => {
  const requestsMax = 500;
  const fixture = await start(context, { max_requests: requestsMax });
  const sockets = Array.from({ length: 6 }, () => open(context, fixture));
  for (const socket of sockets) socket.write(oddRequest.repeat(Math.ceil((381 * 1024) / oddRequest.length)));
  await reaches(fixture, "orca_pipelines_cut_total", 6);
  await reaches(fixture, "orca_requests_pipelined", 0);
  const small = Array.from({ length: 6 }, () => open(context, fixture));
  for (const socket of small) socket.write(oddRequest.repeat(60));
  await reaches(fixture, "orca_requests_pipelined", 6 * 59);
  assert.equal(await fixture.metric("orca_requests_in_flight"), 6);
  assertPattern(Buffer.from(await (await fixture.get("k")).arrayBuffer()), 1, 0);
  assert.equal(await fixture.metric('orca_requests_total{operation="get_object",status="503"}'), 0);
  for (const socket of small) socket.resetAndDestroy();
  fixture.gate.release();
  await reaches(fixture, "orca_requests_in_flight", 0);
  assert.equal(await fixture.metric("orca_requests_pipelined"), 0);
});

test("pipelining by the lane: connections full of requests have 15 waiting each, and none is cut", async (context) => {
  const fixture = await start(context, { max_requests: 500 });
  const sockets = Array.from({ length: 6 }, () => open(context, fixture));
  for (const socket of sockets) socket.write(request.repeat(Math.ceil((381 * 1024) / request.length)));
  await reaches(fixture, "orca_requests_pipelined", 6 * 15);
  assert.equal(await fixture.metric("orca_requests_in_flight"), 6);
  assertPattern(Buffer.from(await (await fixture.get("k")).arrayBuffer()), 1, 0);
  for (const socket of sockets) socket.resetAndDestroy();
  fixture.gate.release();
  await reaches(fixture, "orca_requests_in_flight", 0);
  assert.equal(await fixture.metric("orca_requests_pipelined"), 0);
  assert.equal(await fixture.metric("orca_pipelines_cut_total"), 0);
});

test("pipelining by the lane: a connection with one request more than may wait in all is cut", async (context) => {
  const fixture = await start(context, { max_requests: 20 });
  const sockets = [open(context, fixture), open(context, fixture)];
  sockets[0]?.write(request.repeat(16));
  await reaches(fixture, "orca_requests_pipelined", 15);
  sockets[1]?.write(request.repeat(7));
  await reaches(fixture, "orca_pipelines_cut_total", 1);
  await reaches(fixture, "orca_requests_pipelined", 15);
  assert.equal(await fixture.metric("orca_requests_in_flight"), 1);
});
