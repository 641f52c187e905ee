/** What cold, warm and expired reads ask of the origin, request by request, through a whole replica. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { KiB, MiB } from "../../src/base/units.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { assertPattern } from "../support/pattern.ts";
import { startReplicas } from "../support/replica-cluster.ts";
import {
  type ReplicaFixture,
  type ReplicaFixtureOptions,
  startReplica,
  testBucket,
} from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const seed = 5;
const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function start(options: ReplicaFixtureOptions = {}): Promise<ReplicaFixture> {
  const orca = await startReplica(options);
  stops.push(orca.stop);
  return orca;
}

/** What the origin was asked of an object: operation, range and status. */
function asked({ origin }: ReplicaFixture, key = "k"): string[] {
  return origin.requests
    .filter((request) => request.key === key)
    .map(({ operation, range, status }) => [operation, range, status].filter((part) => part).join(" "));
}

async function read(
  { get }: ReplicaFixture,
  headers: Record<string, string> = {},
  { start: from = 0, key = "k", status = headers["range"] ? 206 : 200 } = {},
): Promise<Response> {
  const response = await get(key, headers);
  const bytes = Buffer.from(await response.arrayBuffer());
  assert.equal(response.status, status);
  if (status < 300) {
    assert.equal(bytes.length, Number(response.headers.get("content-length")));
    assertPattern(bytes, seed, from);
  }
  return response;
}

async function head({ endpoint }: ReplicaFixture): Promise<Response> {
  return fetch(`${endpoint}/${testBucket}/k`, { method: "HEAD" });
}

const firstChunk = `bytes=0-${8 * MiB - 1}`;

test("a cold small object is one GET, and nothing more after that", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 4 * KiB });
  const cold = await read(orca);
  assert.equal(cold.headers.get("cache-status"), "orca; fwd=miss; detail=origin");
  await read(orca);
  assert.equal((await head(orca)).status, 200);
  assert.deepEqual(asked(orca), [`GET ${firstChunk} 206`]);
  assert.equal(await orca.metric('orca_origin_openings_total{origin="test"}'), 1);
  assert.equal(await orca.metric('orca_origin_openings_wasted_total{origin="test"}'), 0);
});

test("after a HEAD of the object, its GET is one pinned GET", async () => {
  const orca = await start();
  const { etag } = orca.origin.put(testBucket, "k", { seed, sizeBytes: 4 * KiB });
  assert.equal((await head(orca)).headers.get("content-length"), "4096");
  await read(orca);
  assert.deepEqual(asked(orca), ["HEAD 200", "GET bytes=0-4095 206"]);
  assert.equal(orca.origin.requests.at(-1)?.ifMatch, `"${etag}"`);
});

test("a range is one GET of its blocks, wherever it lies in a cold object", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 100 * MiB });
  orca.origin.put(testBucket, "middle", { seed, sizeBytes: 100 * MiB });
  await read(orca, { range: "bytes=5000-5999" }, { start: 5000 });
  assert.deepEqual(asked(orca), [`GET bytes=0-${MiB - 1} 206`]);
  const from = 50 * MiB + 7;
  await read(orca, { range: `bytes=${from}-${from + 9}` }, { start: from, key: "middle" });
  assert.deepEqual(asked(orca, "middle"), [`GET bytes=${50 * MiB}-${51 * MiB - 1} 206`]);
});

test("the end of a cold object is one GET, and so is the footer before it", async () => {
  const orca = await start();
  const few = `GET bytes=-${64 * KiB + MiB - 1} 206`;
  // The end of a chunk, within 64 KiB after one, within 64 KiB after a block, less than a block, less than is asked for.
  const sizes = [16 * MiB, 16 * MiB + 5, 18 * MiB + 100, 21 * MiB - 1, 500 * KiB, 5 * KiB];
  for (const [index, sizeBytes] of sizes.entries()) {
    const key = `k${index}`;
    orca.origin.put(testBucket, key, { seed, sizeBytes });
    const last = await read(orca, { range: "bytes=-8" }, { start: sizeBytes - 8, key });
    assert.equal(last.headers.get("content-range"), `bytes ${sizeBytes - 8}-${sizeBytes - 1}/${sizeBytes}`);
    await read(orca, { range: `bytes=-${64 * KiB}` }, { start: Math.max(0, sizeBytes - 64 * KiB), key });
    assert.deepEqual(asked(orca, key), [few], key);
    assert.equal(orca.origin.bytesSent(key), Math.min(sizeBytes, 64 * KiB + MiB - 1));
  }
  assert.equal(await orca.metric('orca_origin_openings_total{origin="test"}'), sizes.length);
  assert.equal(await orca.metric('orca_origin_openings_wasted_total{origin="test"}'), 0);
});

