import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { startReplica } from "../support/replica-fixture.ts";

/** Time that a test can move on. */
class ShiftedClock extends SystemClock {
  shiftMs = 0;

  override monotonic(): number {
    return super.monotonic() + this.shiftMs;
  }
}

test("a flood of requests that fail writes ten lines a minute of each code, and the next line counts the rest", async (context) => {
  const clock = new ShiftedClock();
  const { origin, get, logger, stop } = await startReplica({ clock });
  context.after(stop);
  await origin.stop();
  for (let index = 0; index < 60; index += 1) assert.equal((await get(`k${index}`)).status, 502);
  const failures = () => logger.events.filter(({ message }) => message === "Cannot answer a request");
  const lines = (level: string) => failures().filter((event) => event.level === level);
  assert.equal(lines("warn").length, 10);
  // Whoever looks for one request sees it at level debug.
  assert.equal(lines("debug").length, 50);
  clock.shiftMs += 60_000;
  await get("late");
  const last = failures().at(-1);
  assert.equal(last?.level, "warn");
  const { key, suppressed } = last.fields as { key: string; suppressed: number };
  assert.deepEqual([key, suppressed], ["late", 50]);
});
