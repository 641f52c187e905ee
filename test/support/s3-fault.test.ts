import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, beforeEach, test } from "node:test";
import { FakeClock, settle } from "./fake-clock.ts";
import { patternBytes } from "./pattern.ts";
import { Gate } from "./s3-fault.ts";
import { S3Server } from "./s3-server.ts";

const clock = new FakeClock();
const server = await S3Server.start({ buckets: ["b"], clock });
const body = patternBytes(1, 0, 1000).toString("latin1");

after(() => server.stop());
beforeEach(() => {
  server.faults.clear();
  server.forgetRequests();
  server.put("b", "k", { seed: 1, sizeBytes: 1000, etag: "v1" });
});

/** What came over the wire until the server closed the connection, and how it ended. */
interface Wire {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  readonly wasReset: boolean;
}

async function get(headers: Readonly<Record<string, string>> = {}, method = "GET"): Promise<Wire> {
  const socket = connect(Number(new URL(server.endpoint).port), "127.0.0.1");
  let text = "";
  let wasReset = false;
  socket.setEncoding("latin1");
  socket.on("data", (piece: string) => {
    text += piece;
  });
  socket.on("error", () => {
    wasReset = true;
  });
  const lines = Object.entries({ host: "server", connection: "close", ...headers });
  socket.write(
    `${method} /b/k HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
  );
  await new Promise((resolve) => {
    socket.once("close", resolve);
  });
  const [headText = "", ...rest] = text.split("\r\n\r\n");
  return {
    status: Number(headText.split(" ")[1]),
    head: headText.toLowerCase(),
    body: rest.join("\r\n\r\n"),
    wasReset,
  };
}

test("faults.next: each request takes one, `{}` lets one pass, then all is well", async () => {
  server.faults.next("GET", "k", {}, { status: 503, headers: { "retry-after": "7" } });
  server.faults.next("GET", "other", { status: 500 });
  server.faults.next("HEAD", "k", { status: 500 });
  assert.equal((await get()).status, 200);
  const refused = await get();
  assert.equal(refused.status, 503);
  assert.match(refused.head, /\r\nretry-after: 7\r\n/);
  assert.match(refused.body, /<Code>SlowDown<\/Code>/);
  assert.equal((await get()).status, 200);
  assert.equal((await get({}, "HEAD")).status, 500);
});

test("faults.always: every request, after the queued ones; the last call wins; `*` is any", async () => {
  server.faults.always("*", "*", { status: 500 });
  server.faults.always("GET", "k", { status: 403 });
  server.faults.next("GET", "k", { status: 503 });
  assert.deepEqual([(await get()).status, (await get()).status, (await get()).status], [503, 403, 403]);
  assert.equal((await get({}, "HEAD")).status, 500);
});

test("reset: the connection ends before a byte of the answer", async () => {
  server.faults.next("GET", "k", { reset: true });
  const wire = await get();
  assert.ok(wire.wasReset);
  assert.equal(wire.head, "");
});

test("garbageHead: what comes is no HTTP", async () => {
  server.faults.next("GET", "k", { garbageHead: true });
  assert.doesNotMatch((await get()).head, /^http/);
});

test("gate: holds the head, or the body after so many bytes, until it is released", async () => {
  const beforeHead = server.hold("GET", "k");
  const first = get();
  await beforeHead.reached;
  assert.equal(server.requests[0]?.status, 0);
  beforeHead.release();
  assert.equal((await first).body, body);

  const inBody = server.hold("GET", "k", 300);
  const second = get();
  await inBody.reached;
  assert.equal(server.requests[1]?.bytesSent, 300);
  inBody.release();
  assert.equal((await second).body, body);
});

test("Gate.reachedBy: counts the answers that stand at a gate", async () => {
  const gate = new Gate(0);
  server.faults.always("GET", "k", { gate });
  const answers = [get(), get(), get()];
  await gate.reachedBy(3);
  assert.equal(server.inFlight, 3);
  assert.equal(gate.arrivals, 3);
  gate.release();
  for (const answer of await Promise.all(answers)) assert.equal(answer.body, body);
});

test("cutAfterBytes: the connection ends inside the body", async () => {
  server.faults.next("GET", "k", { cutAfterBytes: 400 }, { cutAfterBytes: 0 });
  const cut = await get();
  assert.match(cut.head, /\r\ncontent-length: 1000/);
  assert.equal(cut.body, body.slice(0, 400));
  assert.equal((await get()).body, "");
});

test("stallAfterBytes: nothing more comes, and the end of the server ends it", async () => {
  server.faults.next("GET", "k", { stallAfterBytes: 400 });
  const stalled = get();
  while (server.requests[0]?.bytesSent !== 400) await settle();
  server.cutConnections();
  assert.equal((await stalled).body, body.slice(0, 400));
  assert.equal(server.inFlight, 0);
});

test("contentLengthDelta: bytes follow the declared body, or the declared body never comes whole", async () => {
  server.faults.next("GET", "k", { contentLengthDelta: -10 }, { contentLengthDelta: 10 });
  const short = await get();
  assert.match(short.head, /\r\ncontent-length: 990/);
  assert.equal(short.body, body);
  const long = await get();
  assert.match(long.head, /\r\ncontent-length: 1010/);
  assert.equal(long.body, body);
});

test("extraBytes: junk follows a complete body", async () => {
  server.faults.next("GET", "k", { extraBytes: 6 });
  const wire = await get();
  assert.match(wire.head, /\r\ncontent-length: 1000/);
  assert.equal(wire.body, `${body}junkju`);
});

test("chunked: no Content-Length", async () => {
  server.faults.next("GET", "k", { chunked: true });
  const wire = await get();
  assert.match(wire.head, /\r\ntransfer-encoding: chunked/);
  assert.doesNotMatch(wire.head, /content-length/);
  assert.equal(wire.body, `3e8\r\n${body}\r\n0\r\n\r\n`);
});

test("ignoreRange, ignoreConditions: a server that does not know the headers", async () => {
  server.faults.next("GET", "k", { ignoreRange: true }, { ignoreConditions: true });
  const whole = await get({ range: "bytes=1-2" });
  assert.deepEqual([whole.status, whole.body], [200, body]);
  const unpinned = await get({ "if-match": '"v0"', range: "bytes=1-2" });
  assert.deepEqual([unpinned.status, unpinned.body], [206, body.slice(1, 3)]);
});

test("headers: replaced or taken away, in any case", async () => {
  server.faults.next(
    "GET",
    "k",
    { headers: { ETag: 'W/"v1"', "Content-Range": "bytes 5-9/10" } },
    { headers: { etag: null } },
  );
  const changed = await get({ range: "bytes=1-2" });
  assert.match(changed.head, /\r\netag: w\/"v1"\r\n/);
  assert.match(changed.head, /\r\ncontent-range: bytes 5-9\/10/);
  assert.doesNotMatch((await get()).head, /etag/);
});

test("delayHeadMs, bytesPerSecond: by the server's clock", async () => {
  server.faults.next("GET", "k", { delayHeadMs: 5000, bytesPerSecond: 100 });
  const slow = get();
  while (clock.pendingTimers === 0) await settle();
  await clock.advance(4999);
  assert.equal(server.requests[0]?.status, 0);
  await clock.advance(1);
  while (clock.pendingTimers === 0) await settle();
  assert.equal(server.requests[0]?.bytesSent, 1);
  for (let second = 0; second < 10; second += 1) {
    for (let step = 0; step < 100; step += 1) {
      await clock.advance(10);
      while (clock.pendingTimers === 0 && !server.requests[0]?.closed) await settle();
    }
  }
  assert.equal((await slow).body, body);
});

test("a client that goes away frees its place", async () => {
  server.faults.next("GET", "k", { stallAfterBytes: 10 });
  const stop = new AbortController();
  const response = await fetch(`${server.endpoint}/b/k`, { signal: stop.signal });
  stop.abort();
  await assert.rejects(response.arrayBuffer());
  while (server.inFlight > 0) await settle();
});
