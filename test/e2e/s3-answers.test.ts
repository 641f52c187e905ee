/** Requests that AWS answers in a way of its own. The right values are those that it documents, or that LocalStack recorded of it. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { text as textOf } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { crc32 } from "node:zlib";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { MiB } from "../../src/base/units.ts";
import { patternBytes } from "../support/pattern.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import type { Fault } from "../support/s3-fault.ts";

let orca: ReplicaFixture;

before(async () => {
  orca = await startReplica();
  orca.origin.put(testBucket, "k", { seed: 4, sizeBytes: 10, headers: { "content-type": "text/plain" } });
});
after(() => orca.stop());

/** A request of `path`, from the root of the endpoint on. */
function send(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Response> {
  return fetch(`${orca.endpoint}/${path}`, { method, headers });
}

const signed = {
  authorization:
    "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00",
};

test("response-*: only a request with a signature may choose headers, and its answer is not sniffed", async () => {
  const path = `${testBucket}/k?response-content-type=text%2Fhtml`;
  for (const method of ["GET", "HEAD"]) {
    const denied = await send(path, {}, method);
    assert.equal(denied.status, 400);
    if (method === "GET") assert.match(await denied.text(), /<Code>InvalidRequest<\/Code>/);
  }
  const presigned = `${path}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00`;
  for (const response of [await send(path, signed), await send(presigned)]) {
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "text/html");
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    await response.arrayBuffer();
  }
  assert.equal((await send(`${testBucket}/k?response-content-type=`)).status, 200);
});

/** The texts of all elements of a name. */
function texts(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map(([, text = ""]) => text);
}

test("ListObjectsV2: StartAfter is not repeated with a token, and an empty token is 400", async () => {
  for (const key of ["list/a", "list/b", "list/c", "list/d"])
    orca.origin.put(testBucket, key, { seed: 1, sizeBytes: 1 });
  const query = "list-type=2&prefix=list/&start-after=list/a&max-keys=1";
  const first = await (await send(`${testBucket}?${query}`)).text();
  assert.deepEqual(texts(first, "StartAfter"), ["list/a"]);
  const [token = ""] = texts(first, "NextContinuationToken");
  const second = await (await send(`${testBucket}?${query}&continuation-token=${token}`)).text();
  assert.deepEqual(texts(second, "Key"), ["list/c"]);
  assert.deepEqual(texts(second, "StartAfter"), []);
  const empty = await send(`${testBucket}?list-type=2&continuation-token=`);
  assert.equal(empty.status, 400);
  const [message] = texts(await empty.text(), "Message");
  assert.equal(message, "The continuation token provided is incorrect");
});

test("ListObjects: the storage class is the origin's, in listings and with the object", async () => {
  const headers = { "x-amz-storage-class": "GLACIER_IR" };
  orca.origin.put(testBucket, "class/a", { seed: 1, sizeBytes: 1, headers });
  orca.origin.put(testBucket, "class/b", { seed: 1, sizeBytes: 1 });
  const xml = await (await send(`${testBucket}?list-type=2&prefix=class/`)).text();
  assert.deepEqual(texts(xml, "StorageClass"), ["GLACIER_IR", "STANDARD"]);
  const head = await send(`${testBucket}/class/a`, {}, "HEAD");
  assert.equal(head.headers.get("x-amz-storage-class"), "GLACIER_IR");
});

test("ListObjects: keys with control characters decode to what was put under encoding-type=url", async () => {
  const keys = ["ctl/\n\u0001b", "ctl/a+b c%", "ctl/\r\t\u007f"];
  for (const key of keys) orca.origin.put(testBucket, key, { seed: 1, sizeBytes: 1 });
  for (const type of ["list-type=2&", ""]) {
    const xml = await (await send(`${testBucket}?${type}encoding-type=url&prefix=ctl/`)).text();
    assert.deepEqual(texts(xml, "Key").map(decodeURIComponent).toSorted(), keys.toSorted());
  }
  const newline = await (await send(`${testBucket}?list-type=2&encoding-type=url&prefix=ctl/%0A`)).text();
  assert.deepEqual(texts(newline, "Prefix"), ["ctl/%0A"]);
  assert.deepEqual(texts(newline, "Key"), ["ctl/%0A%01b"]);
});

