import assert from "node:assert/strict";
import { test } from "node:test";
import { KiB } from "../../../src/base/units.ts";
import type { InventoryRequest } from "../../../src/fill/replication/inventory-peers.ts";
import { patternBytes } from "../../support/pattern.ts";
import { ReplicatedFixture } from "../../support/replicated-fixture.ts";

function listerFixture(chunks: number, keyOf: (index: number) => string = (index) => `key-${index}`) {
  const cluster = new ReplicatedFixture();
  const { disk, lister, keepers } = cluster.get("r0");
  const paths = Array.from({ length: chunks }, (_, index) => {
    const version = cluster.version(keyOf(index), KiB);
    disk.hold({ version, index: 0 }, patternBytes(1, 0, 1));
    return version.chunkPath(0);
  });
  const ask = (fields: Partial<InventoryRequest>) =>
    lister.list({ after: "", chunksMax: 1000, keptBy: "", paths: [], ...fields });
  return { cluster, disk, lister, keepers, paths, ask };
}

test("ChunkLister: pages go once through all that is held, whatever their size", async () => {
  const { paths, ask } = listerFixture(2500);
  const found: string[] = [];
  let passed = 0;
  let pages = 0;
  for (let after: string | undefined; after !== ""; pages += 1) {
    const page = await ask({ after: after ?? "", chunksMax: 1000 });
    assert.ok(page.chunks.length <= 256);
    assert.equal(page.total, 2500);
    passed += page.passed;
    found.push(...page.chunks.map(({ version, index }) => version.chunkPath(index)));
    after = page.nextAfter;
  }
  assert.deepEqual(found.toSorted(), paths.toSorted());
  assert.deepEqual([passed, pages], [2500, 10]);
});

test("ChunkLister: only what a replica is to keep, and a page may hold nothing and not be the last", async () => {
  const { keepers, paths, ask } = listerFixture(1500);
  const theirs = paths.filter((path) => keepers.isKeptBy(path, "r2"));
  const found: string[] = [];
  for (let after: string | undefined; after !== ""; ) {
    const page = await ask({ after: after ?? "", keptBy: "r2" });
    found.push(...page.chunks.map(({ version }) => version.chunkPath(0)));
    after = page.nextAfter;
  }
  assert.deepEqual(found.toSorted(), theirs.toSorted());
  const nobodys = await ask({ keptBy: "nobody" });
  assert.deepEqual([nobodys.chunks, nobodys.passed], [[], 1024]);
  assert.notEqual(nobodys.nextAfter, "");
});

test("ChunkLister: a page of long names is shorter", async () => {
  const { ask } = listerFixture(200, (index) => `${index}-${"k".repeat(4000)}`);
  const page = await ask({ chunksMax: 200 });
  assert.equal(page.chunks.length, 131);
  assert.equal((await ask({ chunksMax: 200, after: page.nextAfter })).chunks.length, 69);
});

test("ChunkLister: what is gone while it is listed is left out", async () => {
  const { disk, paths, ask } = listerFixture(10);
  disk.refs.delete(paths[3] as string);
  const page = await ask({});
  assert.deepEqual([page.chunks.length, page.passed, page.nextAfter], [9, 10, ""]);
});

test("ChunkLister: of the paths asked about it names those held, and pledges them", async () => {
  const { cluster, lister, paths, ask } = listerFixture(3);
  const [held, other] = paths as [string, string];
  const page = await ask({ paths: [held, `origin-a/${"0".repeat(64)}/0`] });
  assert.deepEqual(
    page.chunks.map(({ version }) => version.chunkPath(0)),
    [held],
  );
  assert.deepEqual([lister.isPledged(held), lister.isPledged(other)], [true, false]);
  await cluster.clock.advance(60_000);
  assert.equal(lister.isPledged(held), false);
});

test("ChunkLister: beyond 10,000 pledges nothing more is said to be held until some have ended", async () => {
  const { cluster, lister, paths, ask } = listerFixture(10_001);
  for (let at = 0; at < 10_000; at += 100) await ask({ paths: paths.slice(at, at + 100) });
  assert.equal((await ask({ paths: [paths[10_000] as string] })).chunks.length, 0);
  assert.equal((await ask({ paths: [paths[5] as string] })).chunks.length, 1);
  assert.equal(lister.stats.pledged, 10_001);
  await cluster.clock.advance(60_000);
  assert.equal((await ask({ paths: [paths[10_000] as string] })).chunks.length, 1);
});
