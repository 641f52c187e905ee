/** `versionId`, delete markers and ListObjectVersions through whole replicas: what clients see, and what it costs the origin. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { KiB, MiB } from "../../src/base/units.ts";
import { httpGet } from "../support/http-get.ts";
import { patternBytes } from "../support/pattern.ts";
import { startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import type { S3Object } from "../support/s3-object.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const idOf = (object: S3Object): string => object.headers["x-amz-version-id"] ?? "";

async function start(context: TestContext, settings: object = {}): Promise<ReplicaFixture> {
  const origin = await S3Server.start({ buckets: [testBucket], versioning: "Enabled" });
  const fixture = await startReplica({
    origin,
    settings: { chunking: { size: "1MiB", tiers: [] }, ...settings },
  });
  context.after(async () => {
    await fixture.stop();
    await origin.stop();
  });
  return fixture;
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly headers: Headers;
  readonly code: string;
}

async function read(
  { endpoint }: ReplicaFixture,
  key: string,
  versionId?: string,
  options: { readonly method?: string; readonly headers?: Record<string, string> } = {},
): Promise<Answer> {
  const query = versionId === undefined ? "" : `?versionId=${encodeURIComponent(versionId)}`;
  const url = `${endpoint}/${testBucket}/${encodeURIComponent(key)}${query}`;
  const response =
    options.method === "HEAD" ? await fetch(url, options) : await httpGet(url, options.headers);
  const body = Buffer.from(await response.arrayBuffer());
  const code = /<Code>(\w+)<\/Code>/.exec(body.subarray(0, 300).toString("latin1"))?.[1] ?? "";
  return { status: response.status, body, headers: response.headers, code };
}

/** Three versions of different sizes and bytes, the oldest first. */
function putThree({ origin }: ReplicaFixture, key: string): S3Object[] {
  return [1, 2, 3].map((seed) => origin.put(testBucket, key, { seed, sizeBytes: 1.5 * MiB + seed * KiB }));
}

const costs = (origin: S3Server, key?: string): number[] => [
  origin.count("HEAD", key),
  origin.count("GET", key),
];

test("versions: each version is read by its id, at one HEAD, and its bytes are fetched once", async (context) => {
  const fixture = await start(context);
  const { origin } = fixture;
  const versions = putThree(fixture, "k");
  for (const [index, object] of versions.entries()) {
    origin.forgetRequests();
    for (let time = 1; time <= 2; time += 1) {
      const { status, body, headers } = await read(fixture, "k", idOf(object));
      assert.equal(status, 200);
      assert.ok(body.equals(patternBytes(index + 1, 0, object.sizeBytes)), `version ${index}`);
      assert.equal(headers.get("etag"), `"${object.etag}"`);
      assert.equal(headers.get("x-amz-version-id"), idOf(object));
    }
    assert.deepEqual(costs(origin), [1, 2], "a HEAD, and a GET for each of two chunks");
    // A replica looks at its buckets when it starts.
    for (const { operation, query } of origin.requests)
      assert.ok(operation === "LIST" || query.get("versionId") === idOf(object));
  }
});

test("versions: the current object and the version equal to it share their bytes, and tell the version id", async (context) => {
  const fixture = await start(context);
  const { origin } = fixture;
  const current = putThree(fixture, "k")[2] as S3Object;
  const { headers, body } = await read(fixture, "k");
  assert.equal(headers.get("x-amz-version-id"), idOf(current));
  assert.deepEqual(costs(origin), [0, 2]);
  const version = await read(fixture, "k", idOf(current));
  assert.ok(version.body.equals(body));
  assert.deepEqual(costs(origin), [1, 2]);
});

