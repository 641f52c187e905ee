/** `origin.buckets: {"*": {}}`: the origin says which buckets there are, and is asked for each as seldom as can be. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { KiB } from "../../src/base/units.ts";
import { httpGet } from "../support/http-get.ts";
import { startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, type ReplicaFixtureOptions, startReplica } from "../support/replica-fixture.ts";
import { S3Server, type S3ServerOptions } from "../support/s3-server.ts";
import type { S3User } from "../support/s3-signature.ts";
import { signedHead } from "../support/signed-get.ts";
import { until } from "../support/until.ts";

async function start(
  context: TestContext,
  settings: NonNullable<ReplicaFixtureOptions["settings"]> = {},
  options: S3ServerOptions = {},
  pages = 1,
) {
  const origin = await S3Server.start({ buckets: ["models", "datasets"], ...options });
  origin.put("models", "a", { seed: 1, sizeBytes: 4 * KiB });
  origin.put("datasets", "a", { seed: 2, sizeBytes: 4 * KiB });
  const fixture = await startReplica({
    origin,
    settings: { ...settings, origin: { buckets: { "*": {} }, ...(settings["origin"] as object) } },
  });
  context.after(async () => {
    await fixture.stop();
    await origin.stop();
  });
  // The look of the start.
  await until(() => origin.count("LIST_BUCKETS") === pages && origin.inFlight === 0);
  origin.forgetRequests();
  return { fixture, origin };
}

async function ask({ endpoint }: ReplicaFixture, target: string, method = "GET"): Promise<string> {
  const response = await fetch(endpoint + target, { method });
  return outcome(response.status, await response.text());
}

function statusOf(url: string, agent: Agent): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  get(url, { agent }, (message) => {
    message.resume().once("end", () => resolve(message.statusCode ?? 0));
  }).once("error", reject);
  return promise;
}

function outcome(status: number, body: string): string {
  return `${status} ${/<Code>(\w+)/.exec(body)?.[1] ?? ""}`.trim();
}

function namesIn(xml: string): string[] {
  return [...xml.matchAll(/<Bucket><Name>([^<]*)/g)].map(([, name = ""]) => name);
}

/** Requests of the origin by operation. */
function asked(origin: S3Server): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { operation } of origin.requests) counts[operation] = (counts[operation] ?? 0) + 1;
  return counts;
}

test('buckets "*": each bucket of the origin is served, and asked for once', async (context) => {
  const { fixture, origin } = await start(context);
  for (const bucket of ["models", "datasets"]) {
    assert.equal(await ask(fixture, `/${bucket}/a`), "200");
    assert.equal(await ask(fixture, `/${bucket}/a`), "200");
    assert.equal(await ask(fixture, `/${bucket}`, "HEAD"), "200");
    assert.equal(await ask(fixture, `/${bucket}?location`), "200");
  }
  assert.deepEqual(asked(origin), { LIST: 2, GET: 2 });
  origin.forgetRequests();
  assert.equal(await ask(fixture, "/models/b"), "404 NoSuchKey");
  assert.equal(await ask(fixture, "/models?list-type=2"), "200");
  assert.deepEqual(asked(origin), { GET: 1, LIST: 1 });
});

test('buckets "*": an unknown bucket is NoSuchBucket for every request, and one question for all of them', async (context) => {
  const { fixture, origin } = await start(context);
  assert.equal(await ask(fixture, "/unknown/a"), "404 NoSuchBucket");
  assert.equal(await ask(fixture, "/unknown/b?partNumber=1"), "404 NoSuchBucket");
  assert.equal(await ask(fixture, "/unknown?list-type=2"), "404 NoSuchBucket");
  assert.equal(await ask(fixture, "/unknown?location"), "404 NoSuchBucket");
  assert.equal(await ask(fixture, "/unknown", "HEAD"), "404");
  assert.equal(await ask(fixture, "/unknown/a", "HEAD"), "404");
  assert.deepEqual(asked(origin), { LIST: 1 });
  const many = await Promise.all(Array.from({ length: 50 }, () => ask(fixture, "/another/a")));
  assert.deepEqual(new Set(many), new Set(["404 NoSuchBucket"]));
  assert.deepEqual(asked(origin), { LIST: 2 });
});

