import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FakeClock } from "./fake-clock.ts";
import { SimulatedClock } from "./simulated-clock.ts";

test("SimulatedClock: fires the same timers in the same order as FakeClock", async () => {
  const plan = fc.array(
    fc.record({
      delayMs: fc.nat(20),
      nestedMs: fc.option(fc.nat(10), { nil: undefined }),
      cancels: fc.nat(9),
    }),
    { maxLength: 10 },
  );
  await fc.assert(
    fc.asyncProperty(plan, async (steps) => {
      const traces = [];
      for (const clock of [new FakeClock(), new SimulatedClock()]) {
        const trace: string[] = [];
        const timers = steps.map(({ delayMs, nestedMs, cancels }, index) =>
          clock.timer(delayMs, () => {
            trace.push(`${index} at ${clock.monotonic()}`);
            timers[cancels]?.cancel();
            if (nestedMs !== undefined) {
              clock.timer(nestedMs, () => trace.push(`${index} nested at ${clock.monotonic()}`));
            }
          }),
        );
        await clock.advance(40);
        traces.push([...trace, clock.pendingTimers]);
      }
      assert.deepEqual(traces[1], traces[0]);
    }),
    { numRuns: 30 },
  );
});

test("SimulatedClock: a refreshed timer counts from the refresh, and a cancelled one not at all", async () => {
  const clock = new SimulatedClock();
  let fired = 0;
  const timer = clock.timer(10, () => (fired += 1));
  await clock.advance(9);
  timer.refresh();
  await clock.advance(9);
  assert.equal(fired, 0);
  await clock.advance(1);
  assert.equal(fired, 1);
  timer.refresh();
  timer.cancel();
  await clock.advance(100);
  assert.equal(fired, 1);
});
