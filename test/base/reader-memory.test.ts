import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { type Copy, ReaderMemory } from "../../src/base/reader-memory.ts";
import { MiB } from "../../src/base/units.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";
import { rejectsWith } from "../support/rejects-with.ts";

const placesPerSegment = 16;

/** A full budget, in which 16 readers hold all places of one segment. */
function fullBudget() {
  const clock = new FakeClock();
  const budget = new MemoryBudget({ maxBytes: 16 * MiB, clock, poison: true });
  const memory = new ReaderMemory(budget, clock);
  const copies = Array.from({ length: placesPerSegment }, () => memory.tryCopy() as Copy);
  const rest = budget.tryReserve(15 * MiB);
  assert.ok(rest);
  return { clock, budget, memory, copies, rest };
}

test("ReaderMemory.copy: a reader that waits for memory gets a place that another one releases", async () => {
  const { clock, budget, memory, copies, rest } = fullBudget();
  const waiting = [memory.copy(1000), memory.copy(1000)];
  const late = rejectsWith("overloaded", waiting[1] as Promise<Copy>);
  await settle();
  assert.equal(budget.waiting, 2);
  copies.pop()?.release();
  const copy = await waiting[0];
  assert.equal(memory.tryCopy(), undefined);
  await clock.advance(1000);
  await late;
  for (const each of copies) each.release();
  assert.equal(memory.heldBytes, MiB);
  copy?.release();
  rest.release();
  assert.deepEqual([memory.heldBytes, memory.waiting, budget.usedBytes, budget.waiting], [0, 0, 0, 0]);
});

test("ReaderMemory.copy: one segment serves all readers that wait for one", async () => {
  const { clock, budget, memory, copies, rest } = fullBudget();
  const waiting = Array.from({ length: 3 }, () => memory.copy(1000));
  await settle();
  rest.release();
  const more = await Promise.all(waiting);
  await settle();
  assert.equal(memory.heldBytes, 2 * MiB);
  for (const each of [...copies, ...more]) each.release();
  assert.deepEqual([memory.heldBytes, budget.usedBytes, budget.waiting, clock.pendingTimers], [0, 0, 0, 0]);
});