test('buckets "*": a name that S3 forbids never reaches the origin', async (context) => {
  const { fixture, origin } = await start(context);
  const names = [
    "ab",
    "Models",
    "a_b",
    "a..b",
    "-ab",
    "ab-",
    "1.2.3.4",
    "xn--abc",
    "abc--x-s3",
    "$web",
    "x".repeat(64),
  ];
  for (const name of names) {
    assert.equal(await ask(fixture, `/${name}/a`), "404 NoSuchBucket", name);
    assert.equal(await ask(fixture, `/${name}?list-type=2`), "404 NoSuchBucket", name);
  }
  assert.deepEqual(asked(origin), {});
});

test('buckets "*": 10,000 unknown buckets cost one question each per negative TTL, and bounded memory', async (context) => {
  const { fixture, origin } = await start(context, { metadata: { negative_ttl: "10m" } });
  fixture.logger.isDebug = false;
  const agent = new Agent({ keepAlive: true });
  const names = Array.from({ length: 10_000 }, (_, index) => `unknown-${index}`);
  for (let round = 0; round < 2; round += 1) {
    const waiting = names.values();
    const client = async (): Promise<void> => {
      for (const name of waiting) assert.equal(await statusOf(`${fixture.endpoint}/${name}/a`, agent), 404);
    };
    await Promise.all(Array.from({ length: 16 }, client));
  }
  agent.destroy();
  assert.deepEqual(asked(origin), { LIST: 10_000 });
  assert.equal(await fixture.metric('orca_open_buckets{origin="test"}'), 10_000);
  assert.ok((await fixture.metric('orca_open_buckets_bytes{origin="test"}')) < 8 * 1024 * 1024);
  assert.equal(await fixture.metric('orca_bucket_questions_total{origin="test",result="absent"}'), 10_000);
  // Each request for one was an error of its client: nothing is logged.
  assert.equal(fixture.logger.count("warn"), 0);
});

test('buckets "*": a bucket that is made is seen after the negative TTL, and one that is gone after the TTL', async (context) => {
  const ttls = { metadata: { ttl: "300ms", negative_ttl: "300ms" }, list_cache: { ttl: "0s" } };
  const { fixture, origin } = await start(context, ttls);
  assert.equal(await ask(fixture, "/later/a"), "404 NoSuchBucket");
  origin.put("later", "a", { seed: 3, sizeBytes: KiB });
  await until(async () => (await ask(fixture, "/later/a")) === "200");

  assert.equal(await ask(fixture, "/models/a"), "200");
  origin.deleteBucket("models");
  await until(async () => (await ask(fixture, "/models/a")) !== "200");
  for (const target of ["/models/a", "/models/b", "/models?list-type=2", "/models?location"])
    await until(async () => (await ask(fixture, target)) === "404 NoSuchBucket");
  assert.equal(await ask(fixture, "/models/a", "HEAD"), "404");
  assert.equal(await ask(fixture, "/models", "HEAD"), "404");
});

test('buckets "*": with a TTL of 0 every answer is the origin\'s of now', async (context) => {
  const ttls = { metadata: { ttl: "none", negative_ttl: "none" }, list_cache: { ttl: "0s" } };
  const { fixture, origin } = await start(context, ttls);
  assert.equal(await ask(fixture, "/models/a"), "200");
  assert.equal(await ask(fixture, "/models/b"), "404 NoSuchKey");
  origin.deleteBucket("models");
  assert.equal(await ask(fixture, "/models/a"), "404 NoSuchBucket");
  assert.equal(await ask(fixture, "/models", "HEAD"), "404");
  origin.put("models", "a", { seed: 4, sizeBytes: KiB });
  assert.equal(await ask(fixture, "/models/a"), "200");
});

test('buckets "*": cached objects are served while the origin is down, and unknown buckets are errors', async (context) => {
  const { fixture, origin } = await start(context, { metadata: { ttl: "2s" } });
  assert.equal(await ask(fixture, "/models/a"), "200");
  await origin.stop();
  assert.equal(await ask(fixture, "/models/a"), "200");
  assert.equal(await ask(fixture, "/unknown/a"), "502 OriginUnreachable");
  await origin.listen();
  assert.equal(await ask(fixture, "/unknown/a"), "404 NoSuchBucket");
});

