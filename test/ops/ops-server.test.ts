import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { type TestContext, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { clusterEndpoint, clusterStatus } from "../../src/ops/endpoints/cluster-status.ts";
import { probeEndpoints } from "../../src/ops/endpoints/probe-endpoints.ts";
import { MetricsRegistry } from "../../src/ops/metrics/metrics.ts";
import { textPage } from "../../src/ops/ops-endpoint.ts";
import { OpsServer, type OpsServerOptions } from "../../src/ops/ops-server.ts";
import { Readiness, troubleIn } from "../../src/ops/readiness.ts";
import { clusterOfOne } from "../support/cluster-of-one.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { neverDies } from "../support/never-dies.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";

interface Fixture {
  readonly readiness: Readiness;
  readonly metrics: MetricsRegistry;
  readonly logger: RecordedLogger;
  readonly address: AddressInfo;
  readonly url: (path: string) => string;
}

async function startServer(
  context: TestContext,
  options: Omit<Partial<OpsServerOptions>, keyof Fixture> = {},
): Promise<Fixture> {
  const readiness = new Readiness();
  const metrics = new MetricsRegistry(new SystemClock());
  const logger = new RecordedLogger();
  const server = new OpsServer({
    host: "127.0.0.1",
    port: 0,
    endpoints: [...probeEndpoints(readiness, metrics), clusterEndpoint(clusterOfOne, readiness)],
    clock: new FakeClock(),
    logger,
    onDied: neverDies,
    ...options,
  });
  context.after(() => server.stop());
  const address = await server.start();
  return { readiness, metrics, logger, address, url: (path) => `http://127.0.0.1:${address.port}${path}` };
}

/** Sends `text` as it is and reads until the server closes. */
async function exchange(address: AddressInfo, text: string): Promise<string> {
  const socket = connect(address.port, address.address);
  socket.write(text);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "close");
  return Buffer.concat(chunks).toString();
}

test("OpsServer: /healthz is 200 in every phase", async (context) => {
  const { readiness, url } = await startServer(context);
  for (const phase of ["starting", "serving", "draining"] as const) {
    readiness.enter(phase);
    const response = await fetch(url("/healthz"));
    assert.equal(response.status, 200);
    assert.equal(await response.text(), "ok\n");
  }
});

test("OpsServer: /readyz is 503 with the reasons, and 200 while serving", async (context) => {
  const { readiness, url } = await startServer(context);
  let reason: string | null = "the index is being rebuilt";
  readiness.add("disk", () => reason);
  readiness.enter("serving");
  const notReady = await fetch(url("/readyz"));
  assert.equal(notReady.status, 503);
  assert.equal(notReady.headers.get("content-type"), "application/json");
  assert.deepEqual(await notReady.json(), {
    ready: false,
    checks: { phase: "ok", disk: "the index is being rebuilt" },
    notices: {},
  });
  reason = null;
  const ready = await fetch(url("/readyz?verbose"));
  assert.equal(ready.status, 200);
  assert.deepEqual(await ready.json(), { ready: true, checks: { phase: "ok", disk: "ok" }, notices: {} });
  readiness.enter("draining");
  const draining = await fetch(url("/readyz"));
  assert.equal(draining.status, 503);
  await draining.body?.cancel();
});

test("OpsServer: /metrics is Prometheus text", async (context) => {
  const { metrics, url } = await startServer(context);
  metrics.counter("orca_requests_total", "Requests.", () => 5);
  const response = await fetch(url("/metrics"));
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.match(await response.text(), /^orca_requests_total 5$/m);
});

test("OpsServer: /cluster is the status as JSON, in every phase", async (context) => {
  const { readiness, url } = await startServer(context);
  for (const phase of ["starting", "serving", "draining"] as const) {
    readiness.enter(phase);
    const response = await fetch(url("/cluster"));
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "application/json");
    assert.deepEqual(
      await response.json(),
      clusterStatus(clusterOfOne, phase, troubleIn(readiness.report())),
    );
  }
});

test("OpsServer: a metric that cannot be read is a 500 and a log line, and the server goes on", async (context) => {
  const { metrics, logger, url } = await startServer(context);
  metrics.gauge("orca_broken", "Throws.", () => {
    throw new Error("out of order");
  });
  const response = await fetch(url("/metrics"));
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /out of order/);
  assert.equal(logger.count("error"), 1);
  assert.equal((await fetch(url("/healthz"))).status, 200);
});

