import assert from "node:assert/strict";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Delays, EventLoopLag, windowMs } from "../../src/ops/event-loop-lag.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** Delays of a window, in milliseconds of lateness. */
function scripted() {
  const state = { p99: 0, max: 0, resets: 0, disabled: false };
  const delays: Delays = {
    get max() {
      return (state.max + 20) * 1e6;
    },
    percentile: () => (state.p99 + 20) * 1e6,
    reset: () => void (state.resets += 1),
    disable: () => void (state.disabled = true),
  };
  return { state, delays };
}

test("EventLoopLag: the notice is about the last window, and goes when the loop is on time", async () => {
  const clock = new FakeClock();
  const { state, delays } = scripted();
  const lag = new EventLoopLag(clock, delays);
  assert.equal(lag.notice(), null);
  state.p99 = 99;
  state.max = 999;
  await clock.advance(windowMs);
  assert.equal(lag.notice(), null);
  state.p99 = 100;
  await clock.advance(windowMs);
  assert.match(
    lag.notice() ?? "",
    /^the event loop is late \(in 10 s, one turn in a hundred began 100 ms late or more, and the latest 999 ms\): /,
  );
  state.p99 = 1;
  state.max = 1000;
  await clock.advance(windowMs);
  assert.match(lag.notice() ?? "", /the latest 1000 ms/);
  state.max = 2;
  await clock.advance(windowMs);
  assert.equal(lag.notice(), null);
  assert.equal(state.resets, 4);
  lag.stop();
  assert.deepEqual([state.disabled, clock.pendingTimers], [true, 0]);
});

test("EventLoopLag: a turn of more than a second is seen by the real histogram", async () => {
  const clock = new FakeClock();
  const delays = monitorEventLoopDelay({ resolution: 20 });
  delays.enable();
  const lag = new EventLoopLag(clock, delays);
  await sleep(60);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200);
  await sleep(60);
  await clock.advance(windowMs);
  assert.match(lag.notice() ?? "", /^the event loop is late/);
  lag.stop();
});
