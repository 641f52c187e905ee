import assert from "node:assert/strict";
import { test } from "node:test";
import { KeeperTable } from "../../../src/fill/replication/keeper-table.ts";
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

for (const paths of [1000, 4000]) {
  test(`Keepers: ${paths} paths are ranked once each until a member changes, however often they are asked about`, () => {
    const cluster = new ReplicatedFixture({ replicas: 5 });
    const { coordination, keepers } = cluster.get("r0");
    const pathOf = (index: number): string => cluster.version(`k${index}`).chunkPath(0);
    const ask = (): void => {
      for (let index = 0; index < paths; index += 1) {
        const expected = coordination.ranked(pathOf(index), 2);
        assert.deepEqual(keepers.of(pathOf(index)), expected);
        for (const id of ["r1", "nobody"]) {
          const isExpected = expected.some(({ replicaId }) => replicaId === id);
          assert.equal(keepers.isKeptBy(pathOf(index), id), isExpected);
        }
      }
    };
    ask();
    ask();
    assert.equal(keepers.stats.ranked, paths);
    cluster.join("r5");
    ask();
    ask();
    assert.equal(keepers.stats.ranked, 2 * paths);
  });
}

test("KeeperTable: it holds at most pathsMax paths, and finds each again while it does", () => {
  const table = new KeeperTable(1, 3000);
  const ranked: string[] = [];
  const ask = (number: number): void => {
    const slot = table.slotOf(`o/${number}/0`, (path) => {
      ranked.push(path);
      return [number % 1000];
    });
    assert.equal(table.keeper(slot, 0), number % 1000);
  };
  for (let number = 0; number < 3000; number += 1) ask(number);
  for (let number = 0; number < 3000; number += 1) ask(number);
  assert.deepEqual([table.size, ranked.length], [3000, 3000]);
  ask(3000);
  assert.equal(table.size, 1);
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
