/** `server.auth.authorize: origin`: the origin decides for each client's own key, on a hit as on a miss. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { KiB } from "../../src/base/units.ts";
import type { SettingsTree } from "../../src/config/load.ts";
import { httpGet } from "../support/http-get.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { signedHead } from "../support/signed-get.ts";
import { until } from "../support/until.ts";

async function start(
  context: TestContext,
  ttl = "60s",
  versioning?: "Enabled",
  metadata = {},
  server: SettingsTree = {},
) {
  const folder = mkdtempSync(join(tmpdir(), "orca-authorize-"));
  const file = join(folder, "keys.yaml");
  writeFileSync(
    file,
    `keys:
  - { access_key: alice, secret: secret-of-alice }
  - { access_key: bob, secret: secret-of-bob }
  - { access_key: gone, secret: secret-of-gone }
`,
  );
  const rights = { alice: [""], bob: ["public/"], everybody: ["open/"] };
  const userOf = (name: keyof typeof rights, secretKey: string) => ({
    secretKey,
    mayRead: (text: string) => rights[name].some((prefix) => text.startsWith(prefix)),
  });
  const users = new Map([
    ["test", { secretKey: "test-secret", mayRead: () => true }],
    ["alice", userOf("alice", "secret-of-alice")],
    ["bob", userOf("bob", "secret-of-bob")],
    ["", userOf("everybody", "")],
  ]);
  const origin = await S3Server.start({ buckets: [testBucket], users, ...(versioning && { versioning }) });
  for (const key of ["secret/a", "public/a", "open/a"])
    origin.put(testBucket, key, { seed: 1, sizeBytes: 4 * KiB });
  const auth = { enabled: true, access_keys_file: file, authorize: "origin", authorize_ttl: ttl };
  const fixture = await startReplica({ origin, settings: { server: { ...server, auth }, metadata } });
  context.after(async () => {
    await fixture.stop();
    await origin.stop();
    rmSync(folder, { recursive: true });
  });
  return { fixture, origin, rights };
}

/** Reads as `who`, or without credentials where that is empty. */
async function read({ endpoint }: ReplicaFixture, who: string, target: string): Promise<string> {
  const [path = "", query = ""] = target.split("?");
  const host = endpoint.slice("http://".length);
  const key = { accessKeyId: who, secretAccessKey: `secret-of-${who}` };
  const parameters = Object.fromEntries(new URLSearchParams(query));
  const { headers } = await signedHead(key, { host, path, query: parameters, at: new Date() });
  const response = await httpGet(endpoint + target, who === "" ? {} : headers);
  const body = await response.text();
  return `${response.status} ${/<Code>(\w+)/.exec(body)?.[1] ?? ""}`.trim();
}

const versions = (prefix: string): string => `/${testBucket}?versions=&prefix=${prefix}`;
const list = (prefix: string): string => `/${testBucket}?list-type=2&prefix=${prefix}`;

test("authorize origin: each client reads what its own key may read there, and one question serves a while", async (context) => {
  const { fixture, origin } = await start(context);
  const secret = `/${testBucket}/secret/a`;
  assert.equal(await read(fixture, "alice", secret), "200");
  assert.deepEqual([origin.count("HEAD"), origin.count("GET")], [1, 1]);
  origin.forgetRequests();
  assert.equal(await read(fixture, "alice", secret), "200");
  assert.equal(origin.requests.length, 0);

  assert.equal(await read(fixture, "bob", secret), "403 AccessDenied");
  assert.equal(await read(fixture, "bob", secret), "403 AccessDenied");
  assert.equal(await read(fixture, "", secret), "403 AccessDenied");
  assert.equal(await read(fixture, "gone", secret), "403 AccessDenied");
  assert.deepEqual([origin.count("HEAD"), origin.count("GET")], [3, 0]);
  assert.equal(await read(fixture, "bob", `/${testBucket}/public/a`), "200");
  assert.equal(await read(fixture, "", `/${testBucket}/open/a`), "200");
  assert.equal(await read(fixture, "alice", `/${testBucket}/absent`), "404 NoSuchKey");

  assert.equal(await read(fixture, "alice", list("secret/")), "200");
  assert.equal(await read(fixture, "bob", list("secret/")), "403 AccessDenied");
  assert.equal(await read(fixture, "bob", list("public/")), "200");
  assert.equal(await read(fixture, "", list("open/")), "200");
  assert.equal(await read(fixture, "bob", `/${testBucket}`), "403 AccessDenied");
  assert.equal(await read(fixture, "bob", "/"), "200");
});

