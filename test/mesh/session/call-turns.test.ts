import assert from "node:assert/strict";
import { test } from "node:test";
import { nextTurn } from "../../../src/base/clock.ts";
import { CallTurns } from "../../../src/mesh/session/call-turns.ts";

/** In which turn each of `count` calls that come now begins. */
async function turnsOf(turns: CallTurns, count: number): Promise<number[]> {
  const begun: number[] = [];
  let turn = 0;
  for (let call = 0; call < count; call += 1) {
    const waits = turns.next();
    if (waits) void waits.then(() => begun.push(turn));
    else begun.push(turn);
  }
  for (turn = 1; begun.length < count && turn < 1000; turn += 1) await nextTurn();
  return begun;
}

function countsOf(turns: readonly number[]): number[] {
  const counts = new Map<number, number>();
  for (const turn of turns) counts.set(turn, (counts.get(turn) ?? 0) + 1);
  return [...counts.values()];
}

test("CallTurns: 16 calls begin at once, and 16 in each later turn, in their order", async () => {
  const turns = new CallTurns();
  const begun = await turnsOf(turns, 100);
  assert.deepEqual(countsOf(begun), [16, 16, 16, 16, 16, 16, 4]);
  assert.deepEqual(
    begun,
    begun.toSorted((left, right) => left - right),
  );
  assert.equal(begun[0], 0);
});

test("CallTurns: calls begin at once again after the last have begun", async () => {
  const turns = new CallTurns();
  await turnsOf(turns, 40);
  await nextTurn();
  await nextTurn();
  assert.deepEqual(countsOf(await turnsOf(turns, 16)), [16]);
  await nextTurn();
  assert.equal(turns.next(), undefined);
});

test("CallTurns: calls that come while others wait begin after them", async () => {
  const turns = new CallTurns();
  for (let call = 0; call < 40; call += 1) void turns.next();
  let turn = 0;
  const late = turns.next()?.then(() => turn);
  for (turn = 1; turn < 10; turn += 1) await nextTurn();
  assert.equal(await late, 2);
});