test("the last megabytes of a cold object are one GET up to a chunk of the smallest size, and more is a HEAD first", async () => {
  const orca = await start();
  const sizeBytes = 21 * MiB + 77;
  for (const key of ["k", "more"]) orca.origin.put(testBucket, key, { seed, sizeBytes });
  const most = 7 * MiB + 1;
  await read(orca, { range: `bytes=-${most}` }, { start: sizeBytes - most });
  assert.deepEqual(asked(orca), [`GET bytes=-${8 * MiB} 206`]);
  await read(orca, { range: `bytes=-${most + 1}` }, { start: sizeBytes - most - 1, key: "more" });
  assert.equal(asked(orca, "more")[0], "HEAD 200");
});

test("the end of an empty, a small and an absent object", async () => {
  const orca = await start();
  const sizes = { empty: 0, byte: 1, small: 100 };
  for (const [key, sizeBytes] of Object.entries(sizes)) orca.origin.put(testBucket, key, { seed, sizeBytes });
  const opening = `GET bytes=-${64 * KiB + MiB - 1}`;
  for (let round = 0; round < 2; round += 1) {
    await read(orca, { range: "bytes=-8" }, { key: "empty", status: 200 });
    for (const key of ["byte", "small"]) {
      const range = await read(orca, { range: `bytes=-${9 * MiB}` }, { key });
      assert.equal(
        range.headers.get("content-range"),
        `bytes 0-${sizes[key as "byte"] - 1}/${sizes[key as "byte"]}`,
      );
    }
    await read(orca, { range: "bytes=-8" }, { key: "absent", status: 404 });
  }
  assert.deepEqual(asked(orca, "empty"), [`${opening} 416`, "HEAD 200"]);
  assert.deepEqual(asked(orca, "absent"), [`${opening} 404`]);
  // More than a chunk of the smallest size may hold is asked for after a HEAD.
  assert.deepEqual(asked(orca, "byte"), ["HEAD 200", "GET bytes=0-0 206"]);
  assert.deepEqual(asked(orca, "small"), ["HEAD 200", "GET bytes=0-99 206"]);
  orca.origin.put(testBucket, "smaller", { seed, sizeBytes: 5 });
  await read(orca, { range: "bytes=-8" }, { key: "smaller" });
  assert.deepEqual(asked(orca, "smaller"), [`${opening} 206`]);
});

test("the end of a cold object, with conditions", async () => {
  const orca = await start();
  const sizeBytes = 3 * MiB;
  const range = "bytes=-8";
  const opening = `GET bytes=-${64 * KiB + MiB - 1} 206`;
  const etagOf = (key: string): string => `"${orca.origin.put(testBucket, key, { seed, sizeBytes }).etag}"`;
  const at = { start: sizeBytes - 8 };
  await read(orca, { range, "if-match": etagOf("match") }, { ...at, key: "match" });
  assert.deepEqual(asked(orca, "match"), [opening]);
  const past = { range, "if-unmodified-since": "Thu, 01 Jan 1970 00:00:10 GMT" };
  etagOf("modified");
  await read(orca, past, { key: "modified", status: 412 });
  assert.deepEqual(asked(orca, "modified"), [opening]);
  await read(orca, { range, "if-none-match": etagOf("copy") }, { key: "copy", status: 304 });
  assert.deepEqual(asked(orca, "copy"), ["HEAD 200"]);
  await read(orca, { range, "if-range": etagOf("range") }, { ...at, key: "range" });
  assert.deepEqual(asked(orca, "range"), ["HEAD 200", `GET bytes=${2 * MiB}-${3 * MiB - 1} 206`]);
  // As with any other range: two HEADs make sure that the version is what the client says it is not.
  for (const [key, other, first] of [
    ["end", range, opening],
    ["front", "bytes=0-7", `GET bytes=0-${MiB - 1} 206`],
  ] as const) {
    etagOf(key);
    await read(orca, { range: other, "if-match": '"other"' }, { key, status: 412 });
    assert.deepEqual(asked(orca, key), [first, "HEAD 200", "HEAD 200"]);
  }
});

