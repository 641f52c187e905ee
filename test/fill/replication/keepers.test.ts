import assert from "node:assert/strict";
import { test } from "node:test";
import { ReplicatedFixture } from "../../support/replicated-fixture.ts";

/** The ids of all replicas in rank order for a path, and the replicas by rank. */
function keepersFixture(replicas: number, copies = 2) {
  const cluster = new ReplicatedFixture({ replicas, copies });
  const version = cluster.version("k");
  const path = version.chunkPath(0);
  const ranked = cluster.ranked({ version, index: 0 });
  return { path, ranked, ids: ranked.map(({ id }) => id) };
}

test("Keepers.of: the best-ranked members, the same on all replicas; all of them where there are fewer", () => {
  const { path, ranked, ids } = keepersFixture(5);
  for (const { id, keepers } of ranked) {
    assert.deepEqual(
      keepers.of(path).map(({ replicaId }) => replicaId),
      ids.slice(0, 2),
    );
    assert.equal(keepers.isKeptHere(path), ids.indexOf(id) < 2);
  }
  assert.equal(keepersFixture(2, 3).ranked[0]?.keepers.of(path).length, 2);
});

test("Keepers.holders: the other keepers and the next in rank, one more than copies", () => {
  const { path, ranked, ids } = keepersFixture(5);
  const holders = ranked.map(({ keepers }) => keepers.holders(path).map(({ replicaId }) => replicaId));
  const [a, b, c, d] = ids;
  assert.deepEqual(holders, [
    [b, c, d],
    [a, c, d],
    [a, b, d],
    [a, b, c],
    [a, b, c],
  ]);
});