test("Buckets: location, versioning and what is not configured have AWS's answers, and never a listing", async () => {
  const location = await (await send(`${testBucket}?location`)).text();
  const namespace = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
  assert.ok(location.endsWith(`<LocationConstraint ${namespace}></LocationConstraint>`), location);
  const versioning = await send(`${testBucket}?versioning`);
  assert.equal(versioning.status, 200);
  assert.ok(
    (await versioning.text()).endsWith(`<VersioningConfiguration ${namespace}></VersioningConfiguration>`),
  );
  for (const [name, status, code] of [
    ["tagging", 404, "NoSuchTagSet"],
    ["policy", 404, "NoSuchBucketPolicy"],
    ["cors", 404, "NoSuchCORSConfiguration"],
    ["lifecycle", 404, "NoSuchLifecycleConfiguration"],
    ["website", 404, "NoSuchWebsiteConfiguration"],
    ["object-lock", 404, "ObjectLockConfigurationNotFoundError"],
    ["acl", 501, "NotImplemented"],
    ["attributes", 501, "NotImplemented"],
    ["uploads", 501, "NotImplemented"],
  ] as const) {
    const answer = await send(`${testBucket}?${name}`);
    assert.equal(answer.status, status, name);
    assert.deepEqual(texts(await answer.text(), "Code"), [code]);
    assert.equal((await send(`${testBucket}?${name}`, {}, "HEAD")).status, status);
    if (name === "tagging") continue;
    const object = await send(`${testBucket}/k?${name}`);
    assert.equal(object.status, 501, name);
    assert.deepEqual(texts(await object.text(), "Code"), ["NotImplemented"]);
  }
  assert.equal((await send("absent?policy")).status, 404);
});

test("GetBucketLocation: the region is that of the bucket's own origin", async (context) => {
  const bucket = "eu";
  orca.origin.put(bucket, "k", { seed: 1, sizeBytes: 1 });
  const awss3 = { bucket, endpoint: orca.origin.endpoint, use_path_style: true, region: "eu-central-1" };
  const european = await startReplica({ settings: { origin: { awss3 } } });
  context.after(() => european.stop());
  const answer = await (await fetch(`${european.endpoint}/${bucket}?location`)).text();
  assert.deepEqual(/<LocationConstraint[^>]*>([^<]*)</.exec(answer)?.[1], "eu-central-1");
  const head = await fetch(`${european.endpoint}/${bucket}`, { method: "HEAD" });
  assert.equal(head.headers.get("x-amz-bucket-region"), "eu-central-1");
});

test("Answers: x-amz-id-2 is in every one, and HostId in every error", async () => {
  const ids = new Set<string | null>();
  for (const path of ["", testBucket, `${testBucket}?location`, `${testBucket}/k`, `${testBucket}/absent`]) {
    for (const method of ["GET", "HEAD"]) {
      const answer = await send(path, {}, method);
      ids.add(answer.headers.get("x-amz-id-2"));
      const xml = await answer.text();
      if (answer.status === 404 && method === "GET") ids.add(texts(xml, "HostId")[0] ?? null);
    }
  }
  const notModified = await send(`${testBucket}/k`, { "if-none-match": "*" });
  assert.equal(notModified.status, 304);
  ids.add(notModified.headers.get("x-amz-id-2"));
  assert.equal(ids.size, 1);
  assert.match([...ids][0] ?? "", /^[A-Za-z0-9+/]{43}=$/);
});

test("SSE-C: a request with a customer's key is 501, also for a cached object", async () => {
  await (await send(`${testBucket}/k`)).arrayBuffer();
  for (const name of ["algorithm", "key", "key-MD5"]) {
    const headers = { [`x-amz-server-side-encryption-customer-${name}`]: "AES256" };
    for (const method of ["GET", "HEAD"])
      assert.equal((await send(`${testBucket}/k`, headers, method)).status, 501);
  }
});

const owner = (value: string) => ({ "x-amz-expected-bucket-owner": value });

test("x-amz-expected-bucket-owner: another or an unknown owner is 403, what is no account is 400", async (context) => {
  assert.equal((await send(`${testBucket}/k`, owner("111111111111"))).status, 403);
  assert.equal((await send(`${testBucket}?list-type=2`, owner("111111111111"))).status, 403);
  const malformed = await send(`${testBucket}/k`, owner("0000"));
  assert.equal(malformed.status, 400);
  assert.deepEqual(texts(await malformed.text(), "Code"), ["InvalidBucketOwnerAWSAccountID"]);
  const { endpoint } = orca.origin;
  const awss3 = { bucket: testBucket, endpoint, use_path_style: true, bucket_owner: "111111111111" };
  const owned = await startReplica({ settings: { origin: { awss3 } } });
  context.after(() => owned.stop());
  owned.origin.put(testBucket, "k", { seed: 4, sizeBytes: 10 });
  assert.equal((await owned.get("k", owner("111111111111"))).status, 200);
  assert.equal((await owned.get("k", owner("222222222222"))).status, 403);
});

