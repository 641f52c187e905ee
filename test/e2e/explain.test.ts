/** `orca explain`, against replicas in front of a real origin: what it says is what a read then does, and asking costs nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { explain } from "../../src/cli/explain/explain-command.ts";
import type { ExplainDocument } from "../../src/ops/endpoints/explain/explain-endpoint.ts";
import { patternBytes } from "../support/pattern.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";
import { StartedReplicas } from "./started-replicas.ts";

const chunking = { size: "4MiB", tiers: [] };
const seed = 7;
const started = new StartedReplicas();

async function run(
  { opsEndpoint }: ReplicaFixture,
  key: string,
  options: { range?: string; json?: boolean } = {},
) {
  let [stdout, stderr] = ["", ""];
  const exitCode = await explain({
    url: `s3://${testBucket}/${key}`,
    ops: opsEndpoint,
    json: false,
    clock: new SystemClock(),
    stdout: { write: (text) => void (stdout += text) },
    stderr: { write: (text) => void (stderr += text) },
    ...options,
  });
  return { exitCode, stdout, stderr };
}

async function explained(replica: ReplicaFixture, key: string, range?: string): Promise<ExplainDocument> {
  const { exitCode, stdout, stderr } = await run(replica, key, {
    json: true,
    ...(range !== undefined && { range }),
  });
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout) as ExplainDocument;
}

function waysOf({ ways }: ExplainDocument): unknown[] {
  return ways.map(({ first, last, chunks, from, at }) => [first, last, chunks, from, at]);
}

async function read({ get }: ReplicaFixture, key: string, first: number, last: number): Promise<void> {
  const body = Buffer.from(await (await get(key, { range: `bytes=${first}-${last}` })).arrayBuffer());
  assert.ok(body.equals(patternBytes(seed, first, last + 1 - first)));
}

test("explain: one replica tells an unknown object, partial blocks in memory and the rest, and changes nothing", async () => {
  const single = await started.single({ settings: { chunking } });
  const { origin } = single;
  // A replica looks at its origins when it starts, by a LIST.
  const asked = () => origin.requests.filter(({ operation }) => operation !== "LIST");
  const sizeBytes = 8 * MiB;
  origin.put(testBucket, "k", { seed, sizeBytes });
  const cold = await explained(single, "k");
  assert.deepEqual([cold.size, cold.etag, cold.last, cold.ways], [null, null, null, []]);
  assert.deepEqual([cold.metadata.state, cold.metadata.origin_request], ["unknown", "GET"]);
  assert.equal(asked().length, 0);
  const text = await run(single, "k");
  assert.match(text.stdout, /first request to the origin is a GET\.\n/);
  assert.match(text.stdout, /Where its bytes lie depends on its version/);
  await read(single, "k", 0, MiB - 1);
  await until(async () => (await single.metric("orca_flights")) === 0);
  assert.deepEqual(
    asked().map(({ operation }) => operation),
    ["GET"],
    "the first request was the one that was told",
  );
  const hits = await single.metric('orca_metadata_hits_total{origin="test"}');
  const partial = await explained(single, "k");
  assert.equal(partial.metadata.state, "fresh");
  assert.equal(partial.metadata.origin_request, "none");
  const id = partial.replica_id;
  assert.deepEqual(waysOf(partial), [
    [0, MiB - 1, "0", "memory", id],
    [MiB, sizeBytes - 1, "0-1", "origin", id],
  ]);
  assert.deepEqual(waysOf(await explained(single, "k", `10-${MiB + 9}`)), [
    [10, MiB - 1, "0", "memory", id],
    [MiB, MiB + 9, "0", "origin", id],
  ]);
  assert.deepEqual((await explained(single, "k", `${sizeBytes}-`)).ways, []);
  assert.equal(await single.metric('orca_metadata_hits_total{origin="test"}'), hits);
  assert.equal(asked().length, 1, "to explain asks the origin nothing");
  const shown = (await run(single, "k")).stdout;
  assert.match(shown, /^0-1048575 +1 MiB +0 +memory of \S+ +\(1\)$/m);
  assert.match(
    shown,
    /^\(2\) This replica holds it nowhere and coordinates the chunk; so the origin sends it\.$/m,
  );
  assert.match(
    shown,
    /^Origin test: 0 of 192 permits of \S+ are in use, and 0 requests wait; it does not throttle\.$/m,
  );
});

test("explain: three replicas tell the coordinator's disk, and a flight while it is in progress", async () => {
  const cluster = await started.cluster({ disk: true, settings: { chunking } });
  const { origin, replicas } = cluster;
  const [asked, reader] = replicas as [ReplicaFixture, ReplicaFixture, ReplicaFixture];
  const sizeBytes = 24 * MiB;
  origin.put(testBucket, "big", { seed, sizeBytes });
  const unknown = await explained(asked, "big");
  assert.equal(unknown.metadata.origin_request, "GET");
  assert.match(
    unknown.metadata.why,
    /(it asks the origin itself|coordinates the object, and asks the origin): a GET/,
  );
  assert.deepEqual(unknown.silent, []);
  await read(reader, "big", 0, sizeBytes - 1);
  for (const replica of replicas) await until(async () => (await replica.metric("orca_flights")) === 0);
  const before = origin.requests.length;
  const warm = await explained(asked, "big");
  assert.equal(warm.size, sizeBytes);
  assert.equal(warm.metadata.origin_request, "none");
  assert.ok(warm.ways.length > 1);
  for (const { from, at, coordinator, why } of warm.ways) {
    assert.equal(at, coordinator, "the coordinator holds its chunks");
    assert.equal(from, "memory");
    if (at !== warm.replica_id)
      assert.match(why, new RegExp(`${at} coordinates the chunk; ${at} holds it in memory`));
  }
  const shown = (await run(asked, "big")).stdout;
  for (const [line, at] of shown.matchAll(/^.*; (\S+) holds it in memory\..*$/gm)) {
    assert.ok(!line.includes("Also held by") || !line.split("Also held by")[1]?.includes(String(at)), line);
  }
  assert.equal(origin.requests.length, before);
  await read(asked, "big", 0, sizeBytes - 1);
  assert.equal(origin.requests.length, before, "no byte came from the origin, as was told");
});

test("explain: a replica that is gone is told, and its chunks are not taken for absent", async () => {
  const cluster = await started.cluster({ settings: { chunking } });
  const { origin, replicas } = cluster;
  const [asked, , other] = replicas as [ReplicaFixture, ReplicaFixture, ReplicaFixture];
  origin.put(testBucket, "k", { seed, sizeBytes: 4 * MiB });
  await asked.get("absent").then((response) => response.arrayBuffer());
  const absent = await explained(asked, "absent");
  assert.deepEqual([absent.metadata.state, absent.metadata.error], ["fresh", "no_such_key"]);
  assert.match((await run(asked, "absent")).stdout, /The client gets the error no_such_key, and no bytes\./);
  await other.stop();
  const now = await explained(asked, "k");
  assert.ok(now.origin_now.length >= 2);
});

test("explain: a wrong URL, range, bucket or parameter is rejected", async () => {
  const single = await started.single({ settings: { chunking } });
  await assert.rejects(run(single, "k", { range: "-5" }), /expected bytes as 0-1048575/);
  const backwards = await run(single, "k", { range: "9-3" });
  assert.deepEqual([backwards.exitCode, backwards.stdout], [1, ""]);
  assert.match(backwards.stderr, /Cannot explain the range "9-3": expected the first and the last byte/);
  const response = await fetch(`${single.opsEndpoint}/explain?bucket=models&key=k&rnage=1-2`);
  assert.equal(response.status, 400);
  const unknown = await fetch(`${single.opsEndpoint}/explain?bucket=nowhere&key=k`);
  assert.equal(unknown.status, 404);
});
