/** An ops listener whose connections are all taken by somebody else still answers the probes. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { probeEndpoints } from "../../src/ops/endpoints/probe-endpoints.ts";
import { MetricsRegistry } from "../../src/ops/metrics/metrics.ts";
import { OpsServer } from "../../src/ops/ops-server.ts";
import { Readiness } from "../../src/ops/readiness.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { neverDies } from "../support/never-dies.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";

const answersWithinMs = 1000;

async function start(context: TestContext) {
  const metrics = new MetricsRegistry(new SystemClock());
  metrics.gauge("orca_large", `Fills the buffers of the kernel. ${"x".repeat(400_000)}`, () => 1);
  const server = new OpsServer({
    host: "127.0.0.1",
    port: 0,
    endpoints: [
      ...probeEndpoints(new Readiness(), metrics),
      {
        method: "POST",
        path: "/wait",
        help: "never ends",
        action: "wait",
        answer: () => new Promise(() => {}),
      },
    ],
    clock: new FakeClock(),
    logger: new RecordedLogger(),
    onDied: neverDies,
    requestTimeoutMs: 60_000,
  });
  context.after(() => server.stop());
  return { server, port: (await server.start()).port };
}

/** Opens `count` connections that send `text` and read nothing. Resolves when the server has taken what it could. */
async function occupy(context: TestContext, port: number, count: number, text: string): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, "127.0.0.1"));
  context.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (const socket of sockets) socket.on("error", () => {});
  await Promise.all(
    sockets.map(async (socket) => {
      await once(socket, "connect");
      socket.pause();
      if (text) socket.write(text);
    }),
  );
  return sockets;
}

async function probe(port: number): Promise<number> {
  const signal = AbortSignal.timeout(answersWithinMs);
  const response = await fetch(`http://127.0.0.1:${port}/healthz`, {
    signal,
    headers: { connection: "close" },
  });
  await response.text();
  return response.status;
}

const metricsRequest = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
const wait = "POST /wait HTTP/1.1\r\nHost: localhost\r\nx-orca-action: wait\r\nContent-Length: 0\r\n\r\n";
for (const { what, text } of [
  { what: "say nothing", text: "" },
  { what: "do not finish their request", text: "GET /healthz HTTP/1.1\r\n" },
  { what: "do not read the answers", text: metricsRequest },
  { what: "run actions without end", text: wait },
]) {
  test(`OpsServer: 200 connections that ${what} do not keep a probe from its answer`, async (context) => {
    const { server, port } = await start(context);
    await occupy(context, port, 200, text);
    for (let index = 0; index < 3; index += 1) assert.equal(await probe(port), 200);
    assert.ok(server.connections <= 64, String(server.connections));
    assert.ok(server.stats.closedForRoom >= 136, String(server.stats.closedForRoom));
  });
}

test("OpsServer: of the connections at its limit, one that runs an action is closed last", async (context) => {
  const { port } = await start(context);
  const [running] = await occupy(context, port, 1, wait);
  let closed = false;
  running?.resume().once("close", () => (closed = true));
  await occupy(context, port, 150, "");
  assert.equal(await probe(port), 200);
  assert.equal(closed, false);
});

test("OpsServer: a request that comes before the last one is answered closes the connection", async (context) => {
  const { port } = await start(context);
  const socket = connect(port, "127.0.0.1");
  let received = 0;
  socket.on("data", (bytes: Buffer) => (received += bytes.length)).write(metricsRequest.repeat(1000));
  await once(socket, "close");
  assert.ok(received < 1_000_000, String(received));
});