/** Of the first question, and of the GET after the HEAD that follows. */
function denials(code: string): Fault[] {
  return [
    { status: 403, code },
    { status: 403, code },
  ];
}

test("InvalidObjectState: an archived object is 403, and is served as soon as the origin has restored it", async () => {
  const headers = { "x-amz-storage-class": "GLACIER" };
  orca.origin.put(testBucket, "archived", { seed: 4, sizeBytes: 10, headers });
  orca.origin.faults.next("GET", "archived", ...denials("InvalidObjectState"));
  const archived = await send(`${testBucket}/archived`);
  assert.equal(archived.status, 403);
  const xml = await archived.text();
  assert.deepEqual(texts(xml, "Code"), ["InvalidObjectState"]);
  assert.deepEqual(texts(xml, "StorageClass"), ["GLACIER"]);
  assert.deepEqual(texts(xml, "AccessTier"), []);
  const head = await send(`${testBucket}/archived`, {}, "HEAD");
  assert.deepEqual([head.status, head.headers.get("x-amz-storage-class")], [200, "GLACIER"]);
  assert.equal(head.headers.get("x-amz-restore"), null);
  assert.equal((await send(`${testBucket}/archived`)).status, 200);
});

test("InvalidObjectState: an object that is archived after its metadata was cached is 403 at once, for one HEAD more", async () => {
  const object = { seed: 4, sizeBytes: 3 * MiB };
  orca.origin.put(testBucket, "later", object);
  assert.equal((await send(`${testBucket}/later`, { range: "bytes=0-9" })).status, 206);
  orca.origin.put(testBucket, "later", { ...object, headers: { "x-amz-storage-class": "DEEP_ARCHIVE" } });
  orca.origin.faults.always("GET", "later", { status: 403, code: "InvalidObjectState" });
  const earlier = orca.origin.requests.length;
  for (let round = 0; round < 3; round += 1) {
    const archived = await send(`${testBucket}/later`, { range: `bytes=${2 * MiB}-` });
    assert.equal(archived.status, 403);
    const xml = await archived.text();
    assert.deepEqual(texts(xml, "Code"), ["InvalidObjectState"]);
    assert.deepEqual(texts(xml, "StorageClass"), ["DEEP_ARCHIVE"]);
  }
  const asked = orca.origin.requests.slice(earlier).map(({ operation }) => operation);
  assert.deepEqual(asked, ["GET", "HEAD", "GET", "GET"]);
  const cached = await send(`${testBucket}/later`, { range: "bytes=0-9" });
  assert.deepEqual([cached.status, cached.headers.get("x-amz-storage-class")], [206, "DEEP_ARCHIVE"]);
  orca.origin.faults.clear();
  assert.equal((await send(`${testBucket}/later`, { range: `bytes=${2 * MiB}-` })).status, 206);
});

test("InvalidObjectState: an archive tier of INTELLIGENT_TIERING is named, and HEAD says what the origin says", async () => {
  const restore = 'ongoing-request="true"';
  const headers = {
    "x-amz-storage-class": "INTELLIGENT_TIERING",
    "x-amz-archive-status": "DEEP_ARCHIVE_ACCESS",
    "x-amz-restore": restore,
  };
  orca.origin.put(testBucket, "tiered", { seed: 4, sizeBytes: 10, headers });
  orca.origin.faults.next("GET", "tiered", ...denials("InvalidObjectState"));
  const archived = await send(`${testBucket}/tiered`);
  const xml = await archived.text();
  assert.equal(archived.status, 403);
  assert.deepEqual(texts(xml, "Code"), ["InvalidObjectState"]);
  assert.deepEqual(texts(xml, "Message"), ["The operation is not valid for the object&apos;s access tier"]);
  assert.deepEqual(texts(xml, "StorageClass"), ["INTELLIGENT_TIERING"]);
  assert.deepEqual(texts(xml, "AccessTier"), ["DEEP_ARCHIVE_ACCESS"]);
  const head = await send(`${testBucket}/tiered`, {}, "HEAD");
  assert.equal(head.headers.get("x-amz-restore"), restore);
  assert.equal(head.headers.get("x-amz-archive-status"), "DEEP_ARCHIVE_ACCESS");
  // A denial of an object that can be read is one of Orca's rights.
  orca.origin.put(testBucket, "warm", {
    seed: 4,
    sizeBytes: 10,
    headers: { "x-amz-storage-class": "GLACIER_IR" },
  });
  orca.origin.faults.next("GET", "warm", ...denials("AccessDenied"));
  assert.deepEqual(texts(await (await send(`${testBucket}/warm`)).text(), "Code"), ["OriginUnauthorized"]);
});

