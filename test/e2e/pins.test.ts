/** `orca warm --pin`, `orca pins` and `orca unpin`: that pinned chunks outlive what is read after them, and for how long. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { clusterPins, pins } from "../../src/cli/pins/pins-command.ts";
import { purge } from "../../src/cli/purge/purge-command.ts";
import { warm } from "../../src/cli/warm/warm-command.ts";
import type { ClusterPinsDocument } from "../../src/ops/pins/cluster-pins.ts";
import type { PinsDocument } from "../../src/ops/pins/pins-endpoint.ts";
import { patternBytes } from "../support/pattern.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import { StartedReplicas } from "./started-replicas.ts";

const chunking = { size: "2MiB", tiers: [] };
const seed = 5;
const url = `s3://${testBucket}/run/`;
const started = new StartedReplicas();

function outputs({ opsEndpoint }: ReplicaFixture) {
  const written = { stdout: "", stderr: "" };
  const options = {
    ops: opsEndpoint,
    json: false,
    clock: new SystemClock(),
    stdout: { write: (text: string) => void (written.stdout += text) },
    stderr: { write: (text: string) => void (written.stderr += text) },
  };
  return { written, options };
}

async function warmPinned(replica: ReplicaFixture, pinMs = 24 * 3_600_000) {
  const { written, options } = outputs(replica);
  const progress = { write: () => {} };
  const exitCode = await warm({ ...options, progress, dryRun: false, url, pinMs });
  return { exitCode, ...written };
}

async function release(replica: ReplicaFixture, unpins: boolean) {
  const { written, options } = outputs(replica);
  const exitCode = await purge({ ...options, url, unpins, match: "prefix", stale: false, cachestore: false });
  return { exitCode, ...written };
}

async function pinsOf(replica: ReplicaFixture): Promise<PinsDocument> {
  const { written, options } = outputs(replica);
  assert.equal(await pins({ ...options, json: true }), 0);
  return JSON.parse(written.stdout) as PinsDocument;
}

async function pinnedChunks(replicas: readonly ReplicaFixture[]): Promise<number> {
  let chunks = 0;
  for (const replica of replicas) chunks += (await pinsOf(replica)).chunks;
  return chunks;
}

async function read({ get }: ReplicaFixture, key: string, sizeBytes: number): Promise<void> {
  const body = Buffer.from(await (await get(key)).arrayBuffer());
  assert.ok(body.equals(patternBytes(seed, 0, sizeBytes)), key);
}

test("orca warm --pin: three replicas keep what is pinned, list it, and release it together", async () => {
  const settings = { chunking, memory: { max_bytes: "64MiB" }, disk: { max_bytes: "40MiB" } };
  const cluster = await started.cluster({ disk: true, settings });
  const { origin, replicas } = cluster;
  const [first, second] = replicas as [ReplicaFixture, ReplicaFixture];
  origin.put(testBucket, "run/a", { seed, sizeBytes: 8 * MiB });
  origin.put(testBucket, "run/b", { seed, sizeBytes: MiB });
  const warmed = await warmPinned(first);
  assert.deepEqual([warmed.exitCode, warmed.stderr], [0, ""]);
  assert.equal(origin.count("GET"), 5);
  assert.equal(await pinnedChunks(replicas), 5);
  const urls = new Set<string>();
  for (const replica of replicas) for (const object of (await pinsOf(replica)).objects) urls.add(object.url);
  assert.deepEqual(urls, new Set([`${url}a`, `${url}b`]));
  for (let index = 0; index < 12; index += 1) {
    origin.put(testBucket, `other-${index}`, { seed, sizeBytes: 24 * MiB });
    await read(second, `other-${index}`, 24 * MiB);
  }
  let evictions = 0;
  for (const replica of replicas) evictions += await replica.metric("orca_disk_evictions_total");
  assert.ok(evictions > 50, `${evictions} chunks were evicted`);
  origin.forgetRequests();
  await read(second, "run/a", 8 * MiB);
  await read(second, "run/b", MiB);
  assert.equal(origin.count("GET"), 0);
  const released = await release(second, true);
  assert.deepEqual([released.exitCode, released.stderr], [0, ""]);
  assert.match(released.stdout, /^Unpinned s3:\/\/models\/run\/ at 3 of 3 replicas\n/);
  assert.equal(await pinnedChunks(replicas), 0);
  await read(first, "run/a", 8 * MiB);
  assert.equal(origin.count("GET"), 0, "what is released stays until room is needed");
});

test("orca pins --cluster: any replica tells what each of them pins, and which one does not answer", async () => {
  const settings = { chunking, memory: { max_bytes: "64MiB" }, cluster: { replication: 2 } };
  const cluster = await started.cluster({ disk: true, settings });
  const { origin, replicas } = cluster;
  const [first, second, third] = replicas as [ReplicaFixture, ReplicaFixture, ReplicaFixture];
  origin.put(testBucket, "run/a", { seed, sizeBytes: 16 * MiB });
  origin.put(testBucket, "run/b", { seed, sizeBytes: MiB });
  assert.equal((await warmPinned(first)).exitCode, 0);
  const { written, options } = outputs(third);
  assert.equal(await clusterPins({ ...options, json: true }), 0);
  const document = JSON.parse(written.stdout) as ClusterPinsDocument;
  assert.deepEqual([document.chunks, document.unreachable], [18, []], "two copies of nine chunks");
  for (const replica of replicas) {
    const own = await pinsOf(replica);
    const shown = document.replicas.find((each) => each.replica_id === own.replica_id);
    const { objects: _objects, ...counts } = own;
    assert.deepEqual(shown, counts);
  }
  assert.deepEqual(
    document.objects.map(({ url: name, chunks }) => [name, chunks]),
    [
      [`${url}a`, 16],
      [`${url}b`, 2],
    ],
  );
  const bytes = document.replicas.reduce((total, each) => total + each.bytes, 0);
  assert.deepEqual(
    [document.bytes, document.objects.reduce((total, each) => total + each.bytes, 0)],
    [bytes, bytes],
  );
  const text = outputs(second);
  assert.equal(await clusterPins(text.options), 0);
  assert.match(text.written.stdout, /^3 of 3 replicas: 18 chunks pinned, 34 MiB of at most /);
  assert.match(text.written.stdout, /^s3:\/\/models\/run\/b +2 +2 MiB +\S+ +\w+ 1 MiB, \w+ 1 MiB$/m);
});

test("orca warm --pin: where the share is full the chunks are named, and the exit code is 1", async () => {
  const disk = { max_bytes: "20MiB", pin_share: 0.25 };
  const single = await started.single({ disk: true, settings: { chunking, disk } });
  single.origin.put(testBucket, "run/a", { seed, sizeBytes: 8 * MiB });
  const warmed = await warmPinned(single);
  assert.equal(warmed.exitCode, 1);
  assert.match(warmed.stdout, /^verified +4 +8 MiB$/m);
  assert.match(warmed.stdout, /^not pinned +2 +4 MiB$/m);
  assert.match(warmed.stderr, /^2 chunks not pinned:\n/);
  assert.match(
    warmed.stderr,
    /^s3:\/\/models\/run\/a +\d +replica "\w+" has no disk, or no room for its pin/m,
  );
  assert.equal(await pinnedChunks([single]), 2);
  assert.ok((await single.metric("orca_disk_pinned_bytes")) > 4 * MiB);
  assert.equal(single.origin.count("GET"), 4);
});

test("orca warm --pin: without a disk nothing is pinned, and the command says so", async () => {
  const single = await started.single({ settings: { chunking } });
  single.origin.put(testBucket, "run/a", { seed, sizeBytes: 4 * MiB });
  const warmed = await warmPinned(single);
  assert.equal(warmed.exitCode, 1);
  assert.match(warmed.stderr, /^2 chunks not pinned:\n/);
  assert.equal((await pinsOf(single)).max_bytes, 0);
});

test("orca warm --pin: pins survive a restart, and a purge deletes chunks and pins", async () => {
  const diskRoot = mkdtempSync(join(tmpdir(), "orca-pins-"));
  try {
    let single = await started.single({ disk: true, diskRoot, settings: { chunking } });
    single.origin.put(testBucket, "run/a", { seed, sizeBytes: 8 * MiB });
    assert.equal((await warmPinned(single)).exitCode, 0);
    const before = await pinsOf(single);
    await started.stop();
    single = await started.single({ disk: true, diskRoot, settings: { chunking } });
    const after = await pinsOf(single);
    assert.deepEqual([after.chunks, after.objects], [4, before.objects]);
    assert.equal((await release(single, false)).exitCode, 0);
    assert.equal(await pinnedChunks([single]), 0);
    assert.equal(await single.metric("orca_disk_chunks"), 0);
    await started.stop();
    single = await started.single({ disk: true, diskRoot, settings: { chunking } });
    assert.equal(await pinnedChunks([single]), 0);
  } finally {
    await started.stop();
    rmSync(diskRoot, { recursive: true, force: true });
  }
});
