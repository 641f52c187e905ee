import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LruMap } from "../../src/base/lru-map.ts";

function filled(entriesMax: number, keys: string): LruMap<string, string> {
  const map = new LruMap<string, string>({ entriesMax });
  for (const key of keys) map.set(key, key.toUpperCase());
  return map;
}

test("LruMap.set: past the bound the least recently set entry is evicted", () => {
  assert.deepEqual([...filled(2, "abc").keys()], ["b", "c"]);
  assert.deepEqual([...filled(2, "abac").keys()], ["a", "c"]);
});

test("LruMap.get: a use, where peek and has are looks", () => {
  const map = filled(2, "ab");
  assert.equal(map.get("a"), "A");
  map.set("c", "C");
  assert.deepEqual([...map.keys()], ["a", "c"]);
  assert.equal(map.peek("a"), "A");
  assert.equal(map.has("a"), true);
  map.set("d", "D");
  assert.deepEqual([...map.values()], ["C", "D"]);
  assert.equal(map.get("a"), undefined);
});

test("LruMap.get: with marksUses an eviction skips entries that were used, once for all their uses", () => {
  const map = new LruMap<string, string>({ entriesMax: 3, marksUses: true });
  for (const key of "abc") map.set(key, key);
  for (const key of ["a", "a", "b"]) map.get(key);
  assert.deepEqual([...map.keys()], ["a", "b", "c"]);
  map.set("d", "d");
  assert.deepEqual([...map.keys()], ["d", "a", "b"]);
  map.set("e", "e");
  assert.deepEqual([...map.keys()], ["a", "b", "e"]);
  map.set("f", "f");
  assert.deepEqual([...map.keys()], ["b", "e", "f"]);
});

test("LruMap.evictOldest: an entry that was used elsewhere is skipped, once for all these uses", () => {
  const used = new Set("ac");
  const asked: string[] = [];
  const wasUsedElsewhere = (key: string): boolean => {
    asked.push(key);
    return used.delete(key);
  };
  const map = new LruMap<string, string>({ entriesMax: 3, marksUses: true, wasUsedElsewhere });
  for (const key of "abc") map.set(key, key);
  map.set("d", "d");
  assert.deepEqual([[...map.keys()].join(""), asked.join("")], ["cda", "ab"]);
  map.set("e", "e");
  assert.deepEqual([[...map.keys()].join(""), asked.join("")], ["aec", "abcd"]);
  map.set("f", "f");
  assert.deepEqual([[...map.keys()].join(""), asked.join("")], ["ecf", "abcda"]);
});

test("LruMap.get: with marksUses an eviction skips a thousand entries and no more", () => {
  const map = new LruMap<number, number>({ marksUses: true });
  for (let key = 0; key < 3000; key += 1) map.set(key, key);
  for (let key = 0; key < 3000; key += 1) map.get(key);
  map.evictOldest();
  assert.deepEqual([map.size, map.has(1024), map.oldest?.key], [2999, false, 1025]);
});

test("LruMap.set: with marksUses the new value is kept where all other entries were used", () => {
  const map = new LruMap<string, string>({ weightMax: 3, marksUses: true });
  for (const key of "abc") map.set(key, key);
  for (const key of "abc") map.get(key);
  map.set("d", "d");
  assert.deepEqual([...map.keys()], ["b", "c", "d"]);
  for (const key of "bcd") map.get(key);
  map.set("c", "C", 2);
  assert.deepEqual([...map.values()], ["d", "C"]);
});

test("LruMap.set: another value takes the place of the first, with its weight, and is no eviction", () => {
  const evicted: string[] = [];
  const map = new LruMap<string, string>({ weightMax: 10, onEvict: (value) => evicted.push(value) });
  map.set("a", "A", 4);
  map.set("b", "B", 4);
  map.set("a", "A2", 6);
  assert.deepEqual([map.weight, map.size, evicted], [10, 2, []]);
  map.set("a", "A3", 7);
  assert.deepEqual([map.weight, [...map.values()], evicted], [7, ["A3"], ["B"]]);
});

test("LruMap.set: an entry heavier than the bound evicts all, and itself", () => {
  const evicted: string[] = [];
  const map = new LruMap<string, string>({ weightMax: 10, onEvict: (_, key) => evicted.push(key) });
  map.set("a", "A", 4);
  map.set("b", "B", 11);
  assert.deepEqual([map.size, map.weight, map.oldest, evicted], [0, 0, undefined, ["a", "b"]]);
});

test("LruMap.set: a bound of 0 keeps nothing, and none keeps all", () => {
  assert.equal(filled(0, "abc").size, 0);
  assert.equal(filled(Infinity, "abc").size, 3);
});

