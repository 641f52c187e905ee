import assert from "node:assert/strict";
import { test } from "node:test";
import type { Rumor } from "../../src/membership/rumor.ts";
import { ClusterFixture } from "../support/membership-fixture.ts";

function invalidation(id: string): Rumor {
  return {
    kind: "invalidation",
    id,
    sizeBytes: 120,
    body: { originId: "o", bucket: "b", objectKey: id, staleEtag: "" },
  };
}

test("Membership.publish: every other member receives it once, within a second", async () => {
  for (const count of [2, 5, 12]) {
    const cluster = await ClusterFixture.running(count);
    const heard = new Map<string, string[]>();
    for (const { replicaId, membership } of cluster.running()) {
      const keys: string[] = [];
      heard.set(replicaId, keys);
      membership.listen("invalidation", ({ objectKey }) => keys.push(objectKey));
    }
    cluster.membership("r1").publish(invalidation("x"));
    const all = (): boolean =>
      [...heard].every(([replicaId, keys]) => replicaId === "r1" || keys.length === 1);
    const tookMs = await cluster.clock.until(all, 5000);
    assert.ok(tookMs !== undefined && tookMs <= 1000, `${count} members: ${tookMs} ms`);
    await cluster.clock.advance(30_000);
    assert.deepEqual(heard.get("r1"), []);
    assert.ok(all(), "and it is not received again");
    cluster.stop();
  }
});

test("Membership.publish: a burst of a thousand reaches every member completely", async () => {
  const cluster = await ClusterFixture.running(5);
  const heard = new Set<string>();
  cluster.membership("r5").listen("invalidation", ({ objectKey }) => heard.add(objectKey));
  for (let index = 0; index < 1000; index += 1) cluster.membership("r1").publish(invalidation(`x${index}`));
  await cluster.clock.advance(10_000);
  assert.equal(heard.size, 1000);
  for (const { membership } of cluster.running()) assert.equal(membership.stats.rumorsDropped, 0);
  cluster.stop();
});

test("Membership.publish: a rumor published by a replica that is alone reaches one that joins", async () => {
  const cluster = await ClusterFixture.running(1);
  cluster.membership("r1").publish(invalidation("x"));
  await cluster.clock.advance(10_000);
  const joining = cluster.start("r2");
  const keys: string[] = [];
  joining.membership.listen("invalidation", ({ objectKey }) => keys.push(objectKey));
  await cluster.clock.advance(2000);
  assert.deepEqual(keys, ["x"]);
  cluster.stop();
});
