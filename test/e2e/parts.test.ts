/**
 * Reads of parts (`partNumber`) through whole replicas. A HEAD with `partNumber` asks the origin for the place of a part, so
 * the counts of HEADs are those of objects and of parts.
 */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { GetObjectCommand, HeadObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { MiB } from "../../src/base/units.ts";
import { assertPattern } from "../support/pattern.ts";
import { startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { S3Server, type S3ServerOptions } from "../support/s3-server.ts";

const seed = 7;
/** Neither equal nor of whole chunks. */
const partSizesBytes = [2 * MiB, 3 * MiB + 17, 5];
const sizeBytes = partSizesBytes.reduce((total, size) => total + size, 0);
const inParts = { seed, sizeBytes, partSizesBytes, etag: `${"a".repeat(32)}-3` };
const settings = { chunking: { size: "1MiB", tiers: [] } };

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function start(options: S3ServerOptions = {}, more: object = {}): Promise<ReplicaFixture> {
  const origin = await S3Server.start({ buckets: [testBucket], ...options });
  cleanups.push(() => origin.stop());
  const replica = await startReplica({ origin, settings: { ...settings, ...more } });
  cleanups.push(() => replica.stop());
  return replica;
}

/** HEADs at the origin for an object, and then for each of its parts, as `partNumber:ETag`. */
function heads({ requests }: S3Server, key: string): string[] {
  const asked = requests.filter((request) => request.operation === "HEAD" && request.key === key);
  return asked.map(({ query, ifMatch }) =>
    query.has("partNumber") ? `${query.get("partNumber")}:${ifMatch}` : "object",
  );
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

async function ask(
  { endpoint }: ReplicaFixture,
  path: string,
  headers: Record<string, string> = {},
  method = "GET",
): Promise<Answer> {
  const response = await fetch(`${endpoint}/${testBucket}/${path}`, { method, headers });
  return {
    status: response.status,
    headers: response.headers,
    body: Buffer.from(await response.arrayBuffer()),
  };
}

function assertPart({ status, headers, body }: Answer, partNumber: number, method = "GET"): void {
  const first = partSizesBytes.slice(0, partNumber - 1).reduce((total, size) => total + size, 0);
  const lengthBytes = partSizesBytes[partNumber - 1] ?? 0;
  assert.equal(status, 206);
  assert.equal(headers.get("content-range"), `bytes ${first}-${first + lengthBytes - 1}/${sizeBytes}`);
  assert.equal(headers.get("content-length"), String(lengthBytes));
  assert.equal(headers.get("x-amz-mp-parts-count"), "3");
  assert.equal(headers.get("etag"), `"${inParts.etag}"`);
  if (method === "HEAD") return;
  assert.equal(body.length, lengthBytes);
  assertPattern(body, seed, first);
}

test("partNumber: each part is a 206 of its own bytes, GET as HEAD, and its place is asked for once", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", inParts);
  for (let round = 0; round < 2; round += 1) {
    for (const partNumber of [1, 2, 3]) {
      for (const method of ["GET", "HEAD"])
        assertPart(await ask(orca, `k?partNumber=${partNumber}`, {}, method), partNumber, method);
    }
  }
  const { etag } = inParts;
  assert.deepEqual(heads(orca.origin, "k"), ["object", `1:"${etag}"`, `2:"${etag}"`, `3:"${etag}"`]);
  // Parts are read in chunks, so no byte of the origin is read twice.
  assert.equal(orca.origin.bytesSent("k"), sizeBytes);
  const whole = await ask(orca, "k");
  assert.deepEqual([whole.status, whole.body.length], [200, sizeBytes]);
  assert.equal(whole.headers.get("x-amz-mp-parts-count"), null);
  assert.equal(orca.origin.bytesSent("k"), sizeBytes);
});

test("partNumber: concurrent readers of a part ask one question", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", inParts);
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(orca, "k?partNumber=2")));
  for (const answer of answers) assertPart(answer, 2);
  assert.deepEqual(heads(orca.origin, "k"), ["object", `2:"${inParts.etag}"`]);
});

