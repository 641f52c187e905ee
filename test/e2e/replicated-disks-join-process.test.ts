/**
 * A replica that joins others whose disks are full. Not in test:threads: replicated-disks.test.ts is, and this is about disks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../support/until.ts";
import {
  comparedWithinMs,
  copiesWanted,
  DiskCluster,
  freshObjects,
  objects,
  sizeBytes,
} from "./disk-cluster.ts";

/** Room for 220 chunks below the high watermark of 0.95, and an eviction leaves 196. A file has 48 KiB and 200 bytes. */
const diskBytes = Math.ceil((220 * (sizeBytes + 200)) / 0.95);

test("a fourth replica takes no more than its share and 10 %, without an origin GET; the copies it took over stay as extra ones, and go first when a disk is full", {
  timeout: 120_000,
}, async (t) => {
  const cluster = await DiskCluster.start(diskBytes);
  t.after(() => cluster.stop());
  const { origin, replicas } = cluster;
  const pulled = 'orca_pulls_total{end="pulled"}';
  const pulledBefore = await cluster.metric(pulled);

  const joinedMs = performance.now();
  const fourth = await cluster.serve(3);
  await cluster.readAll(replicas);
  const share = (objects * copiesWanted) / 4;
  // Each chunk that the fourth keeps has one keeper less among the others, and its copy is still there. The two counts are
  // also equal for a moment on the way, so the wait is for nearly the whole share, and for pulls to end.
  await until(async () => {
    const moved = cluster.chunksOn(3).length;
    const pulls = (await fourth.metric("orca_pulls_waiting")) + (await fourth.metric("orca_pulls_running"));
    return moved >= share * 0.9 && pulls === 0 && (await cluster.sumOf("orca_extra_copies")) === moved;
  }, comparedWithinMs);
  t.diagnostic(`all copies made and marked ${Math.round(performance.now() - joinedMs)} ms after the start`);
  const moved = cluster.chunksOn(3).length;
  assert.equal(cluster.extraCopies(objects), moved);
  assert.ok(moved <= share * 1.1, `${moved} chunks moved, of a share of ${share}`);
  assert.ok(moved >= share * 0.9, `${moved} chunks moved, of a share of ${share}`);
  assert.deepEqual(
    (await cluster.metric(pulled)).slice(0, 3),
    pulledBefore,
    "nothing moved but to the fourth",
  );
  assert.equal(origin.count("GET"), objects);
  await cluster.readAll([fourth]);
  assert.equal(origin.count("GET"), objects);

  const held = [...replicas.keys()].map((index) => cluster.chunksOn(index).length);
  await cluster.readAll(replicas, objects, objects + freshObjects);
  await until(() => cluster.extraCopies(objects + freshObjects) !== undefined);
  const evicted = await cluster.sumOf("orca_disk_evictions_total");
  t.diagnostic(`${held.join(", ")} chunks before, ${evicted} evicted`);
  assert.ok(evicted >= 3 * 20, `${evicted} chunks were evicted`);
  assert.equal(
    cluster.extraCopies(objects + freshObjects),
    moved - evicted,
    "only extra copies were evicted",
  );
  assert.equal(origin.count("GET"), objects + freshObjects);
});
