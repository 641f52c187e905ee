import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { MiB } from "../../src/base/units.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";

let orca: ReplicaFixture;

before(async () => {
  // The origin of the fixture keeps dot segments.
  orca = await startReplica({ disk: true, settings: { origin: { allow_dot_segments: true } } });
});
after(() => orca.stop());

async function bytesOf(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

test("GET: the whole object comes back with everything a client must get, and says where it came from", async () => {
  const headers = {
    "content-type": "application/x-weights",
    "content-encoding": "x-tensors",
    "content-language": "en",
    "content-disposition": 'attachment; filename="w.bin"',
    "cache-control": "max-age=60",
    expires: "Thu, 01 Jan 2032 00:00:00 GMT",
    "x-amz-meta-step": "1000",
    "x-amz-storage-class": "STANDARD_IA",
    "x-amz-website-redirect-location": "/elsewhere",
  };
  const stored = orca.origin.put(testBucket, "meta.bin", { seed: 3, sizeBytes: 20 * MiB + 7, headers });
  const cold = await orca.get("meta.bin");
  assert.equal(cold.status, 200);
  assertPattern(await bytesOf(cold), 3, 0);
  assert.equal(cold.headers.get("cache-status"), "orca; fwd=miss; detail=origin");
  const warm = await orca.get("meta.bin");
  assertPattern(await bytesOf(warm), 3, 0);
  assert.equal(warm.headers.get("cache-status"), "orca; hit; detail=memory");
  for (const [name, value] of Object.entries(headers)) assert.equal(warm.headers.get(name), value, name);
  assert.equal(warm.headers.get("etag"), `"${stored.etag}"`);
  assert.equal(warm.headers.get("accept-ranges"), "bytes");
  assert.match(warm.headers.get("x-amz-request-id") ?? "", /^[0-9A-F]{16}$/);
  assert.equal(orca.origin.count("HEAD", "meta.bin"), 0);
  assert.equal(orca.origin.count("GET", "meta.bin"), 3);
  assert.equal(orca.origin.bytesSent("meta.bin"), 20 * MiB + 7);
});

for (const [range, start, end] of [
  ["bytes=0-0", 0, 1],
  ["bytes=5-", 5, 9 * MiB + 3],
  ["bytes=-10", 9 * MiB - 7, 9 * MiB + 3],
  [`bytes=${8 * MiB - 5}-${8 * MiB + 4}`, 8 * MiB - 5, 8 * MiB + 5],
  [`bytes=-${100 * MiB}`, 0, 9 * MiB + 3],
  [`bytes=${MiB}-999999999999`, MiB, 9 * MiB + 3],
] as const) {
  test(`GET: ${range} is a 206 with exactly those bytes`, async () => {
    orca.origin.put(testBucket, "ranges.bin", { seed: 4, sizeBytes: 9 * MiB + 3, etag: "fixed" });
    const response = await orca.get("ranges.bin", { range });
    assert.equal(response.status, 206);
    assert.equal(response.headers.get("content-range"), `bytes ${start}-${end - 1}/${9 * MiB + 3}`);
    assert.equal(response.headers.get("content-length"), String(end - start));
    const bytes = await bytesOf(response);
    assert.equal(bytes.length, end - start);
    assertPattern(bytes, 4, start);
  });
}

test("GET: an empty object is 200 with no bytes, and no range of it can be had but a suffix", async () => {
  orca.origin.put(testBucket, "empty.bin", { seed: 1, sizeBytes: 0 });
  const whole = await orca.get("empty.bin");
  assert.equal(whole.status, 200);
  assert.equal((await bytesOf(whole)).length, 0);
  const ranged = await orca.get("empty.bin", { range: "bytes=0-0" });
  assert.equal(ranged.status, 416);
  assert.equal(ranged.headers.get("content-range"), "bytes */0");
  assert.match(await ranged.text(), /<Code>InvalidRange<\/Code>/);
  const suffix = await orca.get("empty.bin", { range: "bytes=-5" });
  assert.equal(suffix.status, 200);
  assert.equal(suffix.headers.get("content-length"), "0");
  assert.equal(suffix.headers.get("content-range"), null);
  // The opening GET is answered 416, which tells nothing of an empty object.
  assert.deepEqual([orca.origin.count("GET", "empty.bin"), orca.origin.count("HEAD", "empty.bin")], [1, 1]);
});

const ignoredRanges = ["bytes=3-0", "bytes=-", "0-1", "bytes=a-b", "items=0-4", "bytes=0-1,4-5"];

test("GET and HEAD: malformed and several ranges are 200 with the whole object, as AWS does", async () => {
  orca.origin.put(testBucket, "whole.bin", { seed: 4, sizeBytes: 10 });
  for (const range of ignoredRanges) {
    const response = await orca.get("whole.bin", { range });
    assert.equal(response.status, 200, range);
    assert.equal(response.headers.get("content-range"), null);
    assert.equal((await bytesOf(response)).length, 10);
    const url = `${orca.endpoint}/${testBucket}/whole.bin`;
    const head = await fetch(url, { method: "HEAD", headers: { range } });
    assert.equal(head.status, 200, range);
    assert.equal(head.headers.get("content-length"), "10");
  }
});

test("GET: with server.strict_ranges malformed and several ranges are 416, and another unit is ignored", async (context) => {
  const strict = await startReplica({ settings: { server: { strict_ranges: true } } });
  context.after(() => strict.stop());
  strict.origin.put(testBucket, "k", { seed: 4, sizeBytes: 10 });
  for (const range of ignoredRanges) {
    const { status } = await strict.get("k", { range });
    assert.equal(status, range.startsWith("items") ? 200 : 416, range);
  }
});

test("GET: conditions answer 304 and 412, and If-Range decides whether the range counts", async () => {
  const { etag } = orca.origin.put(testBucket, "cond.bin", { seed: 5, sizeBytes: 100 });
  assert.equal((await orca.get("cond.bin", { "if-none-match": `"${etag}"` })).status, 304);
  assert.equal((await orca.get("cond.bin", { "if-match": '"other"' })).status, 412);
  assert.equal((await orca.get("cond.bin", { "if-match": `"${etag}"` })).status, 200);
  assert.equal((await orca.get("cond.bin", { range: "bytes=0-9", "if-range": `"${etag}"` })).status, 206);
  assert.equal((await orca.get("cond.bin", { range: "bytes=0-9", "if-range": '"other"' })).status, 200);
  const future = new Date(Date.now() + 86_400_000).toUTCString();
  assert.equal((await orca.get("cond.bin", { "if-modified-since": future })).status, 200);
  const now = new Date().toUTCString();
  assert.equal((await orca.get("cond.bin", { "if-modified-since": now })).status, 304);
  assert.equal(
    (await orca.get("cond.bin", { "if-unmodified-since": "Thu, 01 Jan 1998 00:00:00 GMT" })).status,
    412,
  );
});

for (const key of [
  "a b",
  "a+b",
  "dir/file",
  "dir//file",
  "a/../b",
  "./x",
  "ünï/çødé",
  "per%cent",
  "q?m#h&=",
  "trailing/",
]) {
  test(`GET: the key ${JSON.stringify(key)} is served as it is`, async () => {
    orca.origin.put(testBucket, key, { seed: 6, sizeBytes: 1000 });
    const { hostname, port } = new URL(orca.endpoint);
    const { get } = await import("node:http");
    const path = `/${testBucket}/${key.split("/").map(encodeURIComponent).join("/")}`;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    // Not fetch: it would resolve the dots away before they are sent.
    get({ hostname, port, path, agent: false }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("end", () => resolve(Buffer.concat(pieces)));
    }).on("error", reject);
    assertPattern(await promise, 6, 0);
    assert.equal(orca.origin.count("GET", key), 1);
  });
}

