/** Sub-resources such as `?acl`: passed through where the origin decides who may read, else as where nothing is configured. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { signedHead } from "../support/signed-get.ts";

const namespace = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
const acl = `<AccessControlPolicy ${namespace}><Owner><ID>alice</ID></Owner></AccessControlPolicy>`;
const attributes = `<GetObjectAttributesResponse ${namespace}><ObjectSize>10</ObjectSize></GetObjectAttributesResponse>`;

const keys = `keys:
  - { access_key: alice, secret: secret-of-alice, buckets: [${testBucket}, part], allow: [get, list] }
  - { access_key: bob, secret: secret-of-bob, buckets: [${testBucket}], prefixes: [public/], allow: [get] }
`;

const isPublic = (text: string): boolean => text.startsWith("public/");
const empty = (name: string, inside = ""): string => `<${name} ${namespace}>${inside}</${name}>`;

/** An origin at which alice may read everything, bob and everybody what is public. */
async function start(context: TestContext, authorize: "origin" | "keys", buckets = {}) {
  const folder = mkdtempSync(join(tmpdir(), "orca-sub-resources-"));
  const file = join(folder, "keys.yaml");
  writeFileSync(file, keys);
  const users = new Map([
    ["test", { secretKey: "test-secret", mayRead: () => true }],
    ["alice", { secretKey: "secret-of-alice", mayRead: () => true }],
    ["bob", { secretKey: "secret-of-bob", mayRead: isPublic }],
    ["", { secretKey: "", mayRead: isPublic }],
  ]);
  const origin = await S3Server.start({ buckets: [testBucket], users });
  for (const key of ["k", "public/k"]) origin.put(testBucket, key, { body: "some bytes" });
  const auth = { enabled: true, access_keys_file: file, authorize };
  const fixture = await startReplica({
    origin,
    settings: { server: { auth }, origin: { buckets: { [testBucket]: {}, ...buckets } } },
  });
  context.after(async () => {
    await fixture.stop();
    await origin.stop();
    rmSync(folder, { recursive: true });
  });
  return { fixture, origin };
}

/** What the origin was asked, but for HEADs and for looks at the bucket. */
function questions({ requests }: S3Server) {
  return requests.filter(({ operation, query }) => operation !== "HEAD" && !query.has("list-type"));
}