test("versions: a HEAD, a range and conditions of a version", async (context) => {
  const fixture = await start(context);
  const { origin } = fixture;
  const [first] = putThree(fixture, "k") as [S3Object];
  const id = idOf(first);
  const head = await read(fixture, "k", id, { method: "HEAD" });
  assert.equal(head.headers.get("content-length"), String(first.sizeBytes));
  const range = await read(fixture, "k", id, { headers: { range: "bytes=1500000-1500099" } });
  assert.equal(range.status, 206);
  assert.ok(range.body.equals(patternBytes(1, 1_500_000, 100)));
  const match = `"${first.etag}"`;
  assert.equal((await read(fixture, "k", id, { headers: { "if-none-match": match } })).status, 304);
  assert.equal((await read(fixture, "k", id, { headers: { "if-match": match } })).status, 200);
  // A version is never another one, so the origin need not be asked again.
  assert.equal((await read(fixture, "k", id, { headers: { "if-match": '"other"' } })).status, 412);
  assert.equal(origin.count("HEAD"), 1);
});

test("versions: a mix of readers of all versions and of the current object never mixes their bytes", async (context) => {
  const fixture = await start(context);
  const keys = ["k", "k?versionId=version.1", "k\u0001"];
  const expected = keys.flatMap((key) => {
    const versions = putThree(fixture, key);
    const ids = versions.map((object, index) => ({
      key,
      id: idOf(object) as string | undefined,
      seed: index + 1,
      object,
    }));
    return [...ids, { key, id: undefined, seed: 3, object: versions[2] as S3Object }];
  });
  const reads = Array.from({ length: 120 }, async (_, index) => {
    const { key, id, seed, object } = expected[(index * 7) % expected.length] as (typeof expected)[number];
    const { body } = await read(fixture, key, id);
    assert.ok(body.equals(patternBytes(seed, 0, object.sizeBytes)), `${key} ${id}`);
  });
  await Promise.all(reads);
  // Four names, three contents of two chunks. The first question about the current object is a GET. Where a reader of the
  // version equal to it was faster, its bytes are not taken, and the other objects are asked for by a HEAD.
  const wasted = await fixture.metric('orca_origin_openings_wasted_total{origin="test"}');
  const opened = await fixture.metric('orca_origin_openings_total{origin="test"}');
  assert.ok(opened >= 1 && opened <= keys.length, `${opened} openings`);
  assert.deepEqual(costs(fixture.origin), [4 * keys.length - opened, 6 * keys.length + wasted]);
});

test("versions: ids that are null, unknown, malformed or empty", async (context) => {
  const fixture = await start(context);
  const { origin } = fixture;
  putThree(fixture, "k");
  const plain = await startReplica();
  context.after(() => plain.stop());
  plain.origin.put(testBucket, "k", { seed: 1, sizeBytes: 100 });
  assert.equal((await read(plain, "k", "null")).status, 200);
  assert.equal((await read(plain, "k", "version.1")).code, "NoSuchVersion");

  assert.deepEqual([(await read(fixture, "k", "null")).code], ["NoSuchVersion"]);
  for (let time = 1; time <= 2; time += 1) {
    const unknown = await read(fixture, "k", "version.99");
    assert.deepEqual([unknown.status, unknown.code], [404, "NoSuchVersion"]);
    assert.match(unknown.body.toString(), /<Key>k<\/Key><VersionId>version\.99<\/VersionId>/);
    assert.equal((await read(fixture, "none", "version.1")).code, "NoSuchVersion");
    const malformed = await read(fixture, "k", "malformed-id");
    assert.deepEqual([malformed.status, malformed.code], [400, "InvalidArgument"]);
  }
  assert.equal(origin.count("HEAD"), 4, "each answer is cached");
  origin.forgetRequests();
  for (const id of ["", "x".repeat(1025), "a b", "é", "a\r\nb"]) {
    const { status, code } = await read(fixture, "k", id);
    assert.deepEqual([status, code], [400, "InvalidArgument"], id);
  }
  assert.equal(origin.requests.length, 0);
});

