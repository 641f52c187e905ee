import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkTable } from "../../../src/store/chunk-table/chunk-table.ts";
import { HashChains } from "../../../src/store/chunk-table/hash-chains.ts";

function hashOf(name: string): string {
  return createHash("sha256").update(name).digest("hex");
}

function pathOf(origin: number, version: number, index: number): string {
  return `origin/${origin}/${hashOf(String(version))}/${index}`;
}

function pagesOf(table: ChunkTable, pathsMax: number, onPage: (last: string) => void = () => {}): string[] {
  const found: string[] = [];
  for (let page = table.pathsAfter("", pathsMax); page.length > 0; ) {
    assert.ok(page.length <= pathsMax);
    found.push(...page);
    const last = page.at(-1) as string;
    onPage(last);
    page = table.pathsAfter(last, pathsMax);
  }
  return found;
}

const anyStep = fc.record({
  kind: fc.constantFrom("add", "add", "add", "remove", "detach", "page"),
  origin: fc.nat(2),
  version: fc.nat(4),
  index: fc.oneof(fc.nat(12), fc.constant(2 ** 32 - 1)),
  sizeBytes: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
});

test("ChunkTable: holds what a Map would hold, after any steps in any order", () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 300 }), (steps) => {
      const table = new ChunkTable(60);
      const model = new Map<string, { sizeBytes: number; version: string; note: number }>();
      const detached = new Set<string>();
      for (const { kind, origin, version, index, sizeBytes } of steps) {
        const path = pathOf(origin, version, index);
        const row = table.rowOfPath(path);
        const known = model.get(path);
        assert.equal(row !== 0, known !== undefined);
        assert.equal(table.rowOf(`origin/${origin}`, hashOf(String(version)), index), row);
        if (kind === "add" && !known) {
          assert.equal(table.canAdd(path), model.size < 60);
          if (!table.canAdd(path)) continue;
          const added = table.add(path, sizeBytes);
          const note = index % 256;
          table.setNote(added, note);
          table.setMarks(added, 255 - note);
          model.set(path, { sizeBytes, version: `${origin} ${version}`, note });
          detached.delete(path);
        } else if (kind === "remove" && known) {
          table.remove(row);
          model.delete(path);
        } else if (kind === "detach") {
          const found = new Set<string>();
          for (;;) {
            const one = table.detachOneOf(`origin/${origin}`, hashOf(String(version)));
            if (one === 0) break;
            found.add(table.pathOf(one));
          }
          const held = [...model].filter(([, each]) => each.version === `${origin} ${version}`);
          assert.deepEqual(found, new Set(held.map(([each]) => each).filter((each) => !detached.has(each))));
          for (const each of found) detached.add(each);
        } else if (kind === "page") {
          assert.deepEqual(pagesOf(table, 1 + index).toSorted(), [...model.keys()].toSorted());
        }
        assert.equal(table.count, model.size);
      }
      for (const [path, { sizeBytes, note }] of model) {
        const row = table.rowOfPath(path);
        assert.equal(table.pathOf(row), path);
        assert.deepEqual(
          [table.sizeOf(row), table.noteOf(row), table.marksOf(row)],
          [sizeBytes, note, 255 - note],
        );
      }
    }),
  );
});

test("ChunkTable.pathsAfter: the order stays while the table grows and shrinks between the pages", () => {
  const table = new ChunkTable(5000);
  const stays = Array.from({ length: 300 }, (_, version) => pathOf(0, version, 7));
  for (const path of stays) table.add(path, 1);
  const order = pagesOf(table, 1000);
  let passing = 0;
  const found = pagesOf(table, 10, () => {
    const grows = passing < 3000;
    for (let count = 0; count < 100; count += 1, passing += 1) {
      if (grows) table.add(pathOf(1, passing, 0), 1);
      else if (passing < 6000) table.remove(table.rowOfPath(pathOf(1, passing - 3000, 0)));
    }
  });
  assert.deepEqual(
    found.filter((path) => path.startsWith("origin/0/")),
    order,
  );
});

test("ChunkTable.pathsAfter: a page costs as much as the whole chunks on it, however many blocks there are", (context) => {
  const table = new ChunkTable(20_000);
  const whole: string[] = [];
  for (let index = 0; index < 19_900; index += 1) table.add(`origin~blocks/${hashOf("a")}/${index}`, 1);
  for (let index = 0; index < 100; index += 1) whole.push(pathOf(0, 1, index));
  for (const path of whole) table.add(path, 1);
  const firstIn = context.mock.method(HashChains.prototype, "firstIn");
  assert.deepEqual(pagesOf(table, 7).sort(), whole.sort());
  assert.ok(firstIn.mock.callCount() < 400, `${firstIn.mock.callCount()} buckets`);
  for (const path of whole) table.remove(table.rowOfPath(path));
  assert.deepEqual([table.pathsAfter("", 7), table.count, table.blockCount], [[], 19_900, 19_900]);
});

test("HashChains: a table that became nearly empty keeps no buckets for the rows that it had", () => {
  for (const rowsPerBucket of [1, 2]) {
    const chains = new HashChains(4096, rowsPerBucket, (row) => Math.imul(row, 0x9e3779b1) >>> 0);
    for (let row = 1; row <= 4096; row += 1) chains.add(row);
    assert.equal(chains.buckets, 4096 / rowsPerBucket);
    for (let row = 1; row <= 4096; row += 1) {
      assert.ok(chains.remove(row));
      const bucketsMax = Math.max(1, ((4096 - row) * 2) / rowsPerBucket);
      assert.ok(chains.buckets <= bucketsMax, `${chains.buckets} buckets for ${4096 - row} rows`);
    }
  }
});

test("ChunkTable: a path that is no chunk's has no row and cannot be added", () => {
  const table = new ChunkTable(10);
  const hash = hashOf("x");
  table.add(`o/${hash}/1`, 1);
  const others = [
    "",
    "o",
    `o/${hash}/`,
    `o/${hash}/01`,
    `o/${hash}/1x`,
    `o/${hash}/${2 ** 32}`,
    `/${hash}/1`,
    `o/${hash.slice(1)}/1`,
    `o/${hash.toUpperCase()}/1`,
  ];
  for (const path of others) assert.deepEqual([table.rowOfPath(path), table.canName(path)], [0, false], path);
});

test("ChunkTable: ids of origins are forgotten with their last chunk", () => {
  const table = new ChunkTable(10);
  for (let origin = 0; origin < 70_000; origin += 1) {
    const path = pathOf(origin, 1, 1);
    assert.ok(table.canAdd(path));
    table.remove(table.add(path, 1));
  }
});
