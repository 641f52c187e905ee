import assert from "node:assert/strict";
import { test } from "node:test";
import { KiB } from "../../../src/base/units.ts";
import type { InventoryRequest } from "../../../src/fill/replication/inventory-peers.ts";
import { patternBytes } from "../../support/pattern.ts";
import { ReplicatedFixture } from "../../support/replicated-fixture.ts";

function inventoryFixture(chunks: number, keyOf: (index: number) => string = (index) => `key-${index}`) {
  const cluster = new ReplicatedFixture();
  const { disk, inventory, keepers } = cluster.get("r0");
  const paths = Array.from({ length: chunks }, (_, index) => {
    const version = cluster.version(keyOf(index), KiB);
    disk.hold({ version, index: 0 }, patternBytes(1, 0, 1));
    return version.chunkPath(0);
  });
  const ask = (fields: Partial<InventoryRequest>) =>
    inventory.list({ after: "", chunksMax: 1000, keptBy: "", ...fields });
  return { disk, keepers, paths, ask };
}

test("Inventory: pages list each held chunk once, whatever their size", async () => {
  const { paths, ask } = inventoryFixture(2500);
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

test("Inventory: only the chunks that a replica keeps; a page may be empty and not be the last", async () => {
  const { keepers, paths, ask } = inventoryFixture(1500);
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

test("Inventory: a page of long names has fewer chunks", async () => {
  const { ask } = inventoryFixture(200, (index) => `${index}-${"k".repeat(4000)}`);
  const page = await ask({ chunksMax: 200 });
  assert.equal(page.chunks.length, 131);
  assert.equal((await ask({ chunksMax: 200, after: page.nextAfter })).chunks.length, 69);
});

test("Inventory: a chunk that is evicted while the page is made is left out", async () => {
  const { disk, paths, ask } = inventoryFixture(10);
  disk.keys.delete(paths[3] as string);
  const page = await ask({});
  assert.deepEqual([page.chunks.length, page.passed, page.nextAfter], [9, 10, ""]);
});