test("versions: a delete marker is 404 for the object and 405 for its own id, and other versions stay", async (context) => {
  const fixture = await start(context);
  const { origin } = fixture;
  const [first] = putThree(fixture, "k") as [S3Object];
  origin.delete(testBucket, "k");
  const marker = origin.versionsOf(testBucket, "k")[0]?.id ?? "";
  for (const method of ["GET", "HEAD", "GET"]) {
    const deleted = await read(fixture, "k", undefined, { method });
    assert.equal(deleted.status, 404);
    assert.equal(deleted.headers.get("x-amz-delete-marker"), "true");
    assert.equal(deleted.headers.get("x-amz-version-id"), marker);
    const itself = await read(fixture, "k", marker, { method });
    assert.equal(itself.status, 405);
    assert.deepEqual(
      ["x-amz-delete-marker", "x-amz-version-id", "allow"].map((name) => itself.headers.get(name)),
      ["true", marker, "DELETE"],
    );
    assert.notEqual(itself.headers.get("last-modified"), null);
    if (method === "GET") assert.equal(itself.code, "MethodNotAllowed");
  }
  assert.deepEqual(costs(origin), [1, 1]);
  assert.equal((await read(fixture, "k", idOf(first))).status, 200);
  const { headers } = await read(fixture, "never", undefined);
  assert.equal(headers.get("x-amz-delete-marker"), null);
});

test("versions: a deleted version is gone after the TTL, or at the first chunk that is not cached", async (context) => {
  const fixture = await start(context, { metadata: { ttl: "1h" } });
  const { origin } = fixture;
  const [first] = putThree(fixture, "k") as [S3Object];
  const id = idOf(first);
  assert.equal((await read(fixture, "k", id, { method: "HEAD" })).status, 200);
  origin.deleteVersion(testBucket, "k", id);
  origin.forgetRequests();
  const { status, code } = await read(fixture, "k", id);
  assert.deepEqual([status, code], [404, "NoSuchVersion"]);
  assert.deepEqual(costs(origin), [1, 1]);
});

test("versions: an old version is read while the current object is another one, through three replicas, at 1 HEAD and 1 GET a chunk", async (context) => {
  const cluster = await startReplicas({
    versioning: "Enabled",
    settings: { chunking: { size: "1MiB", tiers: [] } },
  });
  context.after(() => cluster.stop());
  const { origin, replicas } = cluster;
  // Several, so that each replica coordinates the metadata or the chunks of some.
  for (let index = 0; index < 8; index += 1) {
    const key = `k${index}`;
    const [first] = putThree(replicas[0] as ReplicaFixture, key) as [S3Object];
    origin.delete(testBucket, key);
    const marker = origin.versionsOf(testBucket, key)[0]?.id ?? "";
    origin.forgetRequests();
    for (const replica of [...replicas, ...replicas]) {
      const { body, headers } = await read(replica, key, idOf(first));
      assert.ok(body.equals(patternBytes(1, 0, first.sizeBytes)));
      assert.equal(headers.get("x-amz-version-id"), idOf(first));
    }
    assert.deepEqual(costs(origin, key), [1, 2], key);
    for (const replica of replicas) {
      const deleted = await read(replica, key);
      assert.deepEqual([deleted.status, deleted.headers.get("x-amz-version-id")], [404, marker]);
      assert.equal((await read(replica, key, marker)).status, 405);
      assert.equal((await read(replica, key, "version.999")).code, "NoSuchVersion");
      assert.equal((await read(replica, key, "malformed")).status, 400);
    }
    assert.deepEqual(costs(origin, key), [4, 3], key);
    for (const replica of replicas) {
      const page = await pageOf(replica, `&prefix=${key}&max-keys=3`);
      const [, next = ""] = /<NextVersionIdMarker>(.*)<\/NextVersionIdMarker>/.exec(page) ?? [];
      const rest = await pageOf(replica, `&prefix=${key}&key-marker=${key}&version-id-marker=${next}`);
      assert.equal([...named(page), ...named(rest)].length, 4);
      assert.match(named(page)[0] ?? "", /^DeleteMarker /);
    }
    assert.equal(origin.requests.filter(({ query }) => query.has("versions")).length, 2, key);
  }
});

const pageOf = async ({ endpoint }: ReplicaFixture, query: string): Promise<string> =>
  (await httpGet(`${endpoint}/${testBucket}?versions${query}`)).text();

