import assert from "node:assert/strict";
import { test } from "node:test";
import { StallWatch } from "../../src/membership/stall-watch.ts";
import { SimulatedClock } from "../support/simulated-clock.ts";
import { StallableClock } from "../support/stallable-clock.ts";

function watched(): { time: SimulatedClock; clock: StallableClock; watch: StallWatch; seen: number[] } {
  const time = new SimulatedClock();
  const clock = new StallableClock(time);
  const seen: number[] = [];
  const watch = new StallWatch(clock, 250, () => seen.push(clock.monotonic()));
  watch.start();
  return { time, clock, watch, seen };
}

test("StallWatch: a process that runs is not said to have stood still", async () => {
  const { time, watch, seen } = watched();
  await time.advance(60_000);
  assert.equal(watch.stoodStillSince(0), false);
  assert.deepEqual(seen, []);
  watch.stop();
  assert.equal(time.pendingTimers, 0);
});

test("StallWatch: a stall is noticed when it ends, once, and counted with its length", async () => {
  const { time, clock, watch, seen } = watched();
  await time.advance(1100);
  clock.stall(2000);
  await time.advance(3000);
  assert.deepEqual(seen, [3100]);
  assert.equal(watch.stats.stalls, 1);
  assert.equal(watch.stats.stalledMs, 1850);
  assert.equal(watch.stoodStillSince(3000), true);
  assert.equal(watch.stoodStillSince(3200), false);
});

test("StallWatch.stoodStillSince: knows it too when asked by a timer that fires before the beat", async () => {
  const { time, clock, watch } = watched();
  await time.advance(240);
  const answers: boolean[] = [];
  // Due before the next beat, so that it is the first to fire after the stall.
  clock.timer(5, () => answers.push(watch.stoodStillSince(240)));
  clock.stall(2000);
  await time.advance(2500);
  assert.deepEqual(answers, [true]);
  assert.equal(watch.stats.stalls, 1);
});