test("partNumber: beyond the last part is 416 with both numbers, for one question where the count was not known", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", inParts);
  for (const partNumber of [4, 5, 10_000]) {
    const { status, headers, body } = await ask(orca, `k?partNumber=${partNumber}`);
    assert.equal(status, 416);
    const xml = body.toString();
    assert.match(xml, /<Code>InvalidPartNumber<\/Code><Message>The requested partnumber is not satisfiable</);
    assert.ok(xml.includes(`<ActualPartCount>3</ActualPartCount>`), xml);
    assert.ok(xml.includes(`<PartNumberRequested>${partNumber}</PartNumberRequested>`), xml);
    assert.equal(headers.get("content-range"), null);
    const head = await ask(orca, `k?partNumber=${partNumber}`, {}, "HEAD");
    assert.deepEqual([head.status, head.body.length], [416, 0]);
  }
  const { etag } = inParts;
  // The origin has no fourth part, which is a HEAD without a body: its first part tells how many there are.
  assert.deepEqual(heads(orca.origin, "k"), ["object", `4:"${etag}"`, `1:"${etag}"`]);
  assert.equal(orca.origin.count("GET"), 0);
});

test("partNumber: an object from one PUT has one part, without a count and without a question", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 10 });
  const part = await ask(orca, "k?partNumber=1");
  assert.deepEqual([part.status, part.headers.get("content-range")], [206, "bytes 0-9/10"]);
  assert.equal(part.headers.get("x-amz-mp-parts-count"), null);
  assertPattern(part.body, seed, 0);
  const next = await ask(orca, "k?partNumber=2");
  assert.equal(next.status, 416);
  assert.match(next.body.toString(), /<ActualPartCount>1<\/ActualPartCount>/);
  assert.deepEqual(heads(orca.origin, "k"), ["object"]);
});

test("partNumber: an empty object is 200 as part 1, and has no second part", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 0, etag: `${"e".repeat(32)}-1` });
  const { status, headers } = await ask(orca, "k?partNumber=1");
  assert.deepEqual([status, headers.get("content-length"), headers.get("content-range")], [200, "0", null]);
  assert.equal((await ask(orca, "k?partNumber=2")).status, 416);
  assert.deepEqual(heads(orca.origin, "k"), ["object"]);
});

test("partNumber: what is no number from 1 to 10000 is 400 InvalidArgument, and a Range beside it 400 InvalidRequest", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", inParts);
  for (const text of ["0", "-1", "10001", "x", "1.5", "", "1e1", "99999999999999999999"]) {
    const { status, body } = await ask(orca, `k?partNumber=${text}`);
    const xml = body.toString();
    assert.equal(status, 400, text);
    assert.match(
      xml,
      /<Code>InvalidArgument<\/Code><Message>Part number must be an integer between 1 and 10000, inclusive</,
    );
    assert.ok(
      xml.includes(`<ArgumentName>partNumber</ArgumentName><ArgumentValue>${text}</ArgumentValue>`),
      xml,
    );
  }
  const both = await ask(orca, "k?partNumber=1", { range: "bytes=0-1" });
  assert.equal(both.status, 400);
  assert.match(
    both.body.toString(),
    /<Code>InvalidRequest<\/Code><Message>Cannot specify both Range header and partNumber query parameter</,
  );
  assert.deepEqual([orca.origin.count("HEAD"), orca.origin.count("GET")], [0, 0]);
});

test("partNumber: conditions and overrides apply, and a part has no checksum of the whole", async () => {
  const orca = await start();
  const headers = { "x-amz-checksum-crc32": "AAAAAA==" };
  orca.origin.put(testBucket, "k", { ...inParts, headers });
  const { etag } = inParts;
  assertPart(await ask(orca, "k?partNumber=2", { "if-match": `"${etag}"` }), 2);
  assert.equal((await ask(orca, "k?partNumber=2", { "if-match": '"other"' })).status, 412);
  assert.equal((await ask(orca, "k?partNumber=2", { "if-none-match": `"${etag}"` })).status, 304);
  const checked = await ask(orca, "k?partNumber=3", { "x-amz-checksum-mode": "ENABLED" });
  assertPart(checked, 3);
  assert.equal(checked.headers.get("x-amz-checksum-crc32"), null);
  assert.equal((await ask(orca, "absent?partNumber=2")).status, 404);
});

test("partNumber: a version that is overwritten before the question is answered from the new one", async () => {
  const orca = await start();
  orca.origin.put(testBucket, "k", inParts);
  assertPart(await ask(orca, "k?partNumber=1"), 1);
  const after = { seed: 9, sizeBytes: 30, partSizesBytes: [10, 20], etag: `${"b".repeat(32)}-2` };
  orca.origin.put(testBucket, "k", after);
  const part = await ask(orca, "k?partNumber=2");
  assert.deepEqual([part.status, part.headers.get("content-range")], [206, "bytes 10-29/30"]);
  assert.equal(part.headers.get("x-amz-mp-parts-count"), "2");
  assertPattern(part.body, 9, 10);
  const [old, now] = [inParts.etag, after.etag];
  assert.deepEqual(heads(orca.origin, "k"), ["object", `1:"${old}"`, `2:"${old}"`, "object", `2:"${now}"`]);
  // Part 1 of the new version is not that of the old one.
  assert.equal((await ask(orca, "k?partNumber=1")).headers.get("content-range"), "bytes 0-9/30");
});

