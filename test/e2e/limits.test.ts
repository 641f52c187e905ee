import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { LoadConnection } from "../bench/http-load.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { assertPattern, PatternChecker } from "../support/pattern.ts";
import {
  type ReplicaFixture,
  type ReplicaFixtureOptions,
  startReplica,
  testBucket,
} from "../support/replica-fixture.ts";
import { Gate } from "../support/s3-fault.ts";

let orca: ReplicaFixture | undefined;

async function start(options: ReplicaFixtureOptions = {}): Promise<ReplicaFixture> {
  orca = await startReplica(options);
  return orca;
}

afterEach(async () => {
  await orca?.stop();
  orca = undefined;
});

async function readAll(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

/** Reads a whole object as a client that checks each piece and keeps none. */
async function readLarge(
  { endpoint }: ReplicaFixture,
  key: string,
  seed: number,
  sizeBytes: number,
): Promise<void> {
  const checker = new PatternChecker(seed);
  const connection = new LoadConnection(Number(new URL(endpoint).port), (bytes) => checker.update(bytes));
  try {
    await connection.get({ path: `/${testBucket}/${key}`, range: "", bodyBytes: sizeBytes });
  } finally {
    connection.close();
  }
  assert.equal(checker.offset, sizeBytes);
}

test("staleness: an overwrite is seen metadata.ttl after the question was sent, and not before", async () => {
  const clock = new FakeClock();
  const { origin, get } = await start({ clock, settings: { metadata: { ttl: "60s" } } });
  origin.put(testBucket, "k", { seed: 1, sizeBytes: 1000 });
  assertPattern(await readAll(await get("k")), 1, 0);
  origin.put(testBucket, "k", { seed: 2, sizeBytes: 1000 });
  await clock.advance(59_999);
  assertPattern(await readAll(await get("k")), 1, 0);
  await clock.advance(1);
  assertPattern(await readAll(await get("k")), 2, 0);
  assert.deepEqual([origin.count("HEAD", "k"), origin.count("GET", "k")], [1, 2]);
});

test("staleness: a creation is seen metadata.negative_ttl after the miss", async () => {
  const clock = new FakeClock();
  const { origin, get } = await start({ clock, settings: { metadata: { negative_ttl: "10s" } } });
  assert.equal((await get("k")).status, 404);
  origin.put(testBucket, "k", { seed: 1, sizeBytes: 1000 });
  await clock.advance(9999);
  assert.equal((await get("k")).status, 404);
  await clock.advance(1);
  assertPattern(await readAll(await get("k")), 1, 0);
});

test("buckets.<name>.metadata: each place at the origin has its own ttl, and immutable objects never expire", async () => {
  const clock = new FakeClock();
  const buckets = {
    models: {},
    daily: { prefix: "daily/", metadata: { ttl: "10s" } },
    fixed: { prefix: "fixed/", metadata: { immutable: true } },
  };
  const { origin, endpoint } = await start({
    clock,
    settings: { metadata: { ttl: "60s" }, origin: { buckets } },
  });
  const keys = { "models/k": "k", "daily/k": "daily/k", "models/daily/k": "daily/k", "fixed/k": "fixed/k" };
  const versions = async (): Promise<(string | null)[]> => {
    const asked = Object.keys(keys).map((path) => fetch(`${endpoint}/${path}`));
    return Promise.all(asked.map(async (each) => (await each).headers.get("etag")));
  };
  for (const key of new Set(Object.values(keys))) origin.put(testBucket, key, { seed: 1, sizeBytes: 1000 });
  const first = await versions();
  for (const key of new Set(Object.values(keys))) origin.put(testBucket, key, { seed: 2, sizeBytes: 1000 });
  assert.deepEqual(await versions(), first);
  await clock.advance(10_000);
  const isNew = async (): Promise<boolean[]> =>
    (await versions()).map((etag, index) => etag !== first[index]);
  assert.deepEqual(await isNew(), [false, true, true, false]);
  await clock.advance(50_000);
  assert.deepEqual(await isNew(), [true, true, true, false]);
  await clock.advance(3_600_000);
  await versions();
  assert.deepEqual([origin.count("HEAD", "fixed/k"), origin.count("GET", "fixed/k")], [0, 1]);
});

test("memory.max_bytes and disk.max_bytes: hold while four times as much is read through", async () => {
  const replica = await start({
    disk: true,
    settings: { memory: { max_bytes: "256MiB" }, disk: { max_bytes: "256MiB" } },
  });
  const { origin, metric } = replica;
  for (let index = 0; index < 16; index += 1) {
    origin.put(testBucket, `k${index}`, { seed: index, sizeBytes: 64 * MiB });
    await readLarge(replica, `k${index}`, index, 64 * MiB);
    assert.ok((await metric("orca_memory_used_bytes")) <= 256 * MiB);
    assert.ok((await metric("orca_disk_used_bytes")) <= 256 * MiB);
  }
  assert.ok((await metric("orca_memory_evictions_total")) > 0);
  assert.ok((await metric("orca_disk_evictions_total")) > 0);
});

test("without a disk, an object larger than memory is still served whole, and fetched once", async () => {
  const replica = await start();
  const { origin } = replica;
  origin.put(testBucket, "k", { seed: 1, sizeBytes: 400 * MiB });
  await readLarge(replica, "k", 1, 400 * MiB);
  assert.equal(origin.bytesSent("k"), 400 * MiB);
});

test("server.drain_timeout: a response that does not finish in time is cut, and the replica stops", async () => {
  const replica = await startReplica({ settings: { server: { drain_timeout: "50ms" } } });
  replica.origin.put(testBucket, "k", { seed: 1, sizeBytes: 8 * MiB });
  const gate = replica.origin.hold("GET", "k", MiB);
  const response = await replica.get("k");
  await gate.reached;
  const body = assert.rejects(readAll(response));
  await replica.stop();
  await body;
  gate.release();
  assert.equal(replica.logger.count("warn") > 0, true);
});

test("stop: does not wait for fills that nobody waits for, nor for memory they queue for", async () => {
  const replica = await startReplica({ settings: { server: { drain_timeout: "50ms" } } });
  const gate = new Gate();
  replica.origin.faults.always("GET", "*", { gate });
  for (let index = 0; index < 40; index += 1) {
    replica.origin.put(testBucket, `k${index}`, { seed: index, sizeBytes: 8 * MiB });
    const socket = connect(Number(new URL(replica.endpoint).port), "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`GET /${testBucket}/k${index} HTTP/1.1\r\nHost: h\r\n\r\n`);
  }
  await gate.reachedBy(32);
  const startedMs = performance.now();
  await replica.stop();
  assert.ok(performance.now() - startedMs < 5000);
  gate.release();
});

test("logs: hold neither secrets nor whole ETags, even at debug and when everything fails", async () => {
  const { origin, get, logger } = await start();
  const { etag } = origin.put(testBucket, "k", { seed: 1, sizeBytes: 100 });
  await readAll(
    await get("k", { authorization: "AWS4-HMAC-SHA256 Credential=client-key-id/x", range: "bytes=0-9" }),
  );
  origin.put(testBucket, "other", { seed: 1, sizeBytes: 100 });
  origin.faults.always("*", "other", { status: 403 });
  await readAll(await get("other"));
  origin.faults.always("*", "k2", { headers: { ETag: `"${etag}"`, "Content-Length": "junk" } });
  await readAll(await get("k2"));
  const text = JSON.stringify(logger.events);
  assert.ok(logger.events.length >= 3);
  for (const secret of ["test-secret", etag, "client-key-id", "Signature="])
    assert.ok(!text.includes(secret), secret);
});

test("server.tls: S3 is served over TLS with the configured certificate", async () => {
  const folder = mkdtempSync(join(tmpdir(), "orca-tls-"));
  const { cert, key } = selfSignedCertificate();
  writeFileSync(join(folder, "tls.crt"), cert);
  writeFileSync(join(folder, "tls.key"), key);
  const tls = { cert_file: join(folder, "tls.crt"), key_file: join(folder, "tls.key") };
  const { origin, endpoint } = await start({ settings: { server: { tls } } });
  origin.put(testBucket, "k", { seed: 1, sizeBytes: 9 * MiB });
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const { port } = new URL(endpoint);
  request({ host: "127.0.0.1", port, path: `/${testBucket}/k`, ca: cert, agent: false }, (response) => {
    const pieces: Buffer[] = [];
    response.on("data", (piece: Buffer) => pieces.push(piece));
    response.on("end", () => resolve(Buffer.concat(pieces)));
  })
    .on("error", reject)
    .end();
  assertPattern(await promise, 1, 0);
  rmSync(folder, { recursive: true });
});

test("server.domain: a bucket is served under its own host name too", async () => {
  const { origin, endpoint } = await start({ settings: { server: { domain: "s3.example.com" } } });
  origin.put(testBucket, "dir/k", { seed: 1, sizeBytes: 10 });
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(Number(new URL(endpoint).port), "127.0.0.1");
  socket.write(`GET /dir/k HTTP/1.1\r\nHost: ${testBucket}.s3.example.com\r\nConnection: close\r\n\r\n`);
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => (answer += text));
  socket.on("close", () => resolve(answer));
  assert.match(await promise, /^HTTP\/1\.1 200 OK\r\n/);
});

test("buckets: clients see the configured names and prefixes, and nothing outside them", async () => {
  const { origin, endpoint } = await start({
    settings: { origin: { buckets: { public: { prefix: "pub/" }, all: {} } } },
  });
  origin.put(testBucket, "pub/a", { seed: 1, sizeBytes: 10 });
  origin.put(testBucket, "secret", { seed: 2, sizeBytes: 10 });
  const status = async (path: string): Promise<number> => (await fetch(`${endpoint}${path}`)).status;
  assert.equal(await status("/public/a"), 200);
  assert.equal(await status("/public/secret"), 404);
  assert.equal(await status("/public/..%2Fsecret"), 400);
  assert.equal(await status("/all/secret"), 200);
  assert.equal(await status(`/${testBucket}/secret`), 404);
  const list = await (await fetch(`${endpoint}/public?list-type=2`)).text();
  assert.match(list, /<Key>a<\/Key>/);
  assert.doesNotMatch(list, /secret|pub\//);
  const buckets = await (await fetch(`${endpoint}/`)).text();
  assert.deepEqual(
    [...buckets.matchAll(/<Name>(\w+)<\/Name>/g)].map(([, name]) => name),
    ["all", "public"],
  );
});

test("keep-alive: a connection that nobody uses is closed, and one that waits for the origin is not", async () => {
  const { origin, endpoint } = await start({
    settings: { server: { client_stall_timeout: "100ms", keep_alive_timeout: "100ms" } },
  });
  origin.put(testBucket, "k", { seed: 1, sizeBytes: 10 });
  const gate = origin.hold("GET", "k");
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(Number(new URL(endpoint).port), "127.0.0.1");
  socket.write(`GET /${testBucket}/k HTTP/1.1\r\nHost: h\r\n\r\n`);
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => (answer += text));
  socket.on("close", () => resolve(answer));
  await gate.reached;
  await new Promise((wake) => setTimeout(wake, 500));
  gate.release();
  assert.match(await promise, /^HTTP\/1\.1 200 OK\r\n/);
});

test("requests: an Expect nobody knows is answered as S3 answers", async () => {
  const { origin, endpoint } = await start();
  origin.put(testBucket, "k", { seed: 1, sizeBytes: 10 });
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(Number(new URL(endpoint).port), "127.0.0.1");
  const headers = "Host: h\r\nExpect: the-unexpected\r\nConnection: close\r\n";
  socket.write(`GET /${testBucket}/k HTTP/1.1\r\n${headers}\r\n`);
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => (answer += text));
  socket.on("close", () => resolve(answer));
  assert.match(await promise, /^HTTP\/1\.1 200 OK\r\n[^]*x-amz-request-id: /);
});
