import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { KiB, MiB } from "../../src/base/units.ts";
import { assertPattern } from "../support/pattern.ts";
import { allKnowAll, type ReplicaCluster, startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

let cluster: ReplicaCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

const objects = 24;
/** Two chunks: a whole one, and one that ends in the middle of a block. */
const sizeBytes = MiB + 300 * KiB;

async function start(): Promise<ReplicaCluster> {
  cluster = await startReplicas({
    disk: true,
    settings: { chunking: { size: "1MiB", tiers: [] }, cluster: { replication: 2 } },
  });
  for (let seed = 0; seed < objects; seed += 1) {
    cluster.origin.put(testBucket, `k${seed}`, { seed, sizeBytes });
  }
  return cluster;
}

async function readAll(replica: ReplicaFixture): Promise<void> {
  for (let seed = 0; seed < objects; seed += 1) {
    const response = await replica.get(`k${seed}`);
    assert.equal(response.status, 200);
    assertPattern(Buffer.from(await response.arrayBuffer()), seed, 0);
  }
}

/** How many disks each chunk lies on, as the file system says. */
function copies(replicas: readonly ReplicaFixture[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const { diskRoot } of replicas) {
    for (const path of readdirSync(join(diskRoot, "orca-disk.v1"), { recursive: true, encoding: "utf8" })) {
      const [, name] = /\/[0-9a-f]{2}\/(.+)$/.exec(path) ?? [];
      if (name !== undefined) found.set(name, (found.get(name) ?? 0) + 1);
    }
  }
  return found;
}

test("three replicas, two copies: every chunk on exactly two disks, from one GET, and a fourth needs no origin", async () => {
  const { origin, replicas, join: joinCluster } = await start();
  const [first] = replicas as [ReplicaFixture];
  await readAll(first);
  const gets = (): number => origin.count("GET");
  await until(
    () => [...copies(replicas).values()].every((count) => count === 2) && copies(replicas).size > 0,
  );
  assert.equal(copies(replicas).size, 2 * objects);
  assert.equal(gets(), 2 * objects);
  let pulled = 0;
  for (const each of replicas) pulled += await each.metric('orca_pulls_total{end="pulled"}');
  assert.equal(pulled, 2 * objects);
  const fourth = await joinCluster();
  await allKnowAll(replicas);
  await readAll(fourth);
  assert.equal(gets(), 2 * objects);
  assert.ok((await fourth.metric("orca_fill_peer_bytes_total")) > 0);
  // Its first anti-entropy round pulls the chunks that no client has asked it for.
  await until(async () => (await fourth.metric("orca_anti_entropy_rounds_total")) > 0);
  await until(() => [...copies(replicas).values()].every((count) => count >= 2));
  assert.equal(gets(), 2 * objects);
});
