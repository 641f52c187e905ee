import assert from "node:assert/strict";
import { test } from "node:test";
import { TaskPool } from "../../../src/fill/warming/task-pool.ts";
import { settle } from "../../support/fake-clock.ts";
import { measured } from "../../support/measured-process.ts";

test("TaskPool: while one task lasts, those that end leave nothing on the heap", async () => {
  const script = new URL("./task-pool-growth.ts", import.meta.url);
  const { heapBytes } = await measured<{ heapBytes: number }>(script, 50_000);
  assert.ok(heapBytes < 1_000_000, `${heapBytes} bytes`);
});

test("TaskPool: as many run as may, whoever starts them, and an error ends the starts that wait", async () => {
  const pool = new TaskPool(() => 2);
  const tasks = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  const begun: number[] = [];
  const starts = tasks.map(({ promise }, index) =>
    pool.start(() => {
      begun.push(index);
      return promise;
    }),
  );
  const outcomes = Promise.allSettled(starts);
  await settle();
  assert.deepEqual(begun, [0, 1]);
  tasks[1]?.resolve();
  await settle();
  assert.deepEqual(begun, [0, 1, 2]);
  tasks[0]?.reject(new Error("the disk is full"));
  await settle();
  tasks[2]?.resolve();
  await assert.rejects(pool.ended(), /the disk is full/);
  assert.deepEqual(
    (await outcomes).map(({ status }) => status),
    ["fulfilled", "fulfilled", "fulfilled", "rejected", "rejected"],
  );
});
