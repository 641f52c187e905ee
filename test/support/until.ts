/**
 * Waits for what sockets, threads and processes do. It looks at once while the event loop has something to do, and then
 * more and more seldom, because a test that spins takes the core from what it waits for.
 */
import assert from "node:assert/strict";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";

const turnsAtOnce = 20;
const pauseMaxMs = 100;

/** @throws AssertionError that shows the condition, where it does not hold within `timeoutMs`. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  for (let turn = 0; !(await condition()); turn += 1) {
    assert.ok(performance.now() < endMs, `within ${timeoutMs} ms: ${condition.toString()}`);
    if (turn < turnsAtOnce) await nextTurn();
    else await sleep(Math.min(turn - turnsAtOnce + 1, pauseMaxMs));
  }
}
