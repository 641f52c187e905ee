import assert from "node:assert/strict";
import { test } from "node:test";
import { paperShape, S3Fifo, type S3FifoShape } from "../../../src/store/eviction/s3-fifo.ts";
import { assertAccounts, PolicyTier } from "./policy-tier.ts";

function tierOf(capacityBytes: number, shape: Partial<S3FifoShape> = {}): PolicyTier<S3Fifo> {
  return new PolicyTier(
    capacityBytes,
    (entries, rowsMax) => new S3Fifo(entries, rowsMax, { ...paperShape, ...shape }),
  );
}

test("S3Fifo: an empty policy has no victim", () => {
  assert.equal(tierOf(10).evict(), undefined);
});

test("S3Fifo: unused entries are evicted in the order of insertion, and are remembered", () => {
  const tier = tierOf(10);
  tier.insertAll("k", 12);
  assert.deepEqual(tier.evicted, ["k0", "k1"]);
  assert.ok(tier.remembers("k0"));
  assert.ok(!tier.remembers("k2"));
});

test("S3Fifo: two uses in the small queue move an entry to main, one does not", () => {
  const tier = tierOf(10);
  tier.insertAll("k", 10);
  tier.touch("k0", 2);
  tier.touch("k1", 1);
  tier.insert("new");
  assert.deepEqual(tier.evicted, ["k1"]);
  assert.ok(tier.held.has("k0"));
});

test("S3Fifo: an entry that returns while it is remembered goes to main, and a scan does not evict it there", () => {
  const tier = tierOf(10);
  tier.insertAll("k", 11);
  assert.deepEqual(tier.evicted, ["k0"]);
  tier.insert("k0");
  assert.ok(!tier.remembers("k0"));
  tier.insertAll("scan", 100);
  assert.ok(tier.held.has("k0"));
});

/** The rounds through main before a chunk that was used a hundred times is evicted. */
function roundsOf(usesCounted: number): number {
  const tier = tierOf(Infinity, { usesCounted });
  const insert = (key: string, uses: number): void => {
    tier.insert(key);
    tier.touch(key, uses);
  };
  insert("busy", 2);
  insert("passing", 0);
  tier.evict();
  tier.touch("busy", 100);
  for (let round = 0; ; round += 1) {
    insert(`next${round}`, 2);
    if (tier.evict() === "busy") return round;
  }
}

test("S3Fifo: each use in main gives one more round, up to the number that the shape counts", () => {
  assert.deepEqual([1, 3, 7].map(roundsOf), [1, 3, 7]);
});

test("S3Fifo: a use in main gives one more round", () => {
  const tier = tierOf(Infinity);
  for (const key of ["busy", "idle"]) {
    tier.insert(key);
    tier.touch(key, 2);
  }
  tier.insert("passing");
  assert.equal(tier.evict(), "passing", "the two before it have moved to main");
  tier.touch("busy");
  assert.equal(tier.evict(), "idle");
  assert.equal(tier.evict(), "busy");
  assert.equal(tier.evict(), undefined);
});

test("S3Fifo: with usesForMain 1, one use moves an entry to main", () => {
  const tier = tierOf(10, { usesForMain: 1 });
  tier.insertAll("k", 10);
  tier.touch("k0");
  tier.insert("new");
  assert.deepEqual(tier.evicted, ["k1"]);
  tier.insertAll("scan", 100);
  assert.ok(tier.held.has("k0"));
});

test("S3Fifo: with secondChance, one use gives one more round in the small queue", () => {
  const tier = tierOf(10, { secondChance: true });
  tier.insertAll("k", 10);
  tier.touch("k0");
  tier.insertAll("scan", 9);
  assert.deepEqual([...tier.held.keys()].slice(0, 2), ["k0", "scan0"]);
  tier.insert("more");
  assert.ok(!tier.held.has("k0"));
});

test("S3Fifo: an eviction follows the shape of that moment", () => {
  const tier = tierOf(100);
  const heldNow = (prefix: string): number =>
    [...tier.held.keys()].filter((key) => key.startsWith(prefix)).length;
  tier.insertAll("old", 100);
  for (const key of tier.held.keys()) tier.touch(key, 2);
  tier.insertAll("first", 200);
  assert.equal(heldNow("first"), 10);
  tier.policy.shape = { ...paperShape, smallShare: 0.6 };
  tier.insertAll("second", 200);
  assert.equal(heldNow("second"), 60);
});

test("S3Fifo: a superseded entry is evicted first, from any queue, and is not remembered", () => {
  const tier = tierOf(10);
  tier.insertAll("k", 10);
  tier.touch("k5", 3);
  for (const key of ["k5", "k7"]) tier.policy.supersede(tier.rowOf(key));
  assert.equal(tier.policy.bytes, 10);
  tier.insertAll("new", 3);
  assert.deepEqual(tier.evicted, ["k5", "k7", "k0"]);
  assert.ok(!tier.remembers("k5"));
});