test("GET: %2F in a path is the slash of a key", async () => {
  orca.origin.put(testBucket, "enc/slash", { seed: 7, sizeBytes: 10 });
  assert.equal((await orca.get("enc%2Fslash")).status, 200);
});

test("GET: what does not exist is an S3 error with a request id, and is not asked for twice", async () => {
  const missing = await orca.get("missing.bin");
  assert.equal(missing.status, 404);
  const body = await missing.text();
  assert.match(body, /<Code>NoSuchKey<\/Code>/);
  assert.match(body, new RegExp(`<RequestId>${missing.headers.get("x-amz-request-id")}</RequestId>`));
  await orca.get("missing.bin");
  assert.deepEqual(
    [orca.origin.count("GET", "missing.bin"), orca.origin.count("HEAD", "missing.bin")],
    [1, 0],
  );
  const elsewhere = await fetch(`${orca.endpoint}/another-bucket/key`);
  assert.equal(elsewhere.status, 404);
  assert.match(await elsewhere.text(), /<Code>NoSuchBucket<\/Code>/);
});

test("PUT, POST, DELETE: are refused with Allow, and the body is not read as the next request", async () => {
  for (const method of ["PUT", "POST", "DELETE"]) {
    const response = await fetch(`${orca.endpoint}/${testBucket}/key`, {
      method,
      body: method === "DELETE" ? null : "x".repeat(100_000),
    });
    assert.equal(response.status, 405);
    assert.equal(response.headers.get("allow"), "GET, HEAD");
    assert.match(await response.text(), /<Code>MethodNotAllowed<\/Code>/);
  }
});