test("a client that leaves during the end of a cold object stops the origin, in whichever chunk it was", async () => {
  const sizeBytes = 21 * MiB;
  const lastBytes = 7 * MiB + 1;
  // The body begins at 13 MiB: three blocks of the chunk before 16 MiB, and five of the chunk after it.
  const left = [
    {
      sentBytes: 1000,
      cut: 2,
      again: [`GET bytes=${14 * MiB}-${16 * MiB - 1} 206`, `GET bytes=${16 * MiB}-${21 * MiB - 1} 206`],
    },
    {
      sentBytes: MiB + 1000,
      cut: 2,
      again: [`GET bytes=${15 * MiB}-${16 * MiB - 1} 206`, `GET bytes=${16 * MiB}-${21 * MiB - 1} 206`],
    },
    { sentBytes: 4 * MiB + 1000, cut: 1, again: [`GET bytes=${18 * MiB}-${21 * MiB - 1} 206`] },
  ];
  for (const { sentBytes, cut, again } of left) {
    const orca = await start();
    const { metric } = orca;
    orca.origin.put(testBucket, "k", { seed, sizeBytes });
    const gate = orca.origin.hold("GET", "k", sentBytes);
    const leaving = new AbortController();
    const range = `bytes=-${lastBytes}`;
    const answer = fetch(`${orca.endpoint}/${testBucket}/k`, { headers: { range }, signal: leaving.signal });
    const isGone = answer.then(
      () => {},
      () => {},
    );
    await gate.reached;
    await until(async () => (await metric('orca_origin_bytes_total{origin="test"}')) === sentBytes);
    // The first byte that the client wants is the last one of the first block.
    if (sentBytes > MiB) await answer;
    leaving.abort();
    await isGone;
    await until(async () => (await metric("orca_requests_in_flight")) === 0);
    gate.release();
    await until(async () => (await metric("orca_flights")) === 0);
    await until(async () => (await metric('orca_origin_requests_in_flight{origin="test"}')) === 0);
    assert.equal(await metric("orca_flights_cut_total"), cut);
    const held = await metric("orca_memory_cached_bytes");
    assert.equal(await metric("orca_memory_used_bytes"), held);
    assert.equal(held, Math.ceil(sentBytes / MiB) * MiB);
    assert.equal(await metric('orca_origin_errors_total{origin="test"}'), 0);
    assert.deepEqual(asked(orca), [`GET bytes=-${8 * MiB} 206`]);
    await read(orca, { range }, { start: sizeBytes - lastBytes });
    assert.deepEqual(asked(orca).slice(1).toSorted(), again);
  }
});

test("the end of an object that breaks off is resumed at its byte, pinned to its version", async () => {
  const orca = await start();
  const sizeBytes = 16 * MiB + 5;
  const { etag } = orca.origin.put(testBucket, "k", { seed, sizeBytes });
  orca.origin.faults.next("GET", "k", { cutAfterBytes: MiB });
  await read(orca, { range: `bytes=-${64 * KiB}` }, { start: sizeBytes - 64 * KiB });
  const [first, ...others] = orca.origin.requests.filter(({ key }) => key === "k");
  assert.deepEqual([first?.ifMatch, first?.range], [undefined, `bytes=-${64 * KiB + MiB - 1}`]);
  assert.ok(others.length > 0 && others.every(({ ifMatch }) => ifMatch === `"${etag}"`));
});

