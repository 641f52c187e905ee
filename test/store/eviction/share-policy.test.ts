/** Shares: what they keep, what they leave to others, and the order in which the rest is evicted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type EvictionPolicy,
  type NewPolicy,
  noRow,
  type PolicyEntries,
} from "../../../src/store/eviction/eviction-policy.ts";
import { SharePolicy, type ShareRule } from "../../../src/store/eviction/share-policy.ts";
import { TunedS3Fifo } from "../../../src/store/eviction/tuned-s3-fifo.ts";
import { PolicyTier } from "./policy-tier.ts";

const make: NewPolicy = (entries, rowsMax, beside) =>
  new TunedS3Fifo(entries, rowsMax, beside instanceof TunedS3Fifo ? beside : undefined);

const normal = 1;
const none: ShareRule = { bytesMax: 0, entriesMax: 0, rank: normal };
const shareOf = (bytesMax: number, rank = normal): ShareRule => ({ bytesMax, entriesMax: bytesMax, rank });

/** Groups are the first letters of the keys: `a` is 0, `b` is 1. Counts bytes, as a tier does. */
class CountedPolicy implements EvictionPolicy {
  readonly #entries: PolicyEntries & { at(row: number): { readonly key: string } };
  readonly #inner: SharePolicy;
  /** The evictions in pools and shares, for their cost. */
  innerEvictions = 0;
  bytes = 0;

