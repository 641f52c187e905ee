import assert from "node:assert/strict";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import type { AccessMode } from "../../src/edge/access-log/access-log.ts";
import { serveOrca } from "../support/orca-process.ts";
import { endProcesses } from "../support/process.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

type Line = Readonly<Record<string, unknown>>;

async function replicaWith(context: TestContext, access: AccessMode): Promise<ReplicaFixture> {
  const fixture = await startReplica({ settings: { logging: { access } } });
  context.after(() => fixture.stop());
  fixture.origin.put(testBucket, "k", { seed: 1, sizeBytes: 1000 });
  return fixture;
}

function linesOf({ logger }: ReplicaFixture): Line[] {
  return logger.events.map(({ fields }): Line => ({ ...fields })).filter(({ log }) => log === "access");
}

/** Without undefined fields, which are not printed, and with times checked and left out. */
function shown(line: Line | undefined): Line {
  const { durationMs, firstByteMs, requestId, ...rest } = line ?? {};
  assert.match(String(requestId), /^[0-9A-F]{16}$/);
  assert.ok(Number(durationMs) > 0);
  if (firstByteMs !== undefined)
    assert.ok(Number(firstByteMs) > 0 && Number(firstByteMs) <= Number(durationMs));
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
}

async function ask(
  fixture: ReplicaFixture,
  path: string,
  headers: Record<string, string> = {},
): Promise<void> {
  const agent = { "user-agent": "tester", ...headers };
  const response = await fetch(`${fixture.endpoint}/${path}`, { headers: agent });
  await response.arrayBuffer();
}

/** The lines of two threads may change places, so each is waited for. */
async function askLogged(
  fixture: ReplicaFixture,
  path: string,
  headers: Record<string, string> = {},
): Promise<void> {
  const lines = linesOf(fixture).length;
  await ask(fixture, path, headers);
  await until(() => linesOf(fixture).length > lines);
}

const common = { log: "access", client: "127.0.0.1", method: "GET", userAgent: "tester", complete: true };

test("access log, all: a cold read, a range from memory, an absent key, a listing, a denied write", async (context) => {
  const fixture = await replicaWith(context, "all");
  await askLogged(fixture, `${testBucket}/k`);
  await askLogged(fixture, `${testBucket}/k?X-Amz-Signature=secret`, { range: "bytes=10-19" });
  await askLogged(fixture, `${testBucket}/absent`);
  await askLogged(fixture, `${testBucket}?list-type=2&prefix=z`);
  const written = await fetch(`${fixture.endpoint}/${testBucket}/k`, { method: "PUT", body: "x" });
  await written.arrayBuffer();
  await until(() => linesOf(fixture).length === 5);
  const [cold, ranged, absent, listing, put] = linesOf(fixture);
  const object = { ...common, operation: "get_object", bucket: testBucket, key: "k" };
  assert.deepEqual(shown(cold), { ...object, status: 200, bytes: 1000, source: "origin" });
  assert.deepEqual(shown(ranged), {
    ...object,
    query: "x-amz-signature=[hidden]",
    range: "bytes=10-19",
    status: 206,
    bytes: 10,
    source: "memory",
  });
  const { bytes: errorBytes, ...absentRest } = shown(absent);
  assert.ok(Number(errorBytes) > 100);
  assert.deepEqual(absentRest, { ...object, key: "absent", status: 404, code: "no_such_key" });
  const { bytes: listBytes, ...listRest } = shown(listing);
  assert.ok(Number(listBytes) > 100);
  const { key: _, ...bucketOnly } = object;
  assert.deepEqual(listRest, {
    ...bucketOnly,
    operation: "list_objects",
    query: "list-type=2&prefix=z",
    status: 200,
  });
  assert.deepEqual([put?.["method"], put?.["status"], put?.["operation"]], ["PUT", 405, "rejected"]);
});

test("access log, errors: what succeeds writes no line; a client that leaves in the middle writes one", async (context) => {
  const fixture = await replicaWith(context, "errors");
  fixture.origin.put(testBucket, "large", { seed: 1, sizeBytes: 64 * MiB });
  await ask(fixture, `${testBucket}/k`);
  const { hostname, port } = new URL(fixture.endpoint);
  const socket = connect(Number(port), hostname);
  socket.write(`GET /${testBucket}/large HTTP/1.1\r\nHost: o\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n`);
  socket.once("data", () => socket.destroy());
  await until(() => linesOf(fixture).length === 1);
  const [line] = linesOf(fixture);
  const { client, forwardedFor, key, status, complete } = line as Record<string, unknown>;
  assert.deepEqual(
    [client, forwardedFor, key, status, complete],
    ["127.0.0.1", "192.0.2.7", "large", 200, false],
  );
});

test("access log, off: no line", async (context) => {
  const fixture = await replicaWith(context, "off");
  await ask(fixture, `${testBucket}/k`);
  await ask(fixture, `${testBucket}/absent`);
  await until(
    async () => (await fixture.metric('orca_requests_total{operation="get_object",status="404"}')) === 1,
  );
  assert.deepEqual(linesOf(fixture), []);
});

test("access log of a process: one JSON line a request on stdout", async (context) => {
  const fixture = await replicaWith(context, "off");
  const replica = await serveOrca(
    fixture.diskRoot,
    "logged",
    `server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0" }
origin: { id: test, driver: awss3, awss3: { bucket: ${testBucket}, endpoint: "${fixture.origin.endpoint}", use_path_style: true } }
memory: { max_bytes: 256MiB }
logging: { access: all }
`,
  );
  context.after(endProcesses);
  await (await replica.get("k")).arrayBuffer();
  const [text] = await replica.child.line(/^\{.*"log":"access".*\}$/);
  const line = JSON.parse(text) as Line;
  assert.match(String(line["time"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const { level, key, status, bytes, source } = line;
  assert.deepEqual([level, key, status, bytes, source], ["info", "k", 200, 1000, "origin"]);
  assert.equal(await replica.metric("orca_access_log_lines_dropped_total"), 0);
});