test("three replicas: the end of a cold object is a HEAD and a GET", async () => {
  const cluster = await startReplicas({ tls: false });
  stops.push(cluster.stop);
  const { origin, replicas } = cluster;
  const sizeBytes = 20 * MiB;
  origin.put(testBucket, "k", { seed, sizeBytes });
  for (const replica of replicas) await read(replica, { range: "bytes=-8" }, { start: sizeBytes - 8 });
  assert.deepEqual(asked({ origin } as ReplicaFixture), [
    "HEAD 200",
    `GET bytes=${19 * MiB}-${20 * MiB - 1} 206`,
  ]);
});

test("a cold object of several chunks costs one GET a chunk and no HEAD, each byte once", async () => {
  const orca = await start();
  const sizeBytes = 20 * MiB + 7;
  orca.origin.put(testBucket, "k", { seed, sizeBytes });
  await read(orca);
  assert.deepEqual([orca.origin.count("HEAD"), orca.origin.count("GET")], [0, 3]);
  assert.equal(orca.origin.bytesSent("k"), sizeBytes);
});

test("an absent object is one request, and so is the next one after its negative_ttl", async () => {
  const clock = new FakeClock();
  const orca = await start({ clock });
  await read(orca, {}, { status: 404 });
  await read(orca, {}, { status: 404 });
  assert.deepEqual(asked(orca), [`GET ${firstChunk} 404`]);
});

test("an empty object is a GET that is answered 416, and a HEAD; with its checksums it is one GET", async () => {
  const orca = await start();
  for (const key of ["k", "sums"]) orca.origin.put(testBucket, key, { seed, sizeBytes: 0 });
  await read(orca);
  assert.deepEqual(asked(orca), [`GET ${firstChunk} 416`, "HEAD 200"]);
  await read(orca, { "x-amz-checksum-mode": "ENABLED" }, { key: "sums" });
  assert.deepEqual(asked(orca, "sums"), ["GET 200"]);
});

test("a range beyond the end is 416 for a GET and a HEAD, and is not asked for again", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 10 });
  const range = `bytes=${3 * MiB}-${3 * MiB + 9}`;
  for (let round = 0; round < 2; round += 1) {
    const { headers } = await read(orca, { range }, { status: 416 });
    assert.equal(headers.get("content-range"), "bytes */10");
  }
  assert.deepEqual(asked(orca), [`GET bytes=${3 * MiB}-${4 * MiB - 1} 416`, "HEAD 200"]);
});

test("checksums: with all of the object they come in one GET without a range; after a ranged one a HEAD tells them", async () => {
  const orca = await start();
  const headers = { "x-amz-checksum-crc32": "poTHxg==", "x-amz-checksum-type": "FULL_OBJECT" };
  for (const key of ["k", "ranged"]) orca.origin.put(testBucket, key, { seed, sizeBytes: 4 * KiB, headers });
  const mode = { "x-amz-checksum-mode": "ENABLED" };
  const whole = await read(orca, mode);
  assert.equal(whole.headers.get("x-amz-checksum-crc32"), "poTHxg==");
  assert.deepEqual(asked(orca), ["GET 200"]);
  await read(orca, {}, { key: "ranged" });
  for (let round = 0; round < 2; round += 1) {
    const again = await read(orca, mode, { key: "ranged" });
    assert.equal(again.headers.get("x-amz-checksum-crc32"), "poTHxg==");
  }
  assert.deepEqual(asked(orca, "ranged"), [`GET ${firstChunk} 206`, "HEAD 200"]);
});

test("a client that has a copy costs a HEAD and no body", async () => {
  const orca = await start();
  const { etag } = orca.origin.put(testBucket, "k", { seed, sizeBytes: 4 * KiB });
  await read(orca, { "if-none-match": `"${etag}"` }, { status: 304 });
  assert.deepEqual(asked(orca), ["HEAD 200"]);
});

test("an expired entry whose bytes are held is a HEAD and no body", async () => {
  const clock = new FakeClock();
  const orca = await start({ clock, settings: { metadata: { ttl: "60s" } } });
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 4 * KiB });
  await read(orca);
  await clock.advance(60_000);
  const warm = await read(orca);
  assert.equal(warm.headers.get("cache-status"), "orca; hit; detail=memory");
  assert.deepEqual(asked(orca), [`GET ${firstChunk} 206`, "HEAD 200"]);
});