test("x-amz-checksum-mode: a whole object has the origin's checksums, and nothing else has them", async () => {
  const checksums = { "x-amz-checksum-crc32": "poTHxg==", "x-amz-checksum-type": "FULL_OBJECT" };
  const { etag } = orca.origin.put(testBucket, "sum", { seed: 4, sizeBytes: 10, headers: checksums });
  const asked = async (headers: Record<string, string>, method = "GET") => {
    const answer = await send(`${testBucket}/sum`, headers, method);
    await answer.arrayBuffer();
    const found = Object.keys(checksums).map((name) => answer.headers.get(name));
    return [answer.status, ...found];
  };
  const mode = { "x-amz-checksum-mode": "ENABLED" };
  assert.deepEqual(await asked(mode), [200, "poTHxg==", "FULL_OBJECT"]);
  assert.deepEqual(await asked(mode, "HEAD"), [200, "poTHxg==", "FULL_OBJECT"]);
  // A malformed range is the whole object.
  assert.deepEqual(await asked({ ...mode, range: "bytes=1-0" }), [200, "poTHxg==", "FULL_OBJECT"]);
  assert.deepEqual(await asked({}), [200, null, null]);
  assert.deepEqual(await asked({ ...mode, range: "bytes=0-9" }), [206, null, null]);
  assert.deepEqual(await asked({ ...mode, range: "bytes=10-" }), [416, null, null]);
  assert.deepEqual(await asked({ ...mode, "if-none-match": `"${etag}"` }), [304, null, null]);
  assert.deepEqual(await asked({ ...mode, "if-match": '"x"' }), [412, null, null]);
});

test("x-amz-checksum-mode: the AWS SDK compares the checksum with the bytes of a whole object, and takes a range without", async () => {
  const { endpoint, origin } = orca;
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
    responseChecksumValidation: "WHEN_SUPPORTED",
  });
  const read = async (Key: string, Range?: string): Promise<number | undefined> => {
    const asked = { Bucket: testBucket, Key, ...(Range !== undefined && { Range }) };
    return (await (await client.send(new GetObjectCommand(asked))).Body?.transformToByteArray())?.length;
  };
  const sums = { right: crc32(patternBytes(4, 0, 1000)), wrong: 0 };
  for (const [key, sum] of Object.entries(sums)) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(sum);
    const headers = {
      "x-amz-checksum-crc32": bytes.toString("base64"),
      "x-amz-checksum-type": "FULL_OBJECT",
    };
    origin.put(testBucket, key, { seed: 4, sizeBytes: 1000, headers });
  }
  assert.equal(await read("right"), 1000);
  await assert.rejects(read("wrong"), /Checksum mismatch/);
  assert.equal(await read("wrong", "bytes=10-19"), 10);
  client.destroy();
});

test("CORS: it is off by default", async () => {
  const page = { origin: "https://app.example.com", "access-control-request-method": "GET" };
  assert.equal((await send(`${testBucket}/k`, page, "OPTIONS")).status, 405);
  const answer = await send(`${testBucket}/k`, page);
  await answer.arrayBuffer();
  assert.deepEqual(
    [answer.headers.get("vary"), answer.headers.get("access-control-allow-origin")],
    [null, null],
  );
});