interface Read {
  readonly who?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

/** A signed read of `target`, a path with a query; unsigned for nobody. */
async function read(
  { endpoint }: ReplicaFixture,
  target: string,
  { who = "alice", method, headers }: Read = {},
) {
  const [path = "", query = ""] = target.split("?");
  const key = { accessKeyId: who, secretAccessKey: `secret-of-${who}` };
  const signed = await signedHead(key, {
    host: endpoint.slice("http://".length),
    path,
    query: Object.fromEntries(new URLSearchParams(query)),
    at: new Date(),
    ...(method !== undefined && { method }),
    ...(headers && { headers }),
  });
  const sent = { method: method ?? "GET", headers: who === "" ? (headers ?? {}) : signed.headers };
  const response = await fetch(endpoint + target, sent);
  const body = await response.text();
  return { status: response.status, code: /<Code>(\w+)/.exec(body)?.[1], body, headers: response.headers };
}

test("authorize origin: a sub-resource is asked for with the client's own key, and its answer comes back", async (context) => {
  const { fixture, origin } = await start(context, "origin");
  const headers = { "x-amz-version-id": "v1", "x-amz-request-charged": "requester", "x-secret": "s" };
  origin.subResources.set(`${testBucket}/public/k?acl`, { headers, body: acl });
  const target = `/${testBucket}/public/k?acl`;
  for (const who of ["alice", "bob", ""]) {
    origin.forgetRequests();
    const answer = await read(fixture, target, { who });
    assert.deepEqual([answer.status, answer.body], [200, acl]);
    assert.equal(answer.headers.get("content-type"), "application/xml");
    assert.equal(answer.headers.get("x-amz-version-id"), "v1");
    assert.equal(answer.headers.get("x-amz-request-charged"), "requester");
    assert.equal(answer.headers.get("x-secret"), null);
    assert.ok(answer.headers.get("x-amz-request-id")?.startsWith("request-") === false);
    // One request, signed by the client, and nothing is kept of its answer.
    const [asked, ...more] = questions(origin);
    assert.deepEqual(more, []);
    assert.equal(/Credential=(\w+)/.exec(asked?.headers.authorization ?? "")?.[1] ?? "", who);
    assert.deepEqual([...(asked?.query ?? [])], [["acl", ""]]);
  }
  const head = await read(fixture, target, { method: "HEAD" });
  assert.deepEqual([head.status, head.body], [200, ""]);
  assert.equal(head.headers.get("content-length"), String(Buffer.byteLength(acl)));
  assert.equal(await fixture.metric('orca_origin_requests_total{origin="test",operation="sub_resource"}'), 4);
});

test("authorize origin: the origin's denial and its errors come back with their code and Orca's names", async (context) => {
  const { fixture, origin } = await start(context, "origin");
  origin.subResources.set(`${testBucket}/k?acl`, { body: acl });
  const policy = `${testBucket}/?policy`;
  for (const who of ["bob", ""]) {
    const denied = await read(fixture, `/${testBucket}/k?acl`, { who });
    assert.deepEqual([denied.status, denied.code], [403, "AccessDenied"]);
  }
  const xml =
    "<Error><Code>NoSuchBucketPolicy</Code><Message>a &amp; b</Message><Resource>/other</Resource></Error>";
  origin.subResources.set(policy, { status: 404, body: xml });
  const absent = await read(fixture, `/${testBucket}?policy`);
  assert.deepEqual([absent.status, absent.code], [404, "NoSuchBucketPolicy"]);
  assert.match(absent.body, /<Message>a &amp; b<\/Message><BucketName>models<\/BucketName>/);
  assert.match(absent.body, /<Resource>\/models<\/Resource><RequestId>[^<]+<\/RequestId><HostId>/);
  const head = await read(fixture, `/${testBucket}?policy`, { method: "HEAD" });
  assert.deepEqual([head.status, head.body], [404, ""]);

  origin.subResources.set(policy, {
    headers: { "content-type": "application/json" },
    body: '{"Statement":[]}',
  });
  const found = await read(fixture, `/${testBucket}?policy`);
  assert.deepEqual([found.status, found.body], [200, '{"Statement":[]}']);
  origin.subResources.set(policy, { status: 501, body: "<Error><Code>NotImplemented</Code></Error>" });
  assert.equal((await read(fixture, `/${testBucket}?policy`)).status, 501);
  origin.forgetRequests();
  origin.subResources.set(policy, { status: 500, body: "<Error><Code>InternalError</Code></Error>" });
  assert.equal((await read(fixture, `/${testBucket}?policy`)).code, "OriginUnreachable");
  assert.equal(questions(origin).length, 3);
});

test("authorize origin: never a listing and never an object's bytes, also where the origin ignores the parameter", async (context) => {
  const { fixture, origin } = await start(context, "origin");
  origin.put(testBucket, "large", { seed: 1, sizeBytes: 3 * MiB });
  for (const target of [
    "k?acl",
    "k?attributes",
    "k?legal-hold",
    "large?tagging",
    "?encryption",
    "?acl",
    "?policy",
  ]) {
    const path = target.startsWith("?") ? `/${testBucket}${target}` : `/${testBucket}/${target}`;
    const answer = await read(fixture, path);
    assert.deepEqual([answer.status, answer.code], [501, "NotImplemented"], target);
  }
  origin.forgetRequests();
  // Of a bucket alone, or writes: the origin is not asked.
  for (const target of [
    "k?policy",
    "k?website",
    "k?torrent",
    "k?uploadId=1",
    "?uploads",
    "?session",
    "k?restore",
  ]) {
    const path = target.startsWith("?") ? `/${testBucket}${target}` : `/${testBucket}/${target}`;
    assert.equal((await read(fixture, path)).status, 501, target);
  }
  assert.deepEqual(questions(origin), []);
});

test("authorize origin: versionId, the attributes that are wanted, and the payer reach the origin", async (context) => {
  const { fixture, origin } = await start(context, "origin");
  origin.subResources.set(`${testBucket}/k?attributes`, { body: attributes });
  const headers = {
    "x-amz-object-attributes": "ETag,ObjectSize",
    "x-amz-max-parts": "5",
    "x-amz-request-payer": "requester",
  };
  const answer = await read(fixture, `/${testBucket}/k?attributes&versionId=v&foo=bar`, { headers });
  assert.deepEqual([answer.status, answer.body], [200, attributes]);
  const [asked] = questions(origin);
  assert.deepEqual(
    [...(asked?.query ?? [])],
    [
      ["attributes", ""],
      ["versionId", "v"],
    ],
  );
  for (const [name, value] of Object.entries(headers)) assert.equal(asked?.headers[name], value);
});

test("authorize origin: a bucket with another name and a prefix asks for its own bucket and key there", async (context) => {
  const { fixture, origin } = await start(context, "origin", {
    part: { bucket: testBucket, prefix: "public/" },
  });
  for (const target of ["public/k?acl", "?acl"])
    origin.subResources.set(`${testBucket}/${target}`, { body: acl });
  for (const target of ["part/k?acl", "part?acl"])
    assert.equal((await read(fixture, `/${target}`)).body, acl);
  assert.deepEqual(
    questions(origin).map(({ bucket, key }) => `${bucket}/${key}`),
    [`${testBucket}/public/k`, `${testBucket}/`],
  );
});

test("authorize keys: GetObjectAttributes is asked for with Orca's key, for a client that may get the object", async (context) => {
  const { fixture, origin } = await start(context, "keys");
  for (const key of ["k", "public/k"])
    origin.subResources.set(`${testBucket}/${key}?attributes`, { body: attributes });
  const headers = { "x-amz-object-attributes": "ObjectSize", "x-amz-request-payer": "requester" };
  const answer = await read(fixture, `/${testBucket}/public/k?attributes`, { who: "bob", headers });
  assert.deepEqual([answer.status, answer.body], [200, attributes]);
  const [asked] = questions(origin);
  assert.match(asked?.headers.authorization ?? "", /Credential=test\//);
  assert.equal(asked?.headers["x-amz-object-attributes"], "ObjectSize");
  assert.equal(asked?.headers["x-amz-request-payer"], undefined);
  origin.forgetRequests();
  for (const who of ["bob", ""]) {
    const denied = await read(fixture, `/${testBucket}/k?attributes`, { who, headers });
    assert.deepEqual([denied.status, denied.code], [403, "AccessDenied"]);
  }
  assert.deepEqual(questions(origin), []);
  origin.subResources.set(`${testBucket}/k?attributes`, {
    status: 403,
    body: "<Error><Code>AccessDenied</Code></Error>",
  });
  assert.equal((await read(fixture, `/${testBucket}/k?attributes`, { headers })).code, "OriginUnauthorized");
  assert.equal((await read(fixture, `/${testBucket}/absent?attributes`, { headers })).code, "NoSuchKey");
  const missing = "<Error><Code>InvalidRequest</Code><Message>no header</Message></Error>";
  origin.subResources.set(`${testBucket}/k?attributes`, { status: 400, body: missing });
  const rejected = await read(fixture, `/${testBucket}/k?attributes`);
  assert.deepEqual([rejected.status, rejected.code], [400, "InvalidRequest"]);
});

test("authorize keys: other sub-resources are what S3 answers where nothing is configured, and cost no GET", async (context) => {
  const { fixture, origin } = await start(context, "keys");
  for (const [target, status, expected] of [
    ["?accelerate", 200, empty("AccelerateConfiguration")],
    ["?acl", 501, "NotImplemented"],
    ["?cors", 404, "NoSuchCORSConfiguration"],
    ["?encryption", 501, "NotImplemented"],
    ["?inventory&id=i", 501, "NotImplemented"],
    ["?lifecycle", 404, "NoSuchLifecycleConfiguration"],
    ["?logging", 200, empty("BucketLoggingStatus")],
    ["?notification", 200, empty("NotificationConfiguration")],
    ["?object-lock", 404, "ObjectLockConfigurationNotFoundError"],
    ["?ownershipControls", 404, "OwnershipControlsNotFoundError"],
    ["?policy", 404, "NoSuchBucketPolicy"],
    ["?policyStatus", 404, "NoSuchBucketPolicy"],
    ["?publicAccessBlock", 404, "NoSuchPublicAccessBlockConfiguration"],
    ["?replication", 404, "ReplicationConfigurationNotFoundError"],
    ["?requestPayment", 200, empty("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>")],
    ["?tagging", 404, "NoSuchTagSet"],
    ["?versioning", 200, empty("VersioningConfiguration")],
    ["?website", 404, "NoSuchWebsiteConfiguration"],
    ["/k?acl", 501, "NotImplemented"],
    ["/k?legal-hold", 400, "InvalidRequest"],
    ["/k?retention", 400, "InvalidRequest"],
    ["/k?tagging", 200, empty("Tagging", "<TagSet></TagSet>")],
    ["/k?tagging&versionId=v", 501, "NotImplemented"],
    ["/k?torrent", 501, "NotImplemented"],
    ["/k?policy", 501, "NotImplemented"],
    ["/absent?tagging", 404, "NoSuchKey"],
    ["/absent?retention", 404, "NoSuchKey"],
  ] as const) {
    const answer = await read(fixture, `/${testBucket}${target}`);
    assert.deepEqual([answer.status, answer.code ?? answer.body.split("\n")[1]], [status, expected], target);
    const head = await read(fixture, `/${testBucket}${target}`, { method: "HEAD" });
    assert.deepEqual([head.status, head.body], [status, ""], target);
    const anonymous = await read(fixture, `/${testBucket}${target}`, { who: "" });
    assert.equal(anonymous.status, /torrent|k\?policy/.test(target) ? 501 : 403, target);
  }
  assert.match(
    (await read(fixture, `/${testBucket}/k?retention`)).body,
    /Bucket is missing Object Lock Configuration/,
  );
  assert.deepEqual(questions(origin), []);
});