  constructor(entries: PolicyEntries, rowsMax: number, rules: readonly ShareRule[]) {
    this.#entries = entries as PolicyEntries & { at(row: number): { readonly key: string } };
    const groupOf = (row: number): number => (this.#entries.at(row).key.codePointAt(0) ?? 0) - 97;
    const counted: NewPolicy = (...parameters) => {
      const policy = make(...parameters);
      const evict = policy.evict.bind(policy);
      policy.evict = () => {
        this.innerEvictions += 1;
        return evict();
      };
      return policy;
    };
    this.#inner = new SharePolicy({ entries, rowsMax, make: counted, rules, groupOf });
  }

  insert(row: number, ahead?: boolean): void {
    this.bytes += this.#entries.sizeOf(row);
    this.#inner.insert(row, ahead);
  }

  touch(row: number): void {
    this.#inner.touch(row);
  }

  supersede(row: number): void {
    this.#inner.supersede(row);
  }

  remove(row: number): void {
    this.bytes -= this.#entries.sizeOf(row);
    this.#inner.remove(row);
  }

  evict(any?: boolean): number {
    const row = this.#inner.evict(any);
    if (row !== noRow) this.bytes -= this.#entries.sizeOf(row);
    return row;
  }

  reinsert(row: number): void {
    this.bytes += this.#entries.sizeOf(row);
    this.#inner.reinsert(row);
  }

  remembers(hash: number): boolean {
    return this.#inner.remembers(hash);
  }
}

function tierOf(capacityBytes: number, ...rules: readonly ShareRule[]): PolicyTier<CountedPolicy> {
  return new PolicyTier(capacityBytes, (entries, rowsMax) => new CountedPolicy(entries, rowsMax, rules));
}

function heldOf(tier: PolicyTier<CountedPolicy>, group: string): number {
  return [...tier.held.keys()].filter((key) => key.startsWith(group)).length;
}

test("SharePolicy: a scan of another group leaves exactly what the share holds", () => {
  const tier = tierOf(100, none, shareOf(40));
  tier.insertAll("b", 30);
  tier.insertAll("a", 1000);
  assert.equal(heldOf(tier, "b"), 30, "less than the share");
  tier.insertAll("bmore", 50);
  tier.insertAll("aa", 1000);
  assert.deepEqual([heldOf(tier, "b"), heldOf(tier, "a")], [40, 60], "more than the share");
});

test("SharePolicy: room that a share does not use is everybody's, and is taken back", () => {
  const tier = tierOf(100, none, shareOf(40));
  tier.insertAll("a", 200);
  assert.equal(heldOf(tier, "a"), 100);
  tier.insertAll("b", 40);
  assert.deepEqual([heldOf(tier, "b"), heldOf(tier, "a")], [40, 60]);
});

test("SharePolicy: beyond its share a group may have all the room that others do not protect", () => {
  const tier = tierOf(100, none, shareOf(40), shareOf(20));
  tier.insertAll("c", 20);
  tier.insertAll("b", 500);
  assert.deepEqual([heldOf(tier, "b"), heldOf(tier, "c")], [80, 20]);
});

test("SharePolicy: a group keeps in its share what it uses, and a scan of its own does not push that out", () => {
  const tier = tierOf(100, none, shareOf(40));
  for (let index = 0; index < 20; index += 1) {
    tier.insert(`bhot${index}`);
    tier.touch(`bhot${index}`, 3);
  }
  tier.insertAll("bscan", 400);
  tier.insertAll("a", 400);
  assert.equal(heldOf(tier, "bhot"), 20);
  assert.equal(heldOf(tier, "b"), 40);
});

test("SharePolicy: what is used beyond the shares outlives a scan, as without shares", () => {
  const [shared, plain] = [tierOf(100, none, shareOf(10)), tierOf(100, none)];
  for (const tier of [shared, plain]) {
    const prefix = tier === shared ? "b" : "a";
    tier.insertAll(prefix, 60);
    for (let round = 0; round < 3; round += 1)
      for (let index = 0; index < 60; index += 1) tier.touch(`${prefix}${index}`);
    tier.insertAll("ascan", 400);
    assert.equal([...tier.held.keys()].filter((key) => /^[ab]\d/.test(key)).length, 60);
  }
});

test("SharePolicy: what was used in a share and has no room there any more outlives a scan in the pool", () => {
  const tier = tierOf(100, none, shareOf(10));
  for (let index = 0; index < 30; index += 1) {
    tier.insert(`bhot${index}`);
    tier.touch(`bhot${index}`, 3);
  }
  tier.insertAll("bnew", 10);
  tier.insertAll("ascan", 400);
  assert.equal(heldOf(tier, "bhot"), 30);
});

test("SharePolicy: beyond the shares a lower rank is evicted first, to the last entry", () => {
  const tier = tierOf(100, none, shareOf(10, 0), { ...none, rank: 2 });
  tier.insertAll("b", 30);
  tier.insertAll("c", 30);
  tier.insertAll("a", 40);
  tier.insertAll("aa", 20);
  assert.deepEqual([heldOf(tier, "b"), heldOf(tier, "a"), heldOf(tier, "c")], [10, 60, 30]);
  tier.insertAll("cc", 200);
  assert.deepEqual([heldOf(tier, "b"), heldOf(tier, "a"), heldOf(tier, "c")], [10, 0, 90]);
  tier.insertAll("bb", 50);
  assert.deepEqual([heldOf(tier, "b"), heldOf(tier, "c")], [11, 89], "a new entry of a low rank goes first");
});

test("SharePolicy: room in a share that a removal has left goes to entries of its group that are beyond it", () => {
  const tier = tierOf(100, none, shareOf(40));
  tier.insertAll("b", 60);
  tier.insertAll("a", 40);
  for (const key of [...tier.held.keys()].filter((each) => each.startsWith("b")).slice(-30)) tier.remove(key);
  assert.equal(heldOf(tier, "b"), 30);
  tier.insertAll("aa", 500);
  assert.equal(heldOf(tier, "b"), 30, "all of them are within the share now");
});

test("SharePolicy: superseded entries go first, from within a share as well, and a use takes that back", () => {
  const tier = tierOf(10, { ...none, rank: 2 }, shareOf(8, 2), { ...none, rank: 0 });
  tier.insertAll("b", 4);
  tier.insertAll("c", 2);
  tier.insertAll("a", 4);
  tier.policy.supersede(tier.rowOf("b1"));
  tier.policy.supersede(tier.rowOf("b2"));
  tier.policy.supersede(tier.rowOf("a3"));
  tier.touch("b2");
  assert.deepEqual([tier.evict(), tier.evict(), tier.evict()], ["b1", "a3", "c0"]);
});

test("SharePolicy: an entry that is larger than the share does not push others out of it", () => {
  const tier = tierOf(100, none, shareOf(10));
  tier.insertAll("b", 10);
  tier.insert("blarge", 11);
  tier.insertAll("a", 300);
  assert.deepEqual([heldOf(tier, "b"), tier.held.has("blarge")], [10, false]);
});

test("SharePolicy: a share holds so many entries and no more, however small they are", () => {
  const tier = tierOf(100, none, { bytesMax: 50, entriesMax: 5, rank: normal });
  tier.insertAll("b", 50);
  tier.insertAll("a", 300);
  assert.equal(heldOf(tier, "b"), 5);
});

test("SharePolicy: within shares nothing is evicted, unless any entry may be, and then from the fullest share", () => {
  const tier = tierOf(100, none, shareOf(10), shareOf(20));
  tier.insertAll("b", 6);
  tier.insertAll("c", 11);
  assert.equal(tier.evict(), undefined);
  const evicted = Array.from({ length: 17 }, () => tier.entries.at(tier.policy.evict(true)).key[0]);
  assert.equal(evicted.slice(0, 3).join(""), "bcb", "0.6 of b's share, 0.55 of c's, then 0.5 of both");
  assert.equal(tier.policy.evict(true), noRow);
});

test("SharePolicy: a victim costs the same, whatever part of the tier is protected", () => {
  const tier = tierOf(20_000, none, shareOf(19_000));
  tier.insertAll("b", 19_000);
  tier.insertAll("a", 1000);
  tier.policy.innerEvictions = 0;
  tier.insertAll("aa", 5000);
  assert.equal(tier.policy.innerEvictions, 5000);
  assert.equal(heldOf(tier, "b"), 19_000);
});

test("SharePolicy: no group falls below its share by what another one does", () => {
  const rules = [none, shareOf(30), shareOf(50, 0), { ...none, rank: 2 }];
  const anyStep = fc.record({
    kind: fc.constantFrom("request", "request", "request", "remove", "remove", "supersede", "reinsert"),
    group: fc.constantFrom("a", "b", "b", "c", "d"),
    key: fc.nat(40),
    sizeBytes: fc.integer({ min: 1, max: 8 }),
  });
  fc.assert(
    fc.property(fc.array(anyStep, { minLength: 300, maxLength: 400 }), (steps) => {
      const tier = tierOf(100, ...rules);
      const doomed = new Set<string>();
      const bytesOf = (group: string): number =>
        [...tier.held].reduce(
          (sum, [key, row]) => sum + (key[0] === group ? tier.entries.sizeOf(row) : 0),
          0,
        );
      for (const { kind, group, key, sizeBytes } of steps) {
        const name = `${group}${key}`;
        const row = tier.held.get(name);
        if (kind === "request") {
          const left = new Map(["a", "b", "c", "d"].map((each) => [each, bytesOf(each)]));
          const sizes = new Map([...tier.held].map(([each, held]) => [each, tier.entries.sizeOf(held)]));
          const evictedBefore = tier.evicted.length;
          tier.request(name, sizeBytes);
          for (const victim of tier.evicted.slice(evictedBefore)) {
            const from = victim[0] as string;
            const { bytesMax } = rules[victim.charCodeAt(0) - 97] as ShareRule;
            const heldBytes = left.get(from) as number;
            assert.ok(
              doomed.delete(victim) || heldBytes > bytesMax,
              `${victim}: ${heldBytes} of ${bytesMax}`,
            );
            left.set(from, heldBytes - (sizes.get(victim) as number));
          }
          doomed.delete(name);
        } else if (kind === "remove" && row) tier.remove(name);
        else if (kind === "supersede" && row) {
          tier.policy.supersede(row);
          doomed.add(name);
        } else if (kind === "reinsert" && row) {
          tier.policy.remove(row);
          tier.policy.reinsert(row);
          doomed.delete(name);
        }
        if (kind === "remove") doomed.delete(name);
        assert.equal(tier.policy.bytes, tier.heldBytes);
      }
      while (tier.held.size > 0) {
        const row = tier.policy.evict(true);
        assert.notEqual(row, noRow);
        tier.held.delete(tier.entries.at(row).key);
      }
      assert.equal(tier.policy.evict(true), noRow);
    }),
    { numRuns: 40 },
  );
});