test('buckets "*": a configured name keeps its own settings, and hides a bucket of that name', async (context) => {
  const { fixture, origin } = await start(context, {
    origin: {
      buckets: { "*": {}, models: { bucket: "datasets" }, pub: { bucket: "models", prefix: "pub/" } },
    },
  });
  origin.put("models", "pub/x", { seed: 1, sizeBytes: KiB });
  origin.put("datasets", "only-here", { seed: 1, sizeBytes: KiB });
  assert.equal(await ask(fixture, "/models/only-here"), "200");
  assert.equal(await ask(fixture, "/pub/x"), "200");
  assert.equal(await ask(fixture, "/pub/a"), "404 NoSuchKey");
  assert.equal(await ask(fixture, "/datasets/a"), "200");
  const xml = await (await httpGet(`${fixture.endpoint}/`)).text();
  assert.deepEqual(namesIn(xml), ["datasets", "models", "pub"]);
});

test('buckets "*": a prefix holds for all other buckets', async (context) => {
  const { fixture, origin } = await start(context, { origin: { buckets: { "*": { prefix: "pub/" } } } });
  origin.put("models", "pub/x", { seed: 1, sizeBytes: KiB });
  assert.equal(await ask(fixture, "/models/x"), "200");
  assert.equal(await ask(fixture, "/models/a"), "404 NoSuchKey");
});

test('buckets "*": ListBuckets is the origin\'s, page by page, without names that cannot be read', async (context) => {
  const names = Array.from({ length: 2300 }, (_, index) => `b-${String(index).padStart(4, "0")}`);
  const { fixture, origin } = await start(context, {}, { buckets: [...names, "Not_A_Name"] }, 3);
  const list = async (): Promise<string> => (await httpGet(`${fixture.endpoint}/`)).text();
  const lists = await Promise.all([list(), list(), list()]);
  assert.deepEqual(namesIn(lists[0] ?? ""), [...names, "datasets", "models"]);
  assert.equal(lists[1], lists[0]);
  assert.match(lists[2] ?? "", /<Name>b-0000<\/Name><CreationDate>2[^<]*Z</);
  await list();
  assert.deepEqual(asked(origin), { LIST_BUCKETS: 3 });
});

test('buckets "*": without the right to list buckets, HeadBucket and reads work still', async (context) => {
  const { fixture, origin } = await start(context);
  origin.faults.always("LIST_BUCKETS", "*", { status: 403 });
  assert.equal(await ask(fixture, "/"), "403 AccessDenied");
  assert.equal(await ask(fixture, "/"), "403 AccessDenied");
  assert.deepEqual(asked(origin), { LIST_BUCKETS: 1 });
  assert.equal(await ask(fixture, "/models", "HEAD"), "200");
  assert.equal(await ask(fixture, "/models/a"), "200");
});

test('buckets "*": without the right to list a bucket its objects are read, and HeadBucket is denied', async (context) => {
  const { fixture, origin } = await start(context);
  origin.faults.always("LIST", "*", { status: 403 });
  assert.equal(await ask(fixture, "/models/a"), "200");
  assert.equal(await ask(fixture, "/models", "HEAD"), "403");
  assert.equal(await ask(fixture, "/models?location"), "403 AccessDenied");
  assert.deepEqual(asked(origin), { LIST: 1, GET: 1 });
});

function user(name: string, mayRead: boolean, buckets?: readonly string[]): [string, S3User] {
  return [name, { secretKey: `secret-of-${name}`, mayRead: () => mayRead, ...(buckets && { buckets }) }];
}

test('buckets "*": the bucket of a cachestore on the same service is none for clients', async (context) => {
  const server = await S3Server.start({ buckets: ["chunks"] });
  context.after(() => server.stop());
  server.put("models", "a", { seed: 1, sizeBytes: KiB });
  const s3 = { bucket: "chunks", endpoint: server.endpoint, use_path_style: true };
  const settings = { origin: { buckets: { "*": {} } }, cachestore: { driver: "s3", s3 } };
  const fixture = await startReplica({ origin: server, settings });
  context.after(() => fixture.stop());
  assert.equal(await ask(fixture, "/models/a"), "200");
  assert.equal(await ask(fixture, "/chunks/a"), "404 NoSuchBucket");
  assert.equal(await ask(fixture, "/chunks", "HEAD"), "404");
  assert.deepEqual(namesIn(await (await httpGet(`${fixture.endpoint}/`)).text()), ["models"]);
});

