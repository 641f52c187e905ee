import assert from "node:assert/strict";
import { test } from "node:test";
import { BytePace } from "../../src/base/byte-pace.ts";
import { FakeClock } from "../support/fake-clock.ts";

const never = new AbortController().signal;

test("BytePace: bytes take their time, and lost time is not caught up", async () => {
  const clock = new FakeClock();
  const pace = new BytePace(clock, 1000);
  let done = 0;
  const spend = (bytes: number): Promise<void> => pace.spend(bytes, never).then(() => void (done += 1));
  void spend(100);
  await clock.advance(99);
  assert.equal(done, 0);
  await clock.advance(1);
  assert.equal(done, 1);
  await clock.advance(10_000);
  void spend(100);
  await clock.advance(99);
  assert.equal(done, 1, "the pause was no credit");
  await clock.advance(1);
  assert.equal(done, 2);
});

test("BytePace: short waits are put together", async () => {
  const clock = new FakeClock();
  const pace = new BytePace(clock, 1000);
  await pace.spend(4, never);
  const waiting = pace.spend(4, never);
  assert.equal(clock.pendingTimers, 1);
  await clock.advance(8);
  await waiting;
});

test("BytePace: an aborted wait rejects with the reason and leaves no timer", async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const waiting = new BytePace(clock, 1).spend(100, stop.signal);
  stop.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  assert.equal(clock.pendingTimers, 0);
});
