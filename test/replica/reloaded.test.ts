import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { Reloaded } from "../../src/replica/reloaded.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { until } from "../support/until.ts";

const pollMs = 5000;

async function fixture(context: TestContext) {
  const file = { text: "one", broken: "" };
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const changes: string[] = [];
  const reloaded = await Reloaded.load({
    what: "words",
    path: "/words",
    read: async () => {
      if (file.broken !== "") throw new OrcaError("config_invalid", "config", file.broken);
      return { value: file.text.toUpperCase(), fingerprint: file.text };
    },
    clock,
    logger,
  });
  reloaded.watch((value) => void changes.push(value));
  context.after(() => reloaded.stop());
  const poll = async (): Promise<void> => {
    await clock.advance(pollMs);
    await until(() => clock.pendingTimers > 0);
  };
  return { file, clock, logger, changes, reloaded, poll };
}

test("Reloaded: a changed file is used, and an unchanged one changes nothing", async (context) => {
  const { file, changes, reloaded, poll, logger } = await fixture(context);
  await poll();
  assert.deepEqual([reloaded.value, changes], ["ONE", []]);
  file.text = "two";
  await poll();
  await poll();
  assert.deepEqual([reloaded.value, changes, reloaded.stats.reloads], ["TWO", ["TWO"], 1]);
  assert.equal(logger.count("info"), 1);
});

test("Reloaded: a file that cannot be used leaves the last good value, and is logged once", async (context) => {
  const { file, changes, reloaded, poll, logger } = await fixture(context);
  file.broken = "Cannot read it";
  for (let polls = 0; polls < 3; polls += 1) await poll();
  assert.deepEqual([reloaded.value, reloaded.isFailing, reloaded.stats.reloadFailures], ["ONE", true, 3]);
  assert.equal(logger.count("warn"), 1);
  file.broken = "";
  file.text = "two";
  await poll();
  assert.deepEqual([reloaded.value, reloaded.isFailing, changes], ["TWO", false, ["TWO"]]);
});

test("Reloaded: nothing changes after a stop", async (context) => {
  const { file, clock, changes, reloaded } = await fixture(context);
  file.text = "two";
  reloaded.stop();
  await clock.advance(10 * pollMs);
  assert.deepEqual([changes, clock.pendingTimers], [[], 0]);
});
