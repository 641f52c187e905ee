import assert from "node:assert/strict";
import { test } from "node:test";
import { LogPace } from "../../src/base/log-pace.ts";
import { FakeClock } from "../support/fake-clock.ts";

test("LogPace.isDue: each kind once a minute, counted from the line that was logged", async () => {
  const clock = new FakeClock();
  const pace = new LogPace(clock);
  assert.deepEqual([pace.isDue("EIO"), pace.isDue("EIO"), pace.isDue("ENOSPC")], [true, false, true]);
  await clock.advance(59_999);
  assert.equal(pace.isDue("EIO"), false);
  await clock.advance(1);
  assert.deepEqual([pace.isDue("EIO"), pace.isDue("EIO")], [true, false]);
});

test("LogPace.isDue: past 256 kinds the one that was logged the longest ago is forgotten", () => {
  const pace = new LogPace(new FakeClock());
  for (let kind = 0; kind <= 256; kind += 1) assert.equal(pace.isDue(`kind ${kind}`), true);
  assert.deepEqual([pace.isDue("kind 1"), pace.isDue("kind 0")], [false, true]);
});

test("LogPace.take: a few lines of each kind a minute, and the first one after that tells how many were left out", async () => {
  const clock = new FakeClock();
  const pace = new LogPace(clock, 2);
  const taken = [1, 2, 3, 4, 5].map(() => pace.take("502"));
  assert.deepEqual(taken, [{}, {}, undefined, undefined, undefined]);
  assert.deepEqual(pace.take("503"), {});
  await clock.advance(60_000);
  assert.deepEqual([pace.take("502"), pace.take("502"), pace.take("503")], [{ suppressed: 3 }, {}, {}]);
});