test("OpsServer: a flood of requests that fail writes ten lines", async (context) => {
  const { metrics, logger, url } = await startServer(context);
  metrics.gauge("orca_broken", "Throws.", () => {
    throw new Error("out of order");
  });
  for (let index = 0; index < 30; index += 1) assert.equal((await fetch(url("/metrics"))).status, 500);
  assert.equal(logger.count("error"), 10);
});

test("OpsServer: HEAD has the headers and no body", async (context) => {
  const { url } = await startServer(context);
  const response = await fetch(url("/healthz"), { method: "HEAD" });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-length"), "3");
  assert.equal(await response.text(), "");
});

test("OpsServer: / says what is here, and all else is 404", async (context) => {
  const { url } = await startServer(context);
  const help = await (await fetch(url("/"))).text();
  for (const path of ["/healthz", "/readyz", "/metrics", "/cluster"])
    assert.match(help, new RegExp(`^GET  ${path} +\\w`, "m"));
  for (const path of ["/metricsx", "/healthz/", "//", "/%00", "/readyz/../secret"]) {
    const response = await fetch(url(path));
    assert.equal(response.status, 404, path);
    await response.body?.cancel();
  }
});

test("OpsServer: another method is 405 with Allow, and its body is not waited for", async (context) => {
  const { address } = await startServer(context);
  for (const path of ["/healthz", "/", "/nothing"]) {
    const answer = await exchange(
      address,
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nabc`,
    );
    assert.match(answer, /^HTTP\/1\.1 405 /);
    assert.match(answer, /^Allow: GET, HEAD\r$/m);
    assert.match(answer, /^Connection: close\r$/m);
  }
});

test("OpsServer: headers that are too long are refused", async (context) => {
  const { address, url } = await startServer(context);
  const answer = await exchange(
    address,
    `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ${"a".repeat(9000)}\r\n\r\n`,
  );
  assert.match(answer, /^HTTP\/1\.1 431 /);
  assert.equal((await fetch(url("/healthz"))).status, 200);
});

test("OpsServer: a request that is not finished in time is cut off", async (context) => {
  const { address } = await startServer(context, { requestTimeoutMs: 20 });
  assert.match(await exchange(address, "GET /healthz HTTP/1.1\r\nHost:"), /^HTTP\/1\.1 408 /);
});

test("OpsServer: a connection past the limit takes the place of one that rests", async (context) => {
  const { address } = await startServer(context, { connectionsMax: 1 });
  const first = connect(address.port, address.address);
  await once(first, "connect");
  first.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await once(first, "data");
  const closed = once(first, "close");
  const request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  assert.match(await exchange(address, request), /^HTTP\/1\.1 200 /);
  await closed;
});

test("OpsServer: a taken port is config_invalid and names the address", async (context) => {
  const { address } = await startServer(context);
  await assert.rejects(startServer(context, { port: address.port }), {
    code: "config_invalid",
    message: new RegExp(`^Cannot listen for ops on "127\\.0\\.0\\.1:${address.port}": .*EADDRINUSE`),
  });
});

test("OpsServer: stop closes idle connections", async (context) => {
  const server = new OpsServer({
    host: "127.0.0.1",
    port: 0,
    endpoints: [],
    clock: new FakeClock(),
    logger: new RecordedLogger(),
    onDied: neverDies,
  });
  context.after(() => server.stop());
  const { port } = await server.start();
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  const closed = once(socket, "close");
  await server.stop();
  await closed;
});

test("OpsServer: an exception that leaves the answer ends its own request", async (context) => {
  const { url, logger } = await startServer(context, {
    endpoints: [
      {
        method: "GET",
        path: "/odd",
        help: "An answer that cannot be sent",
        answer: () => Promise.resolve({ status: 200, contentType: "text/plain\r\nodd: 1", body: "" }),
      },
      { method: "GET", path: "/good", help: "", answer: () => Promise.resolve(textPage(200, "ok\n")) },
    ],
  });
  await assert.rejects(fetch(url("/odd")));
  assert.equal((await fetch(url("/good"))).status, 200);
  assert.equal(logger.count("error"), 1);
});
