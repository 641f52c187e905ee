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

test("StallWatch: a running process does not count as stalled", async () => {
  const { time, watch, seen } = watched();
  await time.advance(60_000);
  assert.equal(watch.stalledSince(0), false);
  assert.deepEqual(seen, []);
  watch.stop();
  assert.equal(time.pendingTimers, 0);
});

test("StallWatch: a stall is detected once, when it ends, and counted with its length", async () => {
  const { time, clock, watch, seen } = watched();
  await time.advance(1100);
  clock.stall(2000);
  await time.advance(3000);
  assert.deepEqual(seen, [3100]);
  assert.equal(watch.stats.stalls, 1);
  assert.equal(watch.stats.stalledMs, 1850);
  assert.equal(watch.stalledSince(3000), true);
  assert.equal(watch.stalledSince(3200), false);
});

test("StallWatch.stalledSince: detects the stall even in a timer that fires before the beat", async () => {
  const { time, clock, watch } = watched();
  await time.advance(240);
  const answers: boolean[] = [];
  // Due before the next beat, so it fires first after the stall.
  clock.timer(5, () => answers.push(watch.stalledSince(240)));
  clock.stall(2000);
  await time.advance(2500);
  assert.deepEqual(answers, [true]);
  assert.equal(watch.stats.stalls, 1);
});