test("CORS: a preflight is answered for the pages of server.cors, and answers expose ETag and Content-Range", async (context) => {
  const cors = { origins: ["https://app.example.com", "https://*.apps.example.com"] };
  const open = await startReplica({ settings: { server: { cors } } });
  context.after(() => open.stop());
  open.origin.put(testBucket, "k", { seed: 4, sizeBytes: 10 });
  const preflight = (origin: string, more: Record<string, string> = {}) => {
    const headers = { origin, "access-control-request-method": "GET", ...more };
    return fetch(`${open.endpoint}/${testBucket}/k`, { method: "OPTIONS", headers });
  };
  const granted = await preflight("https://app.example.com", {
    "access-control-request-headers": "range, x-a",
  });
  assert.equal(granted.status, 200);
  assert.equal(granted.headers.get("access-control-allow-origin"), "https://app.example.com");
  assert.equal(granted.headers.get("access-control-allow-methods"), "GET, HEAD");
  assert.equal(granted.headers.get("access-control-allow-headers"), "range, x-a");
  assert.equal(granted.headers.get("access-control-max-age"), "3600");
  assert.match(granted.headers.get("vary") ?? "", /Origin/);
  assert.equal((await preflight("https://one.apps.example.com")).status, 200);
  for (const origin of ["https://evil.example.com", "https://apps.example.com.evil", "null"]) {
    const denied = await preflight(origin);
    assert.equal(denied.status, 403, origin);
    assert.equal(denied.headers.get("access-control-allow-origin"), null);
    assert.deepEqual(texts(await denied.text(), "Code"), ["AccessForbidden"]);
  }
  const put = { "access-control-request-method": "PUT" };
  assert.equal((await preflight("https://app.example.com", put)).status, 403);
  const page = { origin: "https://app.example.com", range: "bytes=0-4" };
  for (const [key, status] of [
    ["k", 206],
    ["absent", 404],
  ] as const) {
    const answer = await open.get(key, page);
    await answer.arrayBuffer();
    assert.equal(answer.status, status);
    assert.equal(answer.headers.get("access-control-allow-origin"), "https://app.example.com");
    assert.match(answer.headers.get("access-control-expose-headers") ?? "", /ETag, Content-Range/);
  }
  const other = await open.get("k");
  await other.arrayBuffer();
  assert.match(other.headers.get("vary") ?? "", /Origin/);
  assert.equal(other.headers.get("access-control-allow-origin"), null);
});

/** All that the endpoint answers to bytes that no HTTP client would send. */
async function raw(request: string): Promise<string> {
  const socket = connect({ port: Number(new URL(orca.endpoint).port), host: "127.0.0.1" });
  socket.write(request);
  return textOf(socket);
}

async function keysBelow(prefix: string): Promise<string[]> {
  return texts(await (await send(`${testBucket}?list-type=2&prefix=${prefix}`)).text(), "Key");
}

test("paths: a raw plus is a plus, in a query it is a space", async () => {
  orca.origin.put(testBucket, "a+b", { body: "plus" });
  orca.origin.put(testBucket, "a b", { body: "space" });
  for (const [path, body] of [
    ["a+b", "plus"],
    ["a%2Bb", "plus"],
    ["a%20b", "space"],
  ] as const) {
    const answer = await raw(`GET /${testBucket}/${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
    assert.ok(answer.startsWith("HTTP/1.1 200 ") && answer.endsWith(`\r\n\r\n${body}`), path);
  }
  assert.deepEqual(await keysBelow("a+b"), ["a b"]);
  assert.deepEqual(await keysBelow("a%2Bb"), ["a+b"]);
});

test("HTTP/1.0: it needs no Host, gets a length and no chunks, and the connection closes", async () => {
  orca.origin.put(testBucket, "old", { body: "old client" });
  for (const target of [`/${testBucket}/old`, `http://h/${testBucket}/old`]) {
    const answer = await raw(`GET ${target} HTTP/1.0\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 200 .*\r\nContent-Length: 10\r\n/s);
    assert.doesNotMatch(answer, /transfer-encoding/i);
    assert.ok(answer.endsWith("\r\n\r\nold client"));
  }
  const listing = await raw(`GET /${testBucket}?list-type=2&prefix=old HTTP/1.0\r\n\r\n`);
  assert.deepEqual(texts(listing, "Key"), ["old"]);
});

test("targets: a whole URL is read like its path", async () => {
  orca.origin.put(testBucket, "absolute", { body: "absolute" });
  const target = `${orca.endpoint}/${testBucket}/absolute`;
  const answer = await raw(`GET ${target} HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n`);
  assert.ok(answer.startsWith("HTTP/1.1 200 ") && answer.endsWith("\r\n\r\nabsolute"));
});

test("HEAD: everything that GET serves has the same status and type, and no body", async () => {
  const paths = [
    "",
    testBucket,
    `${testBucket}?location`,
    `${testBucket}?versioning`,
    `${testBucket}?policy`,
  ];
  for (const path of [
    ...paths,
    `${testBucket}/k`,
    `${testBucket}/absent`,
    "absent",
    `${testBucket}?list-type=2`,
  ]) {
    const get = await send(path);
    await get.arrayBuffer();
    const head = await send(path, {}, "HEAD");
    assert.equal(head.status, get.status, path);
    assert.equal((await head.arrayBuffer()).byteLength, 0);
  }
});
