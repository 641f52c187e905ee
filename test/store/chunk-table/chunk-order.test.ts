import assert from "node:assert/strict";
import { test } from "node:test";
import { orderOfPath } from "../../../src/store/chunk-table/chunk-order.ts";
import { ChunkTable } from "../../../src/store/chunk-table/chunk-table.ts";

const hash = (seed: number): string => seed.toString(16).padStart(8, "0").repeat(8);

test("orderOfPath: the order of known paths, which replicas of all versions must agree on", () => {
  assert.deepEqual(
    [
      `o/${hash(1)}/0`,
      `o/${hash(1)}/1`,
      `o/${hash(0xdeadbeef)}/4294967295`,
      `other/${hash(1)}/0`,
      `o/${"A".repeat(64)}/0`,
    ].map(orderOfPath),
    [2_849_922_530, 3_914_638_428, 1_870_779_230, 2_849_922_530, 0],
  );
});

test("orderOfPath: the chunks of one object are spread over the whole order", () => {
  const shelves = new Map<number, number>();
  for (let index = 0; index < 25_600; index += 1) {
    const shelf = orderOfPath(`o/${hash(7)}/${index}`) >>> 24;
    shelves.set(shelf, (shelves.get(shelf) ?? 0) + 1);
  }
  assert.equal(shelves.size, 256);
  // 100 on average. A deviation of 5 standard deviations would be 50.
  assert.ok(Math.max(...shelves.values()) < 150 && Math.min(...shelves.values()) > 50);
});

test("ChunkTable.pathsAfter: begins at an order, in a table of any size", () => {
  const table = new ChunkTable(5000);
  const paths: string[] = [];
  for (let added = 0; added < 3000; added += 1) {
    const path = `o/${hash(added % 11)}/${added}`;
    table.add(path, 1);
    paths.push(path);
    if (added % 97 !== 0) continue;
    const from = 0x8000_0000 + added * 1000;
    const expected = paths
      .filter((each) => orderOfPath(each) >= from)
      .sort((left, right) => orderOfPath(left) - orderOfPath(right) || (left < right ? -1 : 1));
    assert.deepEqual(table.pathsAfter("", 20, from), expected.slice(0, 20), `${added}`);
  }
});
