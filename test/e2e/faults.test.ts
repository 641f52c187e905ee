import assert from "node:assert/strict";
import { connect } from "node:net";
import { afterEach, test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { assertPattern } from "../support/pattern.ts";
import {
  type ReplicaFixture,
  type ReplicaFixtureOptions,
  startReplica,
  testBucket,
} from "../support/replica-fixture.ts";
import { type Fault, Gate } from "../support/s3-fault.ts";

let orca: ReplicaFixture | undefined;

async function start(options: ReplicaFixtureOptions = {}): Promise<ReplicaFixture> {
  orca = await startReplica({ disk: true, ...options });
  return orca;
}

afterEach(async () => {
  await orca?.stop();
  orca = undefined;
});

async function codeOf(response: Response): Promise<string | undefined> {
  return /<Code>(\w+)<\/Code>/.exec(await response.text())?.[1];
}

async function readAll(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

const sizeBytes = 9 * MiB + 17;

/** Faults that pass: the client sees nothing but a good object, and what was fetched twice is only what was lost. */
const passing: readonly [string, Fault][] = [
  ["resets the connection", { reset: true }],
  ["answers 500", { status: 500 }],
  ["answers 503 with Retry-After: 0", { status: 503, headers: { "Retry-After": "0" } }],
  ["breaks off after 3 MiB", { cutAfterBytes: 3 * MiB + 5 }],
  ["declares more than it sends", { contentLengthDelta: 10 }],
  ["sends no HTTP", { garbageHead: true }],
  ["sends junk after a complete body", { extraBytes: 100 }],
];

test("a GET whose bytes are encoded otherwise than the HEAD said is refused, and not cached", async () => {
  const { origin, endpoint, get } = await start();
  origin.put(testBucket, "k", { seed: 2, sizeBytes: MiB });
  await fetch(`${endpoint}/${testBucket}/k`, { method: "HEAD" });
  origin.faults.next("GET", "k", { headers: { "Content-Encoding": "gzip" } });
  const refused = await get("k");
  assert.equal(refused.status, 502);
  assert.equal(await codeOf(refused), "OriginUnsupported");
  assertPattern(await readAll(await get("k")), 2, 0);
  assert.equal(origin.count("GET", "k"), 2);
});

for (const [what, fault] of passing) {
  test(`a GET whose origin ${what} once is served whole and right`, async () => {
    const { origin, get } = await start();
    origin.put(testBucket, "k", { seed: 2, sizeBytes });
    origin.faults.next("GET", "k", fault);
    const response = await get("k");
    assert.equal(response.status, 200);
    const bytes = await readAll(response);
    assert.equal(bytes.length, sizeBytes);
    assertPattern(bytes, 2, 0);
    assertPattern(await readAll(await get("k")), 2, 0);
  });
}

test("a broken body is resumed at the byte where it stopped, not fetched again", async () => {
  const { origin, get, metric } = await start();
  origin.put(testBucket, "k", { seed: 2, sizeBytes: 8 * MiB });
  origin.faults.next("GET", "k", { cutAfterBytes: 3 * MiB });
  assertPattern(await readAll(await get("k")), 2, 0);
  assert.equal(origin.bytesSent("k"), 8 * MiB);
  assert.equal(await metric('orca_origin_resumes_total{origin="test"}'), 1);
});

/** Faults that stay: the right S3 error, nothing stored, and a good object as soon as the origin is well again. */
const lasting: readonly [string, Fault, number, string][] = [
  ["is forbidden to us", { status: 403 }, 502, "OriginUnauthorized"],
  ["fails", { status: 500 }, 502, "OriginUnreachable"],
  ["throttles", { status: 503, headers: { "Retry-After": "7" } }, 503, "SlowDown"],
  ["answers 200 to a range", { ignoreRange: true }, 502, "OriginUnsupported"],
  ["sends chunked bodies", { chunked: true }, 502, "OriginUnsupported"],
  [
    "answers another range",
    { headers: { "Content-Range": `bytes 1-100/${sizeBytes}` } },
    502,
    "OriginUnreachable",
  ],
  ["declares too few bytes", { contentLengthDelta: -5 }, 502, "OriginUnreachable"],
];

for (const [what, fault, status, code] of lasting) {
  test(`a GET whose origin ${what} is ${status} ${code}, and nothing of it is stored`, async () => {
    const { origin, get, metric } = await start();
    origin.put(testBucket, "k", { seed: 2, sizeBytes });
    origin.faults.always("GET", "k", fault);
    const response = await get("k");
    assert.equal(response.status, status);
    assert.equal(await codeOf(response), code);
    if (status === 503) assert.equal(response.headers.get("retry-after"), "7");
    assert.equal(await metric("orca_memory_used_bytes"), 0);
    assert.equal(await metric("orca_disk_chunks"), 0);
    assert.equal(await metric('orca_origin_requests_in_flight{origin="test"}'), 0);
    origin.faults.clear();
    assertPattern(await readAll(await get("k")), 2, 0);
  });
}

for (const method of ["HEAD", "GET"] as const) {
  test(`${method}: faults of the origin have their own codes, and facts about the object are kept`, async () => {
    const { origin, endpoint } = await start();
    const faults: readonly [string, Fault, number, string, number][] = [
      // The bytes of an archived object are denied, and its metadata is not: so a HEAD follows a GET that is denied.
      ["denied", { status: 403 }, 502, "OriginUnauthorized", method === "GET" ? 3 : 2],
      ["no-etag", { headers: { ETag: null } }, 502, "OriginMissingETag", 1],
      ["weak-etag", { headers: { ETag: 'W/"x"' } }, 502, "OriginMissingETag", 1],
      ["empty-etag", { headers: { ETag: '""' } }, 502, "OriginMissingETag", 1],
      ["failing", { status: 500 }, 502, "OriginUnreachable", 6],
    ];
    for (const [key, fault, status, code, asked] of faults) {
      origin.put(testBucket, key, { seed: 1, sizeBytes: 10 });
      origin.faults.always(method, key, fault);
      for (let request = 0; request < 2; request += 1) {
        const response = await fetch(`${endpoint}/${testBucket}/${key}`, { method });
        assert.equal(response.status, status, key);
        if (method === "GET") assert.equal(await codeOf(response), code, key);
      }
      assert.equal(origin.count(method, key), asked, key);
      const others = origin.count(method === "GET" ? "HEAD" : "GET", key);
      // A second one, for both requests, looks whether the object has been archived.
      assert.equal(others, method === "GET" && key === "denied" ? 2 : 0, key);
    }
  });
}

test("an origin that is down is 502, and an error is not remembered", async () => {
  const { origin, get } = await start();
  origin.put(testBucket, "k", { seed: 2, sizeBytes: 100 });
  await origin.stop();
  assert.equal((await get("k")).status, 502);
  await origin.listen();
  assertPattern(await readAll(await get("k")), 2, 0);
});

test("an origin that stalls in mid-body is resumed, and the client notices nothing", async () => {
  const { origin, get } = await start({ settings: { origin: { stall_timeout: "50ms" } } });
  origin.put(testBucket, "k", { seed: 2, sizeBytes });
  origin.faults.next("GET", "k", { stallAfterBytes: 2 * MiB });
  assertPattern(await readAll(await get("k")), 2, 0);
});

test("an origin that does not answer is given up after attempt_timeout and asked again", async () => {
  const { origin, get } = await start({ settings: { origin: { attempt_timeout: "50ms" } } });
  origin.put(testBucket, "k", { seed: 2, sizeBytes: 100 });
  const gate = origin.hold("GET", "k");
  assertPattern(await readAll(await get("k")), 2, 0);
  gate.release();
});

test("an object overwritten between two GETs is answered in its new version, all of it", async () => {
  const { origin, get } = await start();
  origin.put(testBucket, "k", { seed: 2, sizeBytes });
  assert.equal((await get("k", { range: "bytes=0-0" })).status, 206);
  await orca?.metric("orca_flights");
  const { etag } = origin.put(testBucket, "k", { seed: 3, sizeBytes: sizeBytes + 100 });
  const response = await get("k", { range: "bytes=-100" });
  assert.equal(response.status, 206);
  assert.equal(response.headers.get("etag"), `"${etag}"`);
  assert.equal(
    response.headers.get("content-range"),
    `bytes ${sizeBytes}-${sizeBytes + 99}/${sizeBytes + 100}`,
  );
  assertPattern(await readAll(response), 3, sizeBytes);
  // The first range, the one that the origin rejected, and the end of the new version with its metadata.
  assert.deepEqual([origin.count("HEAD", "k"), origin.count("GET", "k")], [0, 3]);
});

test("an object that an origin without If-Match swaps under us is never mixed into another version", async () => {
  const { origin, get } = await start();
  origin.put(testBucket, "k", { seed: 2, sizeBytes });
  origin.faults.always("GET", "k", { ignoreConditions: true });
  assert.equal((await get("k", { range: "bytes=0-0" })).status, 206);
  origin.put(testBucket, "k", { seed: 3, sizeBytes });
  assertPattern(await readAll(await get("k", { range: "bytes=-10" })), 3, sizeBytes - 10);
});

test("an object overwritten while it is sent ends in a short body, never in a mixture", async () => {
  const { origin, get } = await start({ settings: { chunking: { readahead: 0 } } });
  origin.put(testBucket, "k", { seed: 2, sizeBytes: 20 * MiB });
  const gate = origin.hold("GET", "k", 4 * MiB);
  const response = await get("k");
  assert.equal(response.status, 200);
  await gate.reached;
  origin.put(testBucket, "k", { seed: 3, sizeBytes: 20 * MiB });
  gate.release();
  await assert.rejects(readAll(response));
  assert.equal(await orca?.metric("orca_bodies_cut_total"), 1);
  assertPattern(await readAll(await get("k")), 3, 0);
});

test("an origin that breaks off for good after the first byte ends in a short body", async () => {
  const { origin, get } = await start();
  origin.put(testBucket, "k", { seed: 2, sizeBytes: 8 * MiB });
  origin.faults.next("GET", "k", { cutAfterBytes: 2 * MiB });
  origin.faults.next("GET", "k", { status: 500 }, { status: 500 }, { status: 500 });
  const response = await get("k");
  assert.equal(response.status, 200);
  await assert.rejects(readAll(response));
  assert.equal(await orca?.metric("orca_disk_chunks"), 0);
});

test("an object deleted at the origin is gone for us after its metadata is, and 404 is the honest answer", async () => {
  const { origin, endpoint, get } = await start();
  origin.put(testBucket, "k", { seed: 2, sizeBytes: 100 });
  await fetch(`${endpoint}/${testBucket}/k`, { method: "HEAD" });
  origin.delete(testBucket, "k");
  const response = await get("k");
  assert.deepEqual([response.status, await codeOf(response)], [404, "NoSuchKey"]);
});

test("200 clients on one cold object cause no HEAD, and read each byte once", async () => {
  const { origin, get, metric } = await start();
  origin.put(testBucket, "k", { seed: 2, sizeBytes: 64 * MiB });
  const responses = Array.from({ length: 200 }, async (_, index) => {
    const from = (index * 331_337) % (60 * MiB);
    const response = await get("k", { range: `bytes=${from}-${from + 4 * MiB - 1}` });
    assertPattern(await readAll(response), 2, from);
  });
  await Promise.all(responses);
  assert.equal(origin.count("HEAD", "k"), 0);
  assert.equal(origin.bytesSent("k"), 64 * MiB);
  assert.equal(await metric("orca_bodies_cut_total"), 0);
});

test("target_global bounds the requests in flight to the origin", async () => {
  const { origin, get } = await start({ settings: { origin: { target_global: 3 } } });
  for (let index = 0; index < 20; index += 1)
    origin.put(testBucket, `k${index}`, { seed: index, sizeBytes: 100_000 });
  const gate = new Gate();
  origin.faults.always("GET", "*", { gate });
  const reads = Array.from({ length: 20 }, async (_, index) =>
    assertPattern(await readAll(await get(`k${index}`)), index, 0),
  );
  await gate.reachedBy(3);
  gate.release();
  await Promise.all(reads);
  assert.equal(origin.inFlightMax, 3);
});

test("queue_timeout: who waits too long for the origin is told to slow down", async () => {
  const { origin, get } = await start({ settings: { origin: { target_global: 1, queue_timeout: "30ms" } } });
  origin.put(testBucket, "a", { seed: 1, sizeBytes: 10 });
  origin.put(testBucket, "b", { seed: 2, sizeBytes: 10 });
  const gate = origin.hold("GET", "a");
  const first = get("a");
  await gate.reached;
  const second = await get("b");
  assert.deepEqual([second.status, await codeOf(second)], [503, "SlowDown"]);
  assert.equal(second.headers.get("retry-after"), "1");
  gate.release();
  assert.equal((await first).status, 200);
});

test("server.max_requests: one request more is told to slow down", async () => {
  const { origin, get } = await start({ settings: { server: { max_requests: 1 } } });
  origin.put(testBucket, "k", { seed: 1, sizeBytes: 10 });
  const gate = origin.hold("GET", "k");
  const first = get("k");
  await gate.reached;
  assert.equal((await get("k")).status, 503);
  gate.release();
  assert.equal((await first).status, 200);
});

test("metadata.ttl none: the origin is asked on every request, and an overwrite is seen at once", async () => {
  const { origin, get } = await start({ settings: { metadata: { ttl: "none" } } });
  for (const seed of [1, 2, 3]) {
    origin.put(testBucket, "k", { seed, sizeBytes: 1000 });
    assertPattern(await readAll(await get("k")), seed, 0);
  }
  // Where the bytes of the last version are held, the next question is a HEAD.
  assert.deepEqual([origin.count("HEAD", "k"), origin.count("GET", "k")], [2, 3]);
});

for (const [what, bytes] of [
  ["is no HTTP", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"],
  ["has a bad version", "GET / HTTP/9.9\r\n\r\n"],
  ["has two lengths", "GET /models/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
  ["has endless headers", `GET /models/k HTTP/1.1\r\nHost: h\r\nX: ${"y".repeat(100_000)}\r\n\r\n`],
] as const) {
  test(`a request that ${what} is a 400 with an S3 error, and the next one is served`, async () => {
    const { origin, endpoint, get } = await start();
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = connect(Number(new URL(endpoint).port), "127.0.0.1", () => socket.write(bytes));
    let answer = "";
    socket.setEncoding("latin1").on("data", (text) => (answer += text));
    socket.on("error", () => {}).on("close", () => resolve(answer));
    assert.match(await promise, /^HTTP\/1\.1 400 [^]*<Code>InvalidRequest<\/Code>/);
    origin.put(testBucket, "k", { seed: 1, sizeBytes: 10 });
    assert.equal((await get("k")).status, 200);
  });
}