test("100 clients at once on a cold small object are one request to the origin", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 4 * KiB });
  await Promise.all(Array.from({ length: 100 }, () => read(orca)));
  assert.deepEqual(asked(orca), [`GET ${firstChunk} 206`]);
});

test("a body that breaks off is resumed at its byte, pinned to its version", async () => {
  const orca = await start();
  const { etag } = orca.origin.put(testBucket, "k", { seed, sizeBytes: 8 * MiB });
  orca.origin.faults.next("GET", "k", { cutAfterBytes: 3 * MiB });
  await read(orca);
  const [first, second, ...others] = orca.origin.requests.filter(({ key }) => key === "k");
  assert.deepEqual([first?.ifMatch, second?.ifMatch, others.length], [undefined, `"${etag}"`, 0]);
  const resumedAt = Number(/^bytes=(\d+)-/.exec(second?.range ?? "")?.[1]);
  assert.ok(resumedAt > 0 && resumedAt <= 3 * MiB, `resumed at ${resumedAt}`);
  assert.equal(orca.origin.bytesSent("k"), 3 * MiB + (8 * MiB - resumedAt));
});

test("a client that leaves during the first bytes cuts the opening after its block, and that is no error", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 8 * MiB });
  const gate = orca.origin.hold("GET", "k", MiB + 1000);
  const leaving = new AbortController();
  const response = await fetch(`${orca.endpoint}/${testBucket}/k`, { signal: leaving.signal });
  await response.body?.getReader().read();
  await gate.reached;
  await until(async () => (await orca.metric('orca_origin_bytes_total{origin="test"}')) === MiB + 1000);
  leaving.abort();
  // Else more of the body may come before the news that the client has left.
  await until(async () => (await orca.metric("orca_requests_in_flight")) === 0);
  gate.release();
  await until(async () => (await orca.metric("orca_flights")) === 0);
  assert.equal(await orca.metric("orca_flights_cut_total"), 1);
  await until(async () => (await orca.metric('orca_origin_requests_in_flight{origin="test"}')) === 0);
  const errors = (await (await fetch(`${orca.opsEndpoint}/metrics`)).text()).match(
    /^orca_origin_errors_total.*/gm,
  );
  assert.deepEqual(errors?.filter((line) => !line.endsWith(" 0")) ?? [], []);
  await read(orca);
  assert.deepEqual(asked(orca), [`GET ${firstChunk} 206`, `GET bytes=${2 * MiB}-${8 * MiB - 1} 206`]);
});

test("an object that is overwritten while its first bytes arrive is answered in one version", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 8 * MiB });
  orca.origin.faults.next("GET", "k", { cutAfterBytes: 0 });
  const gate = orca.origin.hold("GET", "k");
  const answer = orca.get("k");
  await gate.reached;
  orca.origin.put(testBucket, "k", { seed: 9, sizeBytes: 9 * MiB });
  gate.release();
  const response = await answer;
  assert.equal(response.status, 200);
  assertPattern(Buffer.from(await response.arrayBuffer()), 9, 0);
});

test("after a restart with a full disk nothing is fetched, and new objects are opened again after a while", async () => {
  const origin = await S3Server.start({ buckets: [testBucket] });
  stops.push(() => origin.stop());
  const first = await start({ disk: true, origin });
  const keys = Array.from({ length: 30 }, (_, index) => `k${index}`);
  for (const key of keys) {
    origin.put(testBucket, key, { seed, sizeBytes: 4 * KiB });
    await read(first, {}, { key });
  }
  await until(async () => (await first.metric("orca_commits_total")) === keys.length);
  const kept = await start({ disk: true, origin, diskRoot: await stoppedDisk(first) });
  origin.forgetRequests();
  for (const key of keys) await read(kept, {}, { key });
  assert.deepEqual([origin.count("HEAD"), origin.count("GET"), origin.bytesSent()], [keys.length, 0, 0]);
  origin.forgetRequests();
  for (let index = 0; index < 9; index += 1) {
    origin.put(testBucket, `new${index}`, { seed, sizeBytes: 4 * KiB });
    await read(kept, {}, { key: `new${index}` });
  }
  assert.deepEqual([origin.count("HEAD"), origin.count("GET")], [8, 9]);
});

