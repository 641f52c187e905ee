/**
 * What only processes can show of chunks on two replicas' disks each: a disk is damaged, and a replica is killed and its
 * disk lost. Both happen to the same cluster, because filling one takes longer than a test.
 * Not in test:threads: replicated-disks.test.ts is, and these are about disks.
 */
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { type OrcaProcess, orca } from "../support/orca-process.ts";
import { until } from "../support/until.ts";
import { comparedWithinMs, copiesWanted, DiskCluster, objects } from "./disk-cluster.ts";

let cluster: DiskCluster;

before(async () => {
  cluster = await DiskCluster.start();
});
after(() => cluster?.stop());

/** Flips one bit in every chunk on a disk. @returns what lay there before, by name. */
function flipEach(index: number): Map<string, Buffer> {
  const right = new Map<string, Buffer>();
  for (const name of cluster.chunksOn(index)) {
    const path = cluster.pathOf(index, name);
    const bytes = readFileSync(path);
    right.set(name, Buffer.from(bytes));
    const at = right.size * 100;
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(path, bytes);
  }
  return right;
}

async function restart(index: number): Promise<OrcaProcess> {
  const replica = await cluster.serve(index);
  await until(async () => (await replica.metric("orca_disk_chunks")) === cluster.chunksOn(index).length);
  return replica;
}

test("a bit flipped in each chunk on one disk: found on read and by verify, counted, never served, healed from the other copy", async () => {
  const { origin, replicas } = cluster;
  await replicas[0]?.child.stop();
  const right = flipEach(0);
  const flipped = await restart(0);
  // Both keepers are asked, and the third, who asks them.
  for (const replica of replicas) await cluster.readAll([replica]);
  assert.equal(await flipped.metric("orca_disk_damaged_total"), right.size);
  await until(() => cluster.isEachTwice(), comparedWithinMs);
  for (const [name, bytes] of right) assert.ok(readFileSync(cluster.pathOf(0, name)).equals(bytes), name);

  await flipped.child.stop();
  flipEach(0);
  const again = await restart(0);
  const verify = orca("verify", "cache", "verify", "--rate", "1GiB", "--ops", again.opsEndpoint);
  assert.equal(await verify.exited, 0);
  assert.match(
    verify.output.join("\n"),
    new RegExp(`Checked ${right.size} chunks .*: ${right.size} bad ones, deleted`),
  );
  assert.equal(await again.metric("orca_disk_damaged_total"), right.size);
  await cluster.readAll(replicas);
  await until(() => cluster.isEachTwice(), comparedWithinMs);
  for (const [name, bytes] of right) assert.ok(readFileSync(cluster.pathOf(0, name)).equals(bytes), name);
  assert.equal(origin.count("GET"), objects);
});

test("kill -9 of a replica and the loss of its disk: no client error, no origin GET, and two copies again within 25 s of its return", async (t) => {
  const { origin, replicas } = cluster;
  const [first, second, third] = replicas as [OrcaProcess, OrcaProcess, OrcaProcess];
  const reading = cluster.readAll([first, second]);
  third.child.signal("SIGKILL");
  await third.child.exited;
  rmSync(cluster.diskOf(2), { recursive: true, force: true });
  await reading;
  await cluster.readAll([second, first]);
  assert.equal(origin.count("GET"), objects, "what was held came from the other copy");

  const returnedMs = performance.now();
  await cluster.serve(2);
  await cluster.readAll(replicas);
  await until(() => [...cluster.copies().values()].every((count) => count >= copiesWanted), comparedWithinMs);
  t.diagnostic(`two copies of everything ${Math.round(performance.now() - returnedMs)} ms after the return`);
  assert.equal(cluster.copies().size, objects);
  assert.equal(origin.count("GET"), objects);
});