test("HEAD: has the headers of a GET and no body, for objects, ranges, buckets and errors", async () => {
  orca.origin.put(testBucket, "head.bin", { seed: 8, sizeBytes: 12_345 });
  const head = (path: string, headers = {}) => fetch(`${orca.endpoint}${path}`, { method: "HEAD", headers });
  const whole = await head(`/${testBucket}/head.bin`);
  assert.equal(whole.headers.get("content-length"), "12345");
  const ranged = await head(`/${testBucket}/head.bin`, { range: "bytes=0-9" });
  assert.deepEqual([ranged.status, ranged.headers.get("content-length")], [206, "10"]);
  assert.equal((await head(`/${testBucket}`)).status, 200);
  assert.equal((await head("/another-bucket")).status, 404);
  assert.equal((await head(`/${testBucket}/nowhere`)).status, 404);
  assert.equal(orca.origin.count("GET", "head.bin"), 0);
});

test("AWS SDK: reads, heads and lists through Orca as from S3", async () => {
  for (let index = 0; index < 25; index += 1) {
    orca.origin.put(testBucket, `sdk/dir ${index % 3}/ö${index}.bin`, {
      seed: index,
      sizeBytes: 1000 + index,
    });
  }
  const client = new S3Client({
    endpoint: orca.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
  });
  const Key = "sdk/dir 1/ö1.bin";
  const object = await client.send(new GetObjectCommand({ Bucket: testBucket, Key, Range: "bytes=10-19" }));
  assertPattern(Buffer.from((await object.Body?.transformToByteArray()) ?? []), 1, 10);
  const head = await client.send(new HeadObjectCommand({ Bucket: testBucket, Key }));
  assert.equal(head.ContentLength, 1001);
  await assert.rejects(client.send(new GetObjectCommand({ Bucket: testBucket, Key: "nope" })), {
    name: "NoSuchKey",
  });

  const keys: string[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await client.send(
      new ListObjectsV2Command({ Bucket: testBucket, Prefix: "sdk/", MaxKeys: 7, ContinuationToken }),
    );
    keys.push(...(page.Contents ?? []).map((each) => each.Key ?? ""));
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken);
  assert.equal(keys.length, 25);
  assert.deepEqual(
    keys,
    keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );
  const folders = await client.send(
    new ListObjectsV2Command({ Bucket: testBucket, Prefix: "sdk/", Delimiter: "/" }),
  );
  assert.deepEqual(
    folders.CommonPrefixes?.map((each) => each.Prefix),
    ["sdk/dir 0/", "sdk/dir 1/", "sdk/dir 2/"],
  );
  client.destroy();
});

test("ops: health, readiness and the numbers that tell what happened", async () => {
  assert.equal((await fetch(`${orca.opsEndpoint}/healthz`)).status, 200);
  assert.equal((await fetch(`${orca.opsEndpoint}/readyz`)).status, 200);
  assert.equal(
    await orca.metric('orca_origin_requests_total{origin="test",operation="get"}'),
    orca.origin.count("GET"),
  );
  assert.equal(
    await orca.metric('orca_origin_requests_total{origin="test",operation="head"}'),
    orca.origin.count("HEAD"),
  );
  assert.equal(await orca.metric('orca_origin_bytes_total{origin="test"}'), orca.origin.bytesSent());
  assert.equal(await orca.metric('orca_origin_requests_in_flight{origin="test"}'), 0);
  assert.ok((await orca.metric('orca_bytes_sent_total{source="memory"}')) > 0);
});