test('buckets "*" in a cluster: each replica asks for a bucket once per TTL', async (context) => {
  const cluster = await startReplicas({ replicas: 3, settings: { origin: { buckets: { "*": {} } } } });
  context.after(() => cluster.stop());
  const { origin, replicas } = cluster;
  origin.put("more", "a", { seed: 1, sizeBytes: KiB });
  await until(() => origin.count("LIST_BUCKETS") === 3 && origin.inFlight === 0);
  origin.forgetRequests();
  for (let round = 0; round < 2; round += 1) {
    for (const replica of replicas) {
      assert.equal(await ask(replica, "/more/a"), "200");
      assert.equal(await ask(replica, "/unknown/a"), "404 NoSuchBucket");
    }
  }
  assert.deepEqual(asked(origin), { LIST: 6, GET: 1 });
});

async function startWithKeys(context: TestContext, authorize: string) {
  const folder = mkdtempSync(join(tmpdir(), "orca-star-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "keys.yaml");
  const rights = authorize === "keys" ? ', buckets: ["models", "unknown"]' : "";
  const all = authorize === "keys" ? ', buckets: ["*"]' : "";
  writeFileSync(
    file,
    `keys:
  - { access_key: alice, secret: secret-of-alice${all} }
  - { access_key: bob, secret: secret-of-bob${rights} }
`,
  );
  const auth = { enabled: true, access_keys_file: file, authorize, authorize_ttl: "60s" };
  const users = new Map<string, S3User>([
    ["test", { secretKey: "test-secret", mayRead: () => true }],
    user("alice", true, ["models", "datasets"]),
    user("bob", authorize !== "origin", ["models"]),
  ]);
  return start(context, { server: { auth } }, { users });
}

async function askAs(who: string, { endpoint }: ReplicaFixture, path: string): Promise<string> {
  const host = endpoint.slice("http://".length);
  const key = { accessKeyId: who, secretAccessKey: `secret-of-${who}` };
  const { headers } = await signedHead(key, { host, path, at: new Date() });
  const response = await httpGet(endpoint + path, who === "" ? {} : headers);
  const body = await response.text();
  return path === "/" && response.status === 200 ? namesIn(body).join(" ") : outcome(response.status, body);
}

test('buckets "*" with authorize keys: a key sees what the file says, and asks for nothing else', async (context) => {
  const { fixture, origin } = await startWithKeys(context, "keys");
  assert.equal(await askAs("bob", fixture, "/datasets/a"), "403 AccessDenied");
  assert.equal(await askAs("bob", fixture, "/other/a"), "403 AccessDenied");
  assert.equal(await askAs("", fixture, "/models/a"), "403 AccessDenied");
  assert.equal(await askAs("", fixture, "/"), "403 AccessDenied");
  assert.deepEqual(asked(origin), {});
  assert.equal(await askAs("bob", fixture, "/models/a"), "200");
  assert.equal(await askAs("bob", fixture, "/unknown/a"), "404 NoSuchBucket");
  assert.equal(await askAs("alice", fixture, "/"), "datasets models");
  assert.equal(await askAs("bob", fixture, "/"), "models");
  assert.deepEqual(asked(origin), { LIST: 2, GET: 1, LIST_BUCKETS: 1 });
});

test('buckets "*" with authorize origin: each client is listed its own buckets, and never those of another', async (context) => {
  const { fixture, origin } = await startWithKeys(context, "origin");
  assert.equal(await askAs("alice", fixture, "/"), "datasets models");
  assert.equal(await askAs("bob", fixture, "/"), "403 AccessDenied");
  assert.equal(await askAs("alice", fixture, "/"), "datasets models");
  assert.equal(await askAs("bob", fixture, "/"), "403 AccessDenied");
  assert.deepEqual(asked(origin), { LIST_BUCKETS: 2 });
  origin.forgetRequests();

  assert.equal(await askAs("alice", fixture, "/models/a"), "200");
  assert.equal(await askAs("bob", fixture, "/models/a"), "403 AccessDenied");
  // Is there such a bucket; may alice read it, may bob; what is it.
  assert.deepEqual(asked(origin), { LIST: 1, HEAD: 2, GET: 1 });
  assert.equal(await askAs("alice", fixture, "/unknown/a"), "404 NoSuchBucket");
  assert.equal(await askAs("bob", fixture, "/unknown/a"), "404 NoSuchBucket");
  assert.equal(await askAs("alice", fixture, "/models/absent"), "404 NoSuchKey");
});
