/** `disk_share` and `priority`: what a scan of one bucket leaves of another, on three replicas and over a restart. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { cacheStats } from "../../src/cli/cache-stats-command.ts";
import { httpGet } from "../support/http-get.ts";
import { patternBytes } from "../support/pattern.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import type { S3Server } from "../support/s3-server.ts";
import { StartedReplicas } from "./started-replicas.ts";

const seed = 5;
const started = new StartedReplicas();
const settings = {
  chunking: { size: "1MiB", tiers: [] },
  memory: { max_bytes: "32MiB" },
  disk: { max_bytes: "20MiB" },
  origin: {
    buckets: {
      kept: { bucket: testBucket, prefix: "kept/", disk_share: 0.5 },
      plain: { bucket: testBucket, prefix: "plain/" },
      first: { bucket: testBucket, prefix: "first/", priority: "low" },
    },
  },
};

async function read({ endpoint }: ReplicaFixture, path: string, sizeBytes: number): Promise<void> {
  const response = await httpGet(`${endpoint}/${path}`);
  assert.equal(response.status, 200, path);
  assert.ok(Buffer.from(await response.arrayBuffer()).equals(patternBytes(seed, 0, sizeBytes)), path);
}

/** Reads objects of 1 MiB, each through another replica. */
async function readAll(
  origin: S3Server,
  replicas: readonly ReplicaFixture[],
  bucket: string,
  count: number,
): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    origin.put(testBucket, `${bucket}/${index}`, { seed, sizeBytes: MiB });
    await read(replicas[index % replicas.length] as ReplicaFixture, `${bucket}/${index}`, MiB);
  }
}

/** Reads `totalBytes` of other objects. */
async function scan(
  origin: S3Server,
  replica: ReplicaFixture,
  name: string,
  totalBytes: number,
): Promise<void> {
  const sizeBytes = 12 * MiB;
  for (let index = 0; index * sizeBytes < totalBytes; index += 1) {
    origin.put(testBucket, `plain/${name}-${index}`, { seed, sizeBytes });
    await read(replica, `plain/${name}-${index}`, sizeBytes);
  }
}

function bucketBytes(replica: ReplicaFixture, bucket: string): Promise<number> {
  return replica.metric(`orca_disk_bucket_bytes{origin="test",bucket="${bucket}"}`);
}

async function statsOf({ opsEndpoint }: ReplicaFixture): Promise<string> {
  let text = "";
  const stdout = { write: (written: string) => void (text += written) };
  const options = { ops: opsEndpoint, json: false, clock: new SystemClock(), stdout, stderr: stdout };
  assert.equal(await cacheStats({ ...options }), 0, text);
  return text;
}

test("disk_share: on three replicas a scan of four times the disks leaves a bucket's share, and nothing of the others", async () => {
  const { origin, replicas } = await started.cluster({ disk: true, settings });
  const [first, second] = replicas as [ReplicaFixture, ReplicaFixture];
  await readAll(origin, replicas, "kept", 12);
  await readAll(origin, replicas, "first", 12);
  let bytes = 0;
  for (const replica of replicas) bytes += await bucketBytes(replica, "kept");
  assert.ok(
    bytes > 12 * MiB && bytes < 12 * MiB + 12 * 512,
    `${bytes} bytes: each object once, and a footer`,
  );
  await scan(origin, second, "scan", 240 * MiB);
  let [keptBytes, firstBytes, evictions] = [0, 0, 0];
  for (const replica of replicas) {
    keptBytes += await bucketBytes(replica, "kept");
    firstBytes += await bucketBytes(replica, "first");
    evictions += await replica.metric("orca_disk_evictions_total");
  }
  assert.deepEqual([keptBytes, firstBytes], [bytes, 0]);
  assert.ok(evictions > 180, `${evictions} chunks were evicted`);
  origin.forgetRequests();
  await readAll(origin, replicas, "kept", 12);
  assert.equal(origin.count("GET"), 0);
  await readAll(origin, replicas, "first", 12);
  assert.equal(origin.count("GET"), 12);
  const share = `orca_disk_bucket_share_bytes{origin="test",bucket="kept"}`;
  assert.equal(await first.metric(share), 10 * MiB);
});

test("disk_share: what is not used is for others, is taken back, and outlives a restart", async () => {
  const diskRoot = mkdtempSync(join(tmpdir(), "orca-shares-"));
  try {
    let single = await started.single({ disk: true, diskRoot, settings });
    await scan(single.origin, single, "before", 60 * MiB);
    assert.ok((await single.metric("orca_disk_used_bytes")) > 16 * MiB, "others use all of the disk");
    assert.equal(await bucketBytes(single, "kept"), 0);
    await readAll(single.origin, [single], "kept", 9);
    await scan(single.origin, single, "after", 60 * MiB);
    const bytes = await bucketBytes(single, "kept");
    assert.ok(bytes > 9 * MiB && bytes < 9 * MiB + 9 * 512);
    const { origin } = single;
    const stats = await statsOf(single);
    assert.match(stats, /^bucket on disk +bytes +share +priority$/m);
    assert.match(stats, /^test\/kept +9 MiB +10 MiB +normal$/m);
    assert.match(stats, /^test\/first +0 B +- +low$/m);
    await single.replica.stop();
    single = await started.single({ disk: true, diskRoot, origin, settings });
    assert.equal(await bucketBytes(single, "kept"), bytes);
    await scan(origin, single, "later", 60 * MiB);
    origin.forgetRequests();
    await readAll(origin, [single], "kept", 9);
    assert.equal(origin.count("GET"), 0);
  } finally {
    await started.stop();
    rmSync(diskRoot, { recursive: true, force: true });
  }
});
