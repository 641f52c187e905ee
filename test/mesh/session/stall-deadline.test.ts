import assert from "node:assert/strict";
import { test } from "node:test";
import { StallDeadline } from "../../../src/mesh/session/stall-deadline.ts";
import { FakeClock } from "../../support/fake-clock.ts";

function fixture(): {
  readonly clock: FakeClock;
  readonly stalls: () => number;
  readonly deadline: StallDeadline;
} {
  const clock = new FakeClock();
  let stalls = 0;
  const deadline = new StallDeadline(clock, 1000, () => void (stalls += 1));
  return { clock, deadline, stalls: () => stalls };
}

test("StallDeadline: fires once, after the whole time without a restart", async () => {
  const { clock, deadline, stalls } = fixture();
  await clock.advance(999);
  assert.equal(stalls(), 0);
  await clock.advance(1);
  assert.equal(stalls(), 1);
  deadline.restart();
  await clock.advance(10_000);
  assert.equal(stalls(), 1);
  assert.equal(clock.pendingTimers, 0);
});

test("StallDeadline: never fires while it is restarted in time", async () => {
  const { clock, deadline, stalls } = fixture();
  for (let count = 0; count < 100; count += 1) {
    await clock.advance(999);
    deadline.restart();
  }
  assert.equal(stalls(), 0);
  await clock.advance(1000);
  assert.equal(stalls(), 1);
});

test("StallDeadline.pause: no time passes until the deadline is restarted", async () => {
  const { clock, deadline, stalls } = fixture();
  await clock.advance(900);
  deadline.pause();
  await clock.advance(10_000);
  assert.equal(stalls(), 0);
  assert.equal(clock.pendingTimers, 0);
  deadline.restart();
  await clock.advance(999);
  assert.equal(stalls(), 0);
  await clock.advance(1);
  assert.equal(stalls(), 1);
});

test("StallDeadline.end: the deadline does not fire, and no timer is left", async () => {
  const { clock, deadline, stalls } = fixture();
  await clock.advance(600);
  deadline.end();
  deadline.restart();
  await clock.advance(10_000);
  assert.equal(stalls(), 0);
  assert.equal(clock.pendingTimers, 0);
});
