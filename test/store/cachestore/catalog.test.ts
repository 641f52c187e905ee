import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import { Catalog } from "../../../src/store/cachestore/catalog.ts";
import { keyOf } from "../disk/disk-fixture.ts";

const key = (index: number) => keyOf("object", 800 * MiB, index);

test("Catalog: a learned chunk is held, any other is unknown", () => {
  const catalog = new Catalog();
  assert.equal(catalog.believes(key(0)), "unknown");
  catalog.learn(key(0));
  assert.equal(catalog.believes(key(0)), "held");
  assert.equal(catalog.believes(key(1)), "unknown");
  assert.equal(catalog.believes(keyOf("another", 800 * MiB, 0)), "unknown");
});

test("Catalog: a forgotten hint is unknown, and forget returns true once", () => {
  const catalog = new Catalog();
  catalog.learn(key(0));
  assert.equal(catalog.forget(key(0)), true);
  assert.equal(catalog.forget(key(0)), false);
  assert.equal(catalog.believes(key(0)), "unknown");
  assert.deepEqual(catalog.stats, { learned: 1, forgotten: 1, evicted: 0 });
});

test("Catalog: it never has more entries than allowed, and evicts the least recently used first", () => {
  const catalog = new Catalog(3);
  for (const index of [0, 1, 2]) catalog.learn(key(index));
  catalog.believes(key(0));
  catalog.learn(key(1));
  catalog.learn(key(3));
  assert.equal(catalog.size, 3);
  assert.deepEqual(
    [0, 1, 2, 3].map((index) => catalog.believes(key(index))),
    ["held", "held", "unknown", "held"],
  );
  assert.deepEqual(catalog.stats, { learned: 4, forgotten: 0, evicted: 1 });
});

test("Catalog.peek: does not count as a use", () => {
  const catalog = new Catalog(2);
  for (const index of [0, 1]) catalog.learn(key(index));
  assert.deepEqual([catalog.peek(key(0)), catalog.peek(key(2))], ["held", "unknown"]);
  catalog.learn(key(2));
  assert.deepEqual([catalog.peek(key(0)), catalog.peek(key(1))], ["unknown", "held"]);
});
