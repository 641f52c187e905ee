import assert from "node:assert/strict";
import { request } from "node:http";
import { type TestContext, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { probeEndpoints } from "../../src/ops/endpoints/probe-endpoints.ts";
import { hostDenial } from "../../src/ops/host-guard.ts";
import { MetricsRegistry } from "../../src/ops/metrics/metrics.ts";
import { OpsServer } from "../../src/ops/ops-server.ts";
import { Readiness } from "../../src/ops/readiness.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { neverDies } from "../support/never-dies.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";

test("hostDenial: addresses and localhost are taken, other names are denied", () => {
  for (const host of [
    undefined,
    "localhost",
    "LOCALHOST:8442",
    "localhost.",
    "orca.localhost:8442",
    "127.0.0.1",
    "127.0.0.1:8442",
    "[::1]:8442",
    "[::1]",
    "10.0.0.7:8442",
  ]) {
    assert.equal(hostDenial(host), undefined, String(host));
  }
  for (const host of [
    "",
    "evil.example",
    "evil.example:8442",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evillocalhost",
    "[evil]",
    "1",
  ]) {
    assert.match(hostDenial(host) ?? "", /^this listener is for its own host only/, host);
  }
});

async function statusOf(context: TestContext, listenHost: string, path: string, host: string) {
  const server = new OpsServer({
    host: listenHost,
    port: 0,
    endpoints: probeEndpoints(new Readiness(), new MetricsRegistry(new SystemClock())),
    clock: new FakeClock(),
    logger: new RecordedLogger(),
    onDied: neverDies,
  });
  context.after(() => server.stop());
  const { port } = await server.start();
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  request({ host: "127.0.0.1", port, path, agent: false, headers: { host } }, (response) => {
    response.resume().once("end", () => resolve(response.statusCode));
  })
    .once("error", reject)
    .end();
  return promise;
}

test("OpsServer: on a loopback address, a page that points its own name there reads nothing", async (context) => {
  for (const path of ["/healthz", "/metrics", "/", "/nothing"])
    assert.equal(await statusOf(context, "127.0.0.1", path, "evil.example"), 403, path);
  assert.equal(await statusOf(context, "127.0.0.1", "/healthz", "localhost:8442"), 200);
});

test("OpsServer: on any other address, names are taken: a load balancer or a service has one", async (context) => {
  assert.equal(await statusOf(context, "0.0.0.0", "/healthz", "orca.default.svc:8442"), 200);
});