test("authorize origin: a version is read by a verdict for that version, and by no other", async (context) => {
  const { fixture, origin, rights } = await start(context, "60s", "Enabled");
  origin.put(testBucket, "secret/a", { seed: 2, sizeBytes: 4 * KiB });
  const [current, first] = origin.versionsOf(testBucket, "secret/a").map(({ id }) => id);
  const secret = `/${testBucket}/secret/a`;
  const version = (id: string | undefined): string => `${secret}?versionId=${id}`;
  const asked = (): (string | null)[] =>
    origin.requests
      .filter(({ operation }) => operation === "HEAD")
      .map(({ query }) => query.get("versionId"));
  origin.forgetRequests();
  assert.equal(await read(fixture, "alice", version(first)), "200");
  assert.equal(await read(fixture, "alice", version(first)), "200");
  // The client's right, and Orca's own question.
  assert.deepEqual(asked(), [first, first]);
  origin.forgetRequests();
  // Bytes and metadata are warm, and each verdict is another question.
  for (const target of [secret, version(current), version(first)]) {
    assert.equal(await read(fixture, "bob", target), "403 AccessDenied");
    assert.equal(await read(fixture, "", target), "403 AccessDenied");
  }
  assert.deepEqual(asked(), [null, null, current, current, first, first]);
  assert.equal(origin.count("GET"), 0);
  // Rights change: what was allowed for the one version is not taken for the others.
  rights.alice = [];
  assert.equal(await read(fixture, "alice", version(first)), "200");
  assert.equal(await read(fixture, "alice", version(current)), "403 AccessDenied");
  assert.equal(await read(fixture, "alice", secret), "403 AccessDenied");
});

test("authorize origin: unknown versions, delete markers and listings of versions", async (context) => {
  const { fixture, origin } = await start(context, "60s", "Enabled");
  origin.delete(testBucket, "secret/a");
  const marker = origin.versionsOf(testBucket, "secret/a")[0]?.id;
  const secret = `/${testBucket}/secret/a`;
  assert.equal(await read(fixture, "alice", `${secret}?versionId=unknown`), "404 NoSuchVersion");
  assert.equal(await read(fixture, "alice", secret), "404 NoSuchKey");
  assert.equal(await read(fixture, "alice", `${secret}?versionId=${marker}`), "405 MethodNotAllowed");
  assert.equal(await read(fixture, "bob", secret), "403 AccessDenied");
  assert.equal(await read(fixture, "bob", `${secret}?versionId=${marker}`), "403 AccessDenied");
  assert.equal(await read(fixture, "alice", versions("secret/")), "200");
  assert.equal(await read(fixture, "bob", versions("secret/")), "403 AccessDenied");
  assert.equal(await read(fixture, "bob", versions("public/")), "200");
  assert.equal(await read(fixture, "", versions("secret/")), "403 AccessDenied");
});

test("authorize origin: a right that the origin takes away ends here within authorize_ttl", async (context) => {
  const { fixture, rights } = await start(context, "1s");
  const secret = `/${testBucket}/secret/a`;
  assert.equal(await read(fixture, "alice", secret), "200");
  rights.alice = [];
  const takenMs = performance.now();
  let lastAllowedMs = takenMs;
  await until(async () => {
    const begunMs = performance.now();
    if ((await read(fixture, "alice", secret)) !== "200") return true;
    lastAllowedMs = begunMs;
    return false;
  });
  assert.ok(lastAllowedMs - takenMs < 1000, `${lastAllowedMs - takenMs} ms`);
  assert.equal(await read(fixture, "alice", secret), "403 AccessDenied");
});

test("authorize origin: while the origin does not answer, nobody reads without a verdict", async (context) => {
  const { fixture, origin } = await start(context);
  const open = `/${testBucket}/public/a`;
  assert.equal(await read(fixture, "bob", open), "200");
  await origin.stop();
  assert.equal(await read(fixture, "bob", open), "200");
  assert.equal(await read(fixture, "alice", open), "502 OriginUnreachable");
  assert.equal(await read(fixture, "", open), "502 OriginUnreachable");
});

test("authorize origin: expired metadata takes no verdict's place while the origin fails", async (context) => {
  const { fixture, origin } = await start(context, "1s", undefined, {
    ttl: "100ms",
    stale_if_error: "1h",
  });
  const secret = `/${testBucket}/secret/a`;
  assert.equal(await read(fixture, "alice", secret), "200");
  origin.faults.always("*", "secret/a", { status: 500 });
  await until(async () => (await read(fixture, "alice", secret)) !== "200");
  assert.equal(await read(fixture, "alice", secret), "502 OriginUnreachable");
  assert.equal(await read(fixture, "bob", secret), "502 OriginUnreachable");
});

test("authorize origin: threads that serve clients share verdicts, and each question is asked once", async (context) => {
  const { fixture, origin } = await start(context, "60s", undefined, {}, { threads: 2 });
  const secret = `/${testBucket}/secret/a`;
  // So many connections at once that all threads get some: one of two misses out once in a million runs.
  const readers = 20;
  const readAtOnce = async (who: string): Promise<string[]> => {
    const answers = await Promise.all(Array.from({ length: readers }, () => read(fixture, who, secret)));
    return [...new Set(answers)];
  };
  assert.deepEqual(await readAtOnce("alice"), ["200"]);
  assert.deepEqual([origin.count("HEAD"), origin.count("GET")], [1, 1]);
  assert.deepEqual(await readAtOnce("alice"), ["200"]);
  assert.deepEqual(await readAtOnce("bob"), ["403 AccessDenied"]);
  assert.deepEqual(await readAtOnce("bob"), ["403 AccessDenied"]);
  assert.deepEqual([origin.count("HEAD"), origin.count("GET")], [2, 1]);
  const [hit = 0, asked, joined = 0] = await Promise.all(
    ["hit", "asked", "joined"].map((result) =>
      fixture.metric(`orca_authorize_verdicts_total{result="${result}"}`),
    ),
  );
  assert.deepEqual([asked, hit + joined], [2, 4 * readers - 2]);
});