/** The root of a disk that is left behind. */
async function stoppedDisk({ replica, diskRoot }: ReplicaFixture): Promise<string> {
  await replica.stop();
  return diskRoot;
}

test("the first byte of a cold small object comes after one round trip to a far origin", async () => {
  const orca = await start();
  const delayMs = 100;
  for (const key of ["k", "known"]) orca.origin.put(testBucket, key, { seed, sizeBytes: 4 * KiB });
  await read(orca, {}, { key: "known" });
  orca.origin.faults.always("*", "k", { delayHeadMs: delayMs });
  const { connections } = orca.origin;
  const startedMs = performance.now();
  await read(orca);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs >= delayMs, `${tookMs} ms`);
  // A second round trip would be a second request, or a connection that is opened first.
  assert.deepEqual(asked(orca), [`GET ${firstChunk} 206`]);
  assert.equal(orca.origin.connections, connections);
});

test("three replicas and 100 clients at once: each cold small object is one request to the origin, and one hop", async () => {
  const cluster = await startReplicas({ tls: false });
  stops.push(cluster.stop);
  const { origin, replicas } = cluster;
  // Several, so that each replica coordinates some.
  for (let index = 0; index < 10; index += 1) {
    const key = `k${index}`;
    origin.put(testBucket, key, { seed, sizeBytes: 4 * KiB });
    const readers = Array.from({ length: 100 }, (_, reader) =>
      read(replicas[reader % 3] as ReplicaFixture, {}, { key }),
    );
    await Promise.all(readers);
    assert.deepEqual([origin.count("HEAD", key), origin.count("GET", key)], [0, 1], key);
  }
  for (const key of ["absent", "empty"]) {
    if (key === "empty") origin.put(testBucket, key, { seed, sizeBytes: 0 });
    for (const replica of replicas) await read(replica, {}, { key, status: key === "empty" ? 200 : 404 });
  }
  assert.deepEqual([origin.count("HEAD", "absent"), origin.count("GET", "absent")], [0, 1]);
  assert.deepEqual([origin.count("HEAD", "empty"), origin.count("GET", "empty")], [1, 1]);
});

test("three replicas: a range in the middle of a cold object is a HEAD and a GET, and its first block one GET", async () => {
  const cluster = await startReplicas({ tls: false });
  stops.push(cluster.stop);
  const { origin, replicas } = cluster;
  const from = 50 * MiB + 7;
  for (const key of ["front", "middle"]) origin.put(testBucket, key, { seed, sizeBytes: 100 * MiB });
  for (const replica of replicas) {
    await read(replica, { range: `bytes=${from}-${from + 9}` }, { start: from, key: "middle" });
    await read(replica, { range: "bytes=10-19" }, { start: 10, key: "front" });
  }
  const orca = { origin } as ReplicaFixture;
  assert.deepEqual(asked(orca, "middle"), ["HEAD 200", `GET bytes=${50 * MiB}-${51 * MiB - 1} 206`]);
  assert.deepEqual(asked(orca, "front"), [`GET bytes=0-${MiB - 1} 206`]);
});

test("with a cachestore, an unknown object is asked for by a HEAD, since the store may have its bytes", async () => {
  const store = await S3Server.start({ buckets: ["chunks"] });
  stops.push(() => store.stop());
  const s3 = { endpoint: store.endpoint, bucket: "chunks", use_path_style: "true" };
  const orca = await start({ settings: { cachestore: { driver: "s3", s3 } } });
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 4 * KiB });
  await read(orca);
  assert.deepEqual(asked(orca), ["HEAD 200", "GET bytes=0-4095 206"]);
});

test("a range beyond the end of an expired object whose bytes are held is one HEAD and a 416", async () => {
  const clock = new FakeClock();
  const orca = await start({ clock, settings: { metadata: { ttl: "60s" } } });
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 4 * KiB });
  await read(orca);
  await clock.advance(60_000);
  await read(orca, { range: `bytes=${MiB}-${MiB + 9}` }, { status: 416 });
  await read(orca);
  assert.deepEqual(asked(orca), [`GET ${firstChunk} 206`, "HEAD 200"]);
});
