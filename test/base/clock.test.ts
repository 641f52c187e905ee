import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemClock, sleep } from "../../src/base/clock.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

test("SystemClock: wall-clock time is the system's, and monotonic time does not go back", () => {
  const clock = new SystemClock();
  assert.ok(Math.abs(clock.now() - Date.now()) < 1000);
  const before = clock.monotonic();
  assert.ok(clock.monotonic() >= before);
});

test("SystemClock.timer: fires once, and not after cancel", async () => {
  const clock = new SystemClock();
  const { promise, resolve } = Promise.withResolvers<void>();
  let cancelledFired = false;
  const cancelled = clock.timer(0, () => {
    cancelledFired = true;
  });
  cancelled.cancel();
  cancelled.cancel();
  clock.timer(1, resolve);
  await promise;
  assert.equal(cancelledFired, false);
});

test("SystemClock.timer: refresh arms a fired timer again", async () => {
  let fired = 0;
  const twice = Promise.withResolvers<void>();
  const timer = new SystemClock().timer(0, () => {
    fired += 1;
    if (fired === 1) timer.refresh();
    else twice.resolve();
  });
  await twice.promise;
  assert.equal(fired, 2);
});

test("SystemClock.timer: refresh arms a cancelled timer again, and cancel holds until then", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = new SystemClock().timer(1, resolve);
  timer.cancel();
  timer.refresh();
  timer.cancel();
  timer.refresh();
  await promise;
});

test("sleep: resolves when the time has passed and not before", async () => {
  const clock = new FakeClock();
  let isAwake = false;
  const sleeping = sleep(clock, 1000).then(() => {
    isAwake = true;
  });
  await clock.advance(999);
  assert.equal(isAwake, false);
  await clock.advance(1);
  await sleeping;
  assert.equal(isAwake, true);
});

test("sleep: an abort rejects with its reason and leaves no timer", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const reason = new Error("enough");
  const sleeping = assert.rejects(sleep(clock, 1000, controller.signal), reason);
  await settle();
  controller.abort(reason);
  await sleeping;
  assert.equal(clock.pendingTimers, 0);
});

test("sleep: a signal that was aborted before rejects at once", async () => {
  const clock = new FakeClock();
  const reason = new Error("too late");
  await assert.rejects(sleep(clock, 1000, AbortSignal.abort(reason)), reason);
  assert.equal(clock.pendingTimers, 0);
});
