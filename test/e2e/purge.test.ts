/** `orca purge`: that no replica serves what was purged, what it tells, and what it leaves alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { type PurgeOptions, purge } from "../../src/cli/purge/purge-command.ts";
import { patternBytes } from "../support/pattern.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";
import { StartedReplicas } from "./started-replicas.ts";

const chunking = { size: "1MiB", tiers: [] };
const started = new StartedReplicas();

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run({ opsEndpoint }: ReplicaFixture, options: Partial<PurgeOptions>): Promise<Outcome> {
  const written = { stdout: "", stderr: "" };
  const exitCode = await purge({
    ops: opsEndpoint,
    url: `s3://${testBucket}/run/`,
    json: false,
    match: "prefix",
    stale: false,
    cachestore: false,
    clock: new SystemClock(),
    stdout: { write: (text) => void (written.stdout += text) },
    stderr: { write: (text) => void (written.stderr += text) },
    ...options,
  });
  return { exitCode, ...written };
}

async function read({ get }: ReplicaFixture, key: string, seed: number, sizeBytes: number): Promise<void> {
  const body = Buffer.from(await (await get(key)).arrayBuffer());
  assert.ok(body.equals(patternBytes(seed, 0, sizeBytes)), key);
}

async function heldBytes(replica: ReplicaFixture): Promise<number> {
  return (await replica.metric("orca_memory_cached_bytes")) + (await replica.metric("orca_disk_chunks"));
}

async function listedKeys({ endpoint }: ReplicaFixture): Promise<number> {
  const page = await fetch(`${endpoint}/${testBucket}?list-type=2&prefix=run/`);
  return (await page.text()).split("<Key>").length - 1;
}

async function settled(replicas: readonly ReplicaFixture[]): Promise<void> {
  for (const replica of replicas) await until(async () => (await replica.metric("orca_flights")) === 0);
}

test("purge: three replicas forget a prefix, and keep what is beside it", async () => {
  const cluster = await started.cluster({ disk: true, settings: { chunking } });
  const { origin, replicas } = cluster;
  origin.put(testBucket, "run/k", { seed: 1, sizeBytes: 6 * MiB });
  origin.put(testBucket, "runner", { seed: 2, sizeBytes: 2 * MiB });
  for (const replica of replicas) {
    await read(replica, "run/k", 1, 6 * MiB);
    await read(replica, "runner", 2, 2 * MiB);
  }
  await settled(replicas);
  origin.put(testBucket, "run/k", { seed: 3, sizeBytes: 5 * MiB });
  const asked = replicas[2] as ReplicaFixture;
  const { exitCode, stdout, stderr } = await run(asked, {});
  assert.deepEqual([exitCode, stderr], [0, ""]);
  assert.match(
    stdout,
    /^Purged s3:\/\/models\/run\/ from 3 of 3 replicas\n\nreplica +objects +memory +disk\nr0 +1 +6 MiB/,
  );
  origin.forgetRequests();
  for (const replica of replicas) {
    await read(replica, "runner", 2, 2 * MiB);
    await read(replica, "run/k", 3, 5 * MiB);
  }
  assert.equal(origin.count("GET", "runner") + origin.count("HEAD", "runner"), 0);
  assert.equal(origin.bytesSent("run/k"), 5 * MiB);
});

test("purge: --stale expires metadata and listings, and keeps the bytes", async () => {
  const cluster = await started.cluster({ disk: true, settings: { chunking } });
  const { origin, replicas } = cluster;
  for (const key of ["run/same", "run/other"]) origin.put(testBucket, key, { seed: 1, sizeBytes: 2 * MiB });
  for (const replica of replicas) {
    for (const key of ["run/same", "run/other"]) await read(replica, key, 1, 2 * MiB);
    assert.equal(await listedKeys(replica), 2);
  }
  await settled(replicas);
  const before = await Promise.all(replicas.map(heldBytes));
  origin.put(testBucket, "run/other", { seed: 2, sizeBytes: 2 * MiB });
  origin.put(testBucket, "run/third", { seed: 2, sizeBytes: 2 * MiB });
  const outcome = await run(replicas[0] as ReplicaFixture, { stale: true, json: true });
  assert.deepEqual([outcome.exitCode, outcome.stderr], [0, ""]);
  assert.deepEqual(await Promise.all(replicas.map(heldBytes)), before);
  origin.forgetRequests();
  for (const replica of replicas) {
    await read(replica, "run/same", 1, 2 * MiB);
    await read(replica, "run/other", 2, 2 * MiB);
    assert.equal(await listedKeys(replica), 3);
  }
  assert.equal(origin.bytesSent("run/same"), 0);
  assert.equal(origin.count("LIST"), 1);
});

test("purge: --match key takes one object, and what does not exist is no error", async () => {
  const single = await started.single({ disk: true, settings: { chunking } });
  const { origin } = single;
  for (const key of ["run", "run.bak"]) {
    origin.put(testBucket, key, { seed: 1, sizeBytes: MiB });
    await read(single, key, 1, MiB);
  }
  await settled([single]);
  const one = await run(single, { url: `s3://${testBucket}/run`, match: "key" });
  assert.match(one.stdout, /from 1 of 1 replica\n[^]* 1 +1 MiB +1 MiB\n$/);
  origin.forgetRequests();
  await read(single, "run.bak", 1, MiB);
  assert.equal(origin.requests.length, 0);
  const nothing = await run(single, { url: `s3://${testBucket}/absent/` });
  assert.match(nothing.stdout, / 0 +0 B +0 B\n$/);
  const unknown = await run(single, { url: "s3://nowhere/" });
  assert.match(unknown.stderr, /Cannot find bucket "nowhere": served here are models\n$/);
  const store = await run(single, { cachestore: true });
  assert.match(store.stderr, /Cannot purge: there is no cachestore \(cachestore\.driver\)\n$/);
  const both = await run(single, { cachestore: true, stale: true });
  assert.match(both.stderr, /stale keeps all chunks, so it cannot go with cachestore\n$/);
  assert.deepEqual(
    [nothing, unknown, store, both].map(({ exitCode }) => exitCode),
    [0, 1, 1, 1],
  );
});

test("purge: --cachestore deletes the chunks of all objects that the origin lists, known here or not", async () => {
  const store = await S3Server.start({ buckets: ["chunks"] });
  try {
    const cachestore = {
      driver: "s3",
      s3: { bucket: "chunks", endpoint: store.endpoint, use_path_style: true },
    };
    const single = await started.single({ settings: { chunking, cachestore } });
    const { origin } = single;
    origin.put(testBucket, "run/k", { seed: 1, sizeBytes: 3 * MiB });
    origin.put(testBucket, "other", { seed: 1, sizeBytes: MiB });
    await read(single, "run/k", 1, 3 * MiB);
    await read(single, "other", 1, MiB);
    await settled([single]);
    const stored = (): number => {
      const puts = store.requests.filter(
        ({ operation, key }) => operation === "PUT" && key.startsWith("test/"),
      );
      return puts.filter(({ key }) => store.get("chunks", key) !== undefined).length;
    };
    assert.equal(stored(), 4);
    // Then this replica does not know the versions.
    assert.equal((await run(single, {})).exitCode, 0);
    assert.equal(stored(), 4);
    const { exitCode, stdout } = await run(single, { cachestore: true });
    assert.equal(exitCode, 0);
    assert.match(stdout, /\nCachestore: 3 chunks of 1 object at the origin\n$/);
    assert.equal(stored(), 1);
    store.faults.always("DELETE", "*", { status: 500 });
    const failed = await run(single, { cachestore: true });
    assert.equal(failed.exitCode, 1);
    assert.match(failed.stderr, /^The cachestore did not delete 3 chunks, see the log\.\nRun it again/);
  } finally {
    await started.stop();
    await store.stop();
  }
});