test("versions: a reader of a version that joined a fetch of the current object survives the overwrite of that object", async (context) => {
  const fixture = await start(context);
  const { origin } = fixture;
  const first = origin.put(testBucket, "k", { seed: 1, sizeBytes: 100 * KiB });
  for (const id of [undefined, idOf(first)]) await read(fixture, "k", id, { method: "HEAD" });
  const second = origin.put(testBucket, "k", { seed: 2, sizeBytes: 100 * KiB });
  origin.forgetRequests();
  const gate = origin.hold("GET", "k");
  const current = read(fixture, "k");
  await until(() => origin.count("GET") === 1);
  const version = read(fixture, "k", idOf(first));
  await until(async () => (await fixture.metric("orca_requests_in_flight")) === 2);
  gate.release();
  assert.ok((await current).body.equals(patternBytes(2, 0, second.sizeBytes)));
  assert.ok((await version).body.equals(patternBytes(1, 0, first.sizeBytes)));
  const ids = origin.requests
    .filter(({ operation }) => operation === "GET")
    .map(({ query }) => query.get("versionId"));
  // The one that failed, and one for each content.
  assert.deepEqual(ids.length, 3);
  assert.equal(ids[0], null);
  assert.deepEqual(new Set(ids.slice(1)), new Set([idOf(first), null]));
  assert.equal(origin.count("HEAD"), 1);
});

function named(xml: string): string[] {
  const entry = /<(Version|DeleteMarker)><Key>([^<]*)<\/Key><VersionId>([^<]*)<\/VersionId><IsLatest>(\w+)/g;
  return [...xml.matchAll(entry)].map(([, kind, key, id, isLatest]) => `${kind} ${key} ${id} ${isLatest}`);
}

test("ListObjectVersions: versions and delete markers in order, page by page, out of the list cache", async (context) => {
  const fixture = await start(context);
  const { origin } = fixture;
  for (const key of ["a&b c", "k"]) putThree(fixture, key);
  origin.delete(testBucket, "k");
  const lists = (): number => origin.requests.filter(({ query }) => query.has("versions")).length;
  const all = await pageOf(fixture, "");
  const expected = [
    "Version a&amp;b c version.3 true",
    "Version a&amp;b c version.2 false",
    "Version a&amp;b c version.1 false",
    "DeleteMarker k version.7 true",
    "Version k version.6 false",
    "Version k version.5 false",
    "Version k version.4 false",
  ];
  assert.deepEqual(named(all), expected);
  assert.match(all, /<ListVersionsResult .*<IsTruncated>false<\/IsTruncated>/);
  const found: string[] = [];
  for (let markers = "&key-marker="; markers !== ""; ) {
    const page = await pageOf(fixture, `&max-keys=2${markers}`);
    found.push(...named(page));
    const [, key, id] =
      /<NextKeyMarker>(.*)<\/NextKeyMarker><NextVersionIdMarker>(.*)<\/NextVersionIdMarker>/.exec(page) ?? [];
    const plain = encodeURIComponent(key?.replace("&amp;", "&") ?? "");
    markers = key === undefined ? "" : `&key-marker=${plain}&version-id-marker=${id}`;
  }
  assert.deepEqual(found, expected);
  assert.equal(lists(), 5);
  await pageOf(fixture, "");
  await pageOf(fixture, "&max-keys=2");
  assert.equal(lists(), 5);
  assert.match(await pageOf(fixture, "&encoding-type=url&prefix=a"), /<Key>a%26b%20c<\/Key>/);
  assert.deepEqual(named(await pageOf(fixture, "&prefix=k")), expected.slice(3));
  // The other listing of the same prefix is another entry of the cache.
  const objects = await (await httpGet(`${fixture.endpoint}/${testBucket}?list-type=2`)).text();
  assert.match(objects, /<ListBucketResult/);
  for (const query of [
    "&version-id-marker=x",
    "&key-marker=k&version-id-marker=",
    "&key-marker=k&version-id-marker=%01",
  ])
    assert.match(await pageOf(fixture, query), /<Code>InvalidArgument<\/Code>/, query);
});
