import assert from "node:assert/strict";
import { test } from "node:test";
import { RepairLog } from "../../../src/fill/replication/repair-log.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";

function fixture() {
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const stats = { pulled: 5, pulledBytes: 50, failed: 1, missing: 0, not_stored: 0 };
  const puller = { stats, waiting: 0, running: 0 } as unknown as ConstructorParameters<typeof RepairLog>[2];
  const log = new RepairLog(clock, logger, puller);
  return { clock, logger, puller: puller as { waiting: number; running: number }, stats, log };
}

test("RepairLog: a repair begins once and ends when round and puller have ended, in either order", async () => {
  for (const roundEndsFirst of [true, false]) {
    const { clock, logger, puller, stats, log } = fixture();
    log.roundBegan();
    log.found();
    log.found();
    puller.running = 1;
    log.pullerChanged();
    await clock.advance(7000);
    stats.pulled = 8;
    stats.pulledBytes = 110;
    if (roundEndsFirst) log.roundEnded();
    puller.running = 0;
    log.pullerChanged();
    if (!roundEndsFirst) {
      assert.equal(logger.events.length, 1);
      log.roundEnded();
    }
    log.pullerChanged();
    assert.deepEqual(
      logger.events.map(({ level, fields }) => [level, fields]),
      [
        ["info", {}],
        ["info", { pulled: 3, bytes: 60, failed: 0, notStored: 0, seconds: 7 }],
      ],
    );
  }
});

test("RepairLog: chunks that no replica sent are a warning", () => {
  const { logger, stats, log } = fixture();
  log.roundBegan();
  log.found();
  stats.failed = 2;
  stats.missing = 1;
  log.roundEnded();
  assert.deepEqual([logger.count("info"), logger.count("warn")], [1, 1]);
  assert.match(logger.events[1]?.message ?? "", /^Restored copies in part/);
});

test("RepairLog: a round that finds nothing, and pulls of announced chunks, say nothing", () => {
  const { logger, log } = fixture();
  log.roundBegan();
  log.pullerChanged();
  log.roundEnded();
  log.pullerChanged();
  assert.equal(logger.events.length, 0);
});