test("S3Fifo: a superseded entry that is used counts as newly inserted", () => {
  const tier = tierOf(10);
  tier.insertAll("k", 10);
  tier.policy.supersede(tier.rowOf("k3"));
  tier.touch("k3");
  tier.insertAll("new", 9);
  assert.ok(tier.held.has("k3"));
  tier.insert("last");
  assert.ok(!tier.held.has("k3"));
});

test("S3Fifo: a reinserted entry is in main, and is not remembered as evicted", () => {
  const tier = tierOf(10);
  tier.insertAll("k", 10);
  const victim = tier.policy.evict();
  const { key } = tier.entries.at(victim);
  assert.ok(tier.remembers(key));
  tier.policy.reinsert(victim);
  assert.ok(!tier.remembers(key));
  tier.insertAll("scan", 100);
  assert.ok(tier.held.has(key));
});

test("S3Fifo: keys evicted from main are not remembered", () => {
  const tier = tierOf(10);
  tier.insert("old");
  tier.touch("old", 2);
  assert.equal(tier.evict(), "old");
  assert.ok(!tier.remembers("old"));
});

test("S3Fifo: ghosts are bounded by nine tenths of the bytes held, and the oldest are forgotten first", () => {
  const tier = tierOf(100);
  tier.insertAll("k", 400);
  const remembered = Array.from({ length: 400 }, (_, index) => `k${index}`).filter((key) =>
    tier.remembers(key),
  );
  assert.ok(remembered.length > 60 && remembered.length <= 90, `${remembered.length} are remembered`);
  assert.ok(tier.remembers("k299"));
  assert.ok(!tier.remembers("k200"));
});

test("S3Fifo: a removed entry is not evicted and not remembered", () => {
  const tier = tierOf(3);
  tier.insertAll("k", 3);
  tier.remove("k0");
  assert.equal(tier.policy.bytes, 2);
  assert.equal(tier.evict(), "k1");
  assert.ok(!tier.remembers("k0"));
});

test("S3Fifo: a loop that fits is all hits, whatever was held before", () => {
  const tier = tierOf(100);
  for (let index = 0; index < 1000; index += 1) tier.request(`before${index % 150}`);
  let hits = 0;
  for (let request = 0; request < 50 * 90; request += 1) {
    if (tier.request(`loop${request % 90}`) && request >= 20 * 90) hits += 1;
  }
  assert.equal(hits, 30 * 90);
});

test("S3Fifo: entries fetched ahead stay until their first use, while others are evicted", () => {
  const tier = tierOf(20);
  tier.insertAll("before", 16);
  for (const key of ["a0", "a1", "a2", "a3"]) tier.insert(key, 1, true);
  tier.insertAll("k", 16);
  assert.equal(tier.evicted.length, 16);
  assert.deepEqual(
    ["a0", "a1", "a2", "a3"].filter((key) => tier.held.has(key)),
    ["a0", "a1", "a2", "a3"],
  );
  for (const key of ["a0", "a1", "a2", "a3"]) tier.touch(key);
  tier.insertAll("m", 18);
  assert.ok(!tier.held.has("a0"), "used once, it is as any other");
});

test("S3Fifo: an entry fetched ahead and not used is evicted once all held bytes were replaced", () => {
  const tier = tierOf(20);
  tier.insert("abandoned", 1, true);
  tier.insertAll("k", 22);
  assert.ok(!tier.held.has("abandoned"));
});

test("S3Fifo: entries fetched ahead take at most half of the tier while there are others", () => {
  const tier = tierOf(20);
  tier.insertAll("k", 20);
  for (let index = 0; index < 15; index += 1) tier.insert(`a${index}`, 1, true);
  const ahead = [...tier.held.keys()].filter((key) => key.startsWith("a"));
  assert.ok(ahead.length <= 11, `${ahead.length} of 20`);
  assert.ok(tier.held.has("a14"));
});

test("S3Fifo: an eviction moves a bounded number of entries, however many were used", () => {
  const count = 20_000;
  let looks = 0;
  const sizeOf = (): number => {
    looks += 1;
    return 1;
  };
  for (const shape of [paperShape, { ...paperShape, usesForMain: 9, secondChance: true }]) {
    const policy = new S3Fifo({ sizeOf, hashOf: (row) => row }, count, shape);
    for (let row = 1; row <= count; row += 1) policy.insert(row);
    for (let round = 0; round < 2; round += 1) {
      for (let row = 1; row <= count; row += 1) for (let use = 0; use < 3; use += 1) policy.touch(row);
      looks = 0;
      assert.notEqual(policy.evict(), 0);
      assert.ok(looks <= 2100, `${looks} looks at entries in one turn`);
    }
  }
});

test("S3Fifo: holds each inserted entry once until it is evicted or removed, after any steps in any order", () => {
  assertAccounts(() => tierOf(60));
});
