/** What `/figures` tells people of a cluster that has served real clients, against `/metrics` of each replica. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { KiB, MiB } from "../../src/base/units.ts";
import type { ClusterFiguresDocument } from "../../src/ops/figures/cluster-figures.ts";
import { runOrca } from "../support/command-line.ts";
import { httpGet } from "../support/http-get.ts";
import { type ReplicaCluster, startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

let cluster: ReplicaCluster;

before(async () => {
  cluster = await startReplicas({ disk: true, settings: { origin: { price_per_gb: 0.5 } } });
});
after(() => cluster.stop());

async function figures({ opsEndpoint }: ReplicaFixture): Promise<ClusterFiguresDocument> {
  const response = await httpGet(`${opsEndpoint}/figures`);
  assert.equal(response.status, 200);
  return (await response.json()) as ClusterFiguresDocument;
}

async function read(replica: ReplicaFixture, key: string): Promise<void> {
  await (await replica.get(key)).arrayBuffer();
}

function at(index: number): ReplicaFixture {
  const replica = cluster.replicas[index];
  assert.ok(replica);
  return replica;
}

/** Bytes are counted by origin when a response has closed, which is after its client has them. */
async function settled(replica: ReplicaFixture, servedBytes: number): Promise<ClusterFiguresDocument> {
  let document: ClusterFiguresDocument | undefined;
  await until(async () => {
    document = await figures(replica);
    const counted = document.replicas.flatMap(({ origins }) =>
      origins.map(({ served_bytes }) => served_bytes),
    );
    return counted.reduce((sum, bytes) => sum + bytes, 0) === servedBytes;
  }, 10_000);
  assert.ok(document);
  return document;
}

const big = 9 * MiB;
const small = 100 * KiB;
const served = 3 * big + 2 * small;

test("/figures: any replica tells the figures of all, and they are those of /metrics", async () => {
  cluster.origin.put(testBucket, "weights/llama.bin", { seed: 1, sizeBytes: big });
  cluster.origin.put(testBucket, "small.bin", { seed: 2, sizeBytes: small });
  for (const index of [0, 1, 2]) await read(at(index), "weights/llama.bin");
  await read(at(0), "small.bin");
  await read(at(0), "small.bin");
  assert.equal((await at(1).get("absent.bin")).status, 404);
  for (const asked of cluster.replicas) {
    const document = await settled(asked, served);
    const { totals, replicas, unreachable, members } = document;
    assert.deepEqual(unreachable, []);
    assert.deepEqual(members.map(({ replica_id }) => replica_id).toSorted(), ["r0", "r1", "r2"]);
    assert.equal(replicas[0]?.replica_id, asked.replica.replicaId);
    assert.equal(totals.served_bytes, served);
    assert.equal(totals.requests, 5);
    // Each block crossed the link to the origin once (invariant 3).
    assert.equal(totals.origin_bytes, big + small);
    assert.equal(totals.saved_bytes, served - big - small);
    assert.equal(totals.hit_ratio_bytes, 1 - (big + small) / served);
    assert.equal(totals.cost?.fetched.toFixed(9), "0.004769792");
    assert.equal(totals.cost.saved.toFixed(9), "0.009488384");
    for (const each of cluster.replicas) await agree(document, each);
    assert.deepEqual(
      document.hot_objects.map(({ bucket, key, requests, overcount, bytes }) => [
        bucket,
        key,
        requests,
        overcount,
        bytes,
      ]),
      [
        [testBucket, "weights/llama.bin", 3, 0, 3 * big],
        [testBucket, "small.bin", 2, 0, 2 * small],
      ],
    );
    const absent = document.errors.filter(({ place }) => place === "clients");
    assert.deepEqual(
      absent.map(({ code, count, last_hour, status }) => [code, count, last_hour, status]),
      [["no_such_key", 1, 1, 404]],
    );
  }
});

test("orca top, cache stats --cluster: any replica shows all of them", async () => {
  const stats = await runOrca(["cache", "stats", "--cluster", "--ops", at(1).opsEndpoint]);
  assert.equal(stats.exitCode, 0, stats.stderr);
  for (const line of [
    /^sent to clients +27\.2 MiB$/m,
    /^fetched from the origin +9\.1 MiB$/m,
    /^saved +18\.1 MiB$/m,
    /^saved in money +0\.0095$/m,
    /^responses with bytes +5$/m,
    /^hit ratio by bytes +66\.5%$/m,
    /^s3:\/\/models\/weights\/llama\.bin +3 +27 MiB$/m,
  ])
    assert.match(stats.stdout, line);
  assert.equal(stats.stdout.match(/^r[012] +disk /gm)?.length, 3);
  const top = await runOrca(["top", "--once", "--ops", at(2).opsEndpoint]);
  assert.equal(top.exitCode, 0, top.stderr);
  assert.match(top.stdout, /3 of 3 live replicas answered, asked through r2 /);
  assert.equal(top.stdout.match(/^r[012] +alive +- +33\.3% /gm)?.length, 3);
  assert.match(top.stdout, /^1 error no_such_key in the last hour, answered to clients\. /m);
});

async function agree({ replicas }: ClusterFiguresDocument, replica: ReplicaFixture): Promise<void> {
  const text = await (await httpGet(`${replica.opsEndpoint}/metrics`)).text();
  const metric = (series: string): number => {
    const line = text.split("\n").find((each) => each.startsWith(`${series} `));
    return Number(line?.slice(series.length + 1) ?? 0);
  };
  const { replicaId } = replica.replica;
  const found = replicas.find(({ replica_id }) => replica_id === replicaId);
  assert.ok(found, replicaId);
  assert.equal(found.origin_bytes, metric('orca_origin_bytes_total{origin="test"}'), replicaId);
  assert.equal(found.origins[0]?.served_bytes, metric('orca_served_bytes_total{origin="test"}'));
  assert.equal(found.origins[0]?.price_per_gb, metric('orca_origin_price_per_gb{origin="test"}'));
  for (const [source, { bytes, requests }] of Object.entries(found.sources)) {
    assert.equal(bytes, metric(`orca_bytes_sent_total{source="${source}"}`), source);
    assert.equal(requests, metric(`orca_first_byte_seconds_count{source="${source}"}`), source);
  }
  const disk = found.tiers.find(({ tier }) => tier === "disk");
  assert.equal(disk?.used_bytes, metric("orca_disk_used_bytes"));
  assert.equal(disk?.max_bytes, metric("orca_disk_max_bytes"));
}

test("/figures: a replica that cannot be reached is named, and leaves the members when it is known to be gone", async () => {
  await at(2).replica.stop();
  await until(async () => {
    const { members, unreachable, replicas } = await figures(at(0));
    const r2 = members.find(({ replica_id }) => replica_id === "r2");
    if (unreachable.length > 0) assert.equal(unreachable[0]?.replica_id, "r2");
    return r2?.state === "left" && replicas.length === 2 && r2.share === 0;
  }, 10_000);
  const { totals, history } = await figures(at(0));
  assert.equal(totals.served_bytes, 2 * big + 2 * small);
  assert.equal(history.slot_ms, 5000);
});