test("partNumber: with metadata.ttl none each request asks about object and part", async () => {
  const orca = await start({}, { metadata: { ttl: "none" } });
  orca.origin.put(testBucket, "k", inParts);
  for (let round = 0; round < 2; round += 1) assertPart(await ask(orca, "k?partNumber=2"), 2);
  const { etag } = inParts;
  assert.deepEqual(heads(orca.origin, "k"), ["object", `2:"${etag}"`, "object", `2:"${etag}"`]);
});

test("partNumber: an origin that ignores it answers part 1 with 200 and the whole, and Orca has no other part", async () => {
  const orca = await start({ ignoresParts: true });
  orca.origin.put(testBucket, "k", inParts);
  for (let round = 0; round < 2; round += 1) {
    const first = await ask(orca, "k?partNumber=1");
    assert.deepEqual([first.status, first.body.length], [200, sizeBytes]);
    assert.equal(first.headers.get("x-amz-mp-parts-count"), null);
    const second = await ask(orca, "k?partNumber=2");
    assert.equal(second.status, 501);
    assert.match(second.body.toString(), /<Code>NotImplemented</);
  }
  assert.deepEqual(heads(orca.origin, "k"), ["object", `1:"${inParts.etag}"`]);
});

test("partNumber: three replicas ask the origin once for each part", async () => {
  const cluster = await startReplicas({ settings });
  cleanups.push(() => cluster.stop());
  const { origin, replicas } = cluster;
  origin.put(testBucket, "k", inParts);
  for (const replica of replicas) {
    for (const partNumber of [1, 2, 3])
      assertPart(await ask(replica, `k?partNumber=${partNumber}`), partNumber);
    assert.equal((await ask(replica, "k?partNumber=4")).status, 416);
  }
  const { etag } = inParts;
  assert.deepEqual(heads(origin, "k"), ["object", `1:"${etag}"`, `2:"${etag}"`, `3:"${etag}"`]);
  assert.equal(origin.bytesSent("k"), sizeBytes);
});

test("partNumber: three replicas agree on the new version when it changes between questions", async () => {
  const cluster = await startReplicas({ settings });
  cleanups.push(() => cluster.stop());
  const { origin, replicas } = cluster;
  origin.put(testBucket, "k", inParts);
  for (const replica of replicas) assertPart(await ask(replica, "k?partNumber=1"), 1);
  const after = { seed: 9, sizeBytes: 30, partSizesBytes: [10, 20], etag: `${"b".repeat(32)}-2` };
  origin.put(testBucket, "k", after);
  for (const replica of replicas) {
    const part = await ask(replica, "k?partNumber=2");
    assert.deepEqual([part.status, part.headers.get("content-range")], [206, "bytes 10-29/30"]);
    assertPattern(part.body, 9, 10);
  }
  const asked = heads(origin, "k");
  const times = (question: string): number => asked.filter((each) => each === question).length;
  assert.deepEqual([times("object"), times(`2:"${after.etag}"`)], [2, 1]);
  // A replica that has not heard of the change yet asks once about the old version, and learns of it.
  const old = times(`2:"${inParts.etag}"`);
  assert.ok(old >= 1 && old <= replicas.length, `${old} questions`);
});

test("AWS SDK: reads an object part by part", async (context) => {
  const orca = await start();
  orca.origin.put(testBucket, "k", inParts);
  const client = new S3Client({
    endpoint: orca.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
  });
  context.after(() => client.destroy());
  const where = { Bucket: testBucket, Key: "k" };
  const { PartsCount = 0, ContentLength } = await client.send(
    new HeadObjectCommand({ ...where, PartNumber: 1 }),
  );
  assert.deepEqual([PartsCount, ContentLength], [3, partSizesBytes[0]]);
  const parts: Uint8Array[] = [];
  for (let PartNumber = 1; PartNumber <= PartsCount; PartNumber += 1) {
    const { Body } = await client.send(
      new GetObjectCommand({ ...where, PartNumber, IfMatch: `"${inParts.etag}"` }),
    );
    parts.push((await Body?.transformToByteArray()) ?? new Uint8Array());
  }
  const whole = Buffer.concat(parts);
  assert.equal(whole.length, sizeBytes);
  assertPattern(whole, seed, 0);
  await assert.rejects(client.send(new GetObjectCommand({ ...where, PartNumber: 4 })), {
    name: "InvalidPartNumber",
  });
});
