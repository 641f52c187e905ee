import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import type { BucketHandler } from "../../src/edge/bucket-handler.ts";
import { EdgeStats } from "../../src/edge/edge-stats.ts";
import type { Exchange } from "../../src/edge/exchange.ts";
import type { ObjectHandler } from "../../src/edge/object-handler.ts";
import { S3Listener } from "../../src/edge/s3-listener.ts";
import type { SubResourceHandler } from "../../src/edge/sub-resources/sub-resource-handler.ts";
import type { Bucket } from "../../src/object/bucket.ts";
import { Buckets } from "../../src/object/buckets.ts";
import { TraceContexts } from "../../src/trace/trace-contexts.ts";
import { neverDies } from "../support/never-dies.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { until } from "../support/until.ts";

/** A listener whose handlers do what a test says. */
async function listenerWith(context: TestContext, handle: (exchange: Exchange) => void) {
  const logger = new RecordedLogger();
  const listener = new S3Listener({
    host: "127.0.0.1",
    port: 0,
    domain: undefined,
    connectionsMax: 100,
    requestsMax: 100,
    clientStallTimeoutMs: 5000,
    clientMinRateBytes: 16 * 1024,
    keepAliveTimeoutMs: 5000,
    headerTimeoutMs: 5000,
    tls: undefined,
    hostId: "host",
    slowRequestMs: 5000,
    accessMode: "off",
    accessLogger: logger,
    traceContexts: new TraceContexts(),
    buckets: new Buckets(new Map([["b", {} as Bucket]])),
    objectHandler: { handle } as unknown as ObjectHandler,
    bucketHandler: { handle, listBuckets: handle } as unknown as BucketHandler,
    subResourceHandler: { handle } as unknown as SubResourceHandler,
    stats: new EdgeStats(),
    clock: new SystemClock(),
    random: new SeededRandom(1),
    logger,
    onDied: neverDies,
  });
  const { port } = await listener.start();
  context.after(() => listener.close());
  return { listener, logger, url: (path: string) => `http://127.0.0.1:${port}${path}` };
}

test("S3Listener: an exception of a handler is the 500 of its request, and others are served", async (context) => {
  const { listener, url } = await listenerWith(context, (exchange) => {
    if (exchange.key === "good") exchange.send(200, ["Content-Length", "0"], "");
    else throw new TypeError("Invalid URL");
  });
  for (const path of ["/", "/b", "/b/bad"]) {
    const response = await fetch(url(path));
    assert.equal(response.status, 500);
    assert.match(await response.text(), /<Code>InternalError<\/Code>/);
  }
  assert.equal((await fetch(url("/b/good"))).status, 200);
  assert.equal(listener.requestsInFlight, 0);
});

test("S3Listener: an exception after the head cuts its response alone", async (context) => {
  const { listener, url } = await listenerWith(context, (exchange) => {
    exchange.response.writeHead(200, ["Content-Length", "10"]);
    exchange.response.write("12345");
    throw new TypeError("Invalid URL");
  });
  await assert.rejects(async () => (await fetch(url("/b/k"))).text());
  await assert.rejects(async () => (await fetch(url("/b/k"))).text());
  assert.equal(listener.requestsInFlight, 0);
});

test("S3Listener.announceStop: new connections are served, and each response closes its connection", async (context) => {
  const held: Exchange[] = [];
  const { listener, url } = await listenerWith(context, (exchange) => {
    if (exchange.key === "held") held.push(exchange);
    else exchange.send(200, ["Content-Length", "0"], "");
  });
  const before = await fetch(url("/b/k"));
  assert.equal(before.headers.get("connection"), "keep-alive");
  const waiting = fetch(url("/b/held"));
  await until(() => held.length === 1);
  listener.announceStop();
  held[0]?.send(200, ["Content-Length", "0"], "");
  for (const response of [await waiting, await fetch(url("/b/k"))]) {
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("connection"), "close");
  }
});