test("LruMap.entriesMax: a lower bound takes effect with the next set", () => {
  const map = filled(5, "abcde");
  map.entriesMax = 2;
  assert.equal(map.size, 5);
  map.set("f", "F");
  assert.deepEqual([...map.keys()], ["e", "f"]);
});

test("LruMap.delete: it says whether there was an entry, and evicts nothing", () => {
  const map = new LruMap<string, string>({ entriesMax: 3, onEvict: () => assert.fail("evicted") });
  for (const key of "abc") map.set(key, key);
  assert.deepEqual([map.delete("b"), map.delete("b"), map.delete("x")], [true, false, false]);
  assert.deepEqual([[...map.keys()], map.weight], [["a", "c"], 2]);
  map.clear();
  assert.deepEqual([map.size, map.weight, [...map.keys()], map.oldest], [0, 0, [], undefined]);
});

test("LruMap.keys: the entry that was given last may be deleted", () => {
  const map = filled(9, "abcd");
  for (const key of map.keys()) if (key !== "c") map.delete(key);
  assert.deepEqual([...map.keys()], ["c"]);
});

test("LruMap.onEvict: it sees a map without the entry, and may set another", () => {
  const map: LruMap<string, number> = new LruMap({
    entriesMax: 2,
    onEvict: (value, key) => {
      assert.equal(map.has(key), false);
      if (value > 0) map.set(key, value - 1);
    },
  });
  for (const key of "abc") map.set(key, 1);
  assert.equal(map.size, 2);
  assert.equal(map.weight, 2);
});

/** A model in plain arrays: the least recently used first. */
class Model {
  entries: { key: number; value: number; weight: number }[] = [];
  readonly evicted: number[] = [];
  entriesMax: number;
  weightMax: number;

  constructor(entriesMax: number, weightMax: number) {
    this.entriesMax = entriesMax;
    this.weightMax = weightMax;
  }

  get weight(): number {
    return this.entries.reduce((total, { weight }) => total + weight, 0);
  }

  get(key: number): number | undefined {
    const found = this.entries.find((entry) => entry.key === key);
    if (found) this.entries = [...this.entries.filter((entry) => entry !== found), found];
    return found?.value;
  }

  delete(key: number): boolean {
    const before = this.entries.length;
    this.entries = this.entries.filter((entry) => entry.key !== key);
    return this.entries.length < before;
  }

  set(key: number, value: number, weight: number): void {
    this.delete(key);
    this.entries.push({ key, value, weight });
    while (this.entries.length > this.entriesMax || this.weight > this.weightMax) {
      this.evicted.push(this.entries.shift()?.key ?? Number.NaN);
    }
  }
}

test("LruMap: whatever is done to it, it is a list that is searched", () => {
  const key = fc.nat(7);
  const anyStep = fc.oneof(
    fc.record({ kind: fc.constant("set" as const), key, value: fc.nat(99), weight: fc.nat(5) }),
    fc.record({ kind: fc.constant("get" as const), key }),
    fc.record({ kind: fc.constant("peek" as const), key }),
    fc.record({ kind: fc.constant("delete" as const), key }),
    fc.record({ kind: fc.constant("bound" as const), entriesMax: fc.nat(6), weightMax: fc.nat(20) }),
  );
  fc.assert(
    fc.property(
      fc.nat(6),
      fc.nat(20),
      fc.array(anyStep, { maxLength: 60 }),
      (entriesMax, weightMax, steps) => {
        const model = new Model(entriesMax, weightMax);
        const evicted: number[] = [];
        const map = new LruMap<number, number>({
          entriesMax,
          weightMax,
          onEvict: (_, evictedKey) => evicted.push(evictedKey),
        });
        for (const step of steps) {
          if (step.kind === "set") {
            map.set(step.key, step.value, step.weight);
            model.set(step.key, step.value, step.weight);
          } else if (step.kind === "bound") {
            Object.assign(map, { entriesMax: step.entriesMax, weightMax: step.weightMax });
            Object.assign(model, { entriesMax: step.entriesMax, weightMax: step.weightMax });
          } else if (step.kind === "delete") {
            assert.equal(map.delete(step.key), model.delete(step.key));
          } else if (step.kind === "get") {
            assert.equal(map.get(step.key), model.get(step.key));
          } else {
            assert.equal(map.peek(step.key), model.entries.find((entry) => entry.key === step.key)?.value);
          }
          assert.deepEqual(
            [...map.keys()],
            model.entries.map((entry) => entry.key),
          );
          assert.deepEqual(
            [...map.values()],
            model.entries.map((entry) => entry.value),
          );
          assert.deepEqual([map.size, map.weight], [model.entries.length, model.weight]);
          assert.equal(map.oldest?.key, model.entries[0]?.key);
          assert.deepEqual(evicted, model.evicted);
        }
      },
    ),
  );
});
