/**
 * Three replicas with copies on their disks become five, and three again, of which one is new. What moves is held against
 * the rendezvous hashing itself: each chunk that has a keeper without it is copied there, once, and no other one is.
 */
import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { Rendezvous } from "../../src/placement/rendezvous.ts";
import { comparedWithinMs, copiesWanted, DiskCluster, objects, sizeBytes } from "../e2e/disk-cluster.ts";
import { until } from "../support/until.ts";

let cluster: DiskCluster;
/** Numbers of the replicas that run. */
let live = [0, 1, 2];

before(async () => {
  cluster = await DiskCluster.start(undefined, 5);
});
after(() => cluster?.stop());

/** The chunks that each live replica should have on its disk, by their files. */
function wanted(): Map<number, Set<string>> {
  const rendezvous = new Rendezvous(live.map((index) => ({ replicaId: `r${index}` })));
  const byReplica = new Map(live.map((index) => [index, new Set<string>()]));
  for (const file of cluster.copies().keys()) {
    const [, origin, hash, index] = /\/(\w+)\.(\w+)\.(\d+)$/.exec(file) ?? [];
    for (const { replicaId } of rendezvous.rank(`${origin}/${hash}/${index}`, copiesWanted)) {
      byReplica.get(Number(replicaId.slice(1)))?.add(file);
    }
  }
  return byReplica;
}

/** `<replica> <file>` of each copy on the disks of live replicas. */
function held(): Set<string> {
  return new Set(live.flatMap((index) => cluster.chunksOn(index).map((file) => `${index} ${file}`)));
}

async function sumOf(series: string): Promise<number> {
  const values = await Promise.all(
    live.map(async (index) => (await cluster.replicas[index]?.metric(series)) ?? 0),
  );
  return values.reduce((sum, value) => sum + value);
}

/** @param share of all copies that a change may move, by the number of replicas alone. */
async function change(t: TestContext, next: readonly number[], share: number): Promise<void> {
  const wereHeld = held();
  const joining = next.filter((index) => !live.includes(index));
  const leaving = live.filter((index) => !next.includes(index));
  live = live.filter((index) => next.includes(index));
  const bytesBefore = await sumOf("orca_pull_bytes_total");
  for (const index of leaving) {
    const { child } = cluster.replicas[index] ?? {};
    child?.signal("SIGTERM");
    assert.equal(await child?.exited, 0);
  }
  await Promise.all(joining.map((index) => cluster.serve(index)));
  live = [...next];
  await cluster.allKnow(live.length);

  const missing = [...wanted()].flatMap(([index, files]) =>
    [...files].map((file) => `${index} ${file}`).filter((copy) => !wereHeld.has(copy)),
  );
  await until(async () => {
    const now = held();
    if (!missing.every((copy) => now.has(copy))) return false;
    return (await sumOf("orca_pulls_waiting")) + (await sumOf("orca_pulls_running")) === 0;
  }, comparedWithinMs);
  const bytes = (await sumOf("orca_pull_bytes_total")) - bytesBefore;
  const shareBytes = share * objects * copiesWanted * sizeBytes;
  t.diagnostic(`${missing.length} copies moved, ${((bytes / shareBytes) * 100).toFixed(1)} % of their share`);
  assert.deepEqual([...held()].filter((copy) => !wereHeld.has(copy)).sort(), missing.sort());
  assert.equal(bytes, missing.length * sizeBytes, "each was copied once");
  assert.ok(bytes <= 1.1 * shareBytes, `${bytes} bytes moved, of a share of ${shareBytes}`);
  await cluster.readAll(
    live.map((index) => cluster.replicas[index] as NonNullable<DiskCluster["replicas"][0]>),
  );
  assert.equal(cluster.origin.count("GET"), objects, "the origin was not asked again");
}

test("three replicas become five: two fifths of the copies move, to the new ones", (t) =>
  change(t, [0, 1, 2, 3, 4], 2 / 5));

test("five replicas become four: a new one leaves, and what only it and another new one kept moves", (t) =>
  change(t, [0, 1, 2, 3], 1 / 5));

test("four replicas become three: an old one leaves, and the others take its copies", (t) =>
  change(t, [1, 2, 3], 1 / 4));
