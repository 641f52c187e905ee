import assert from "node:assert/strict";
import { test } from "node:test";
import { TimelyFileSystem } from "../../../../src/store/cachestore/posix/timely-file-system.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { RecordedLogger } from "../../../support/recorded-logger.ts";

test("TimelyFileSystem.stop: a close after it starts no thread, which would never be ended", async () => {
  const logger = new RecordedLogger();
  const timely = new TimelyFileSystem({
    clock: new FakeClock(),
    logger,
    deadlineMs: 1000,
    threadsMax: 1,
    // A thread that is started fails and logs an error.
    threadModule: new URL("../../no-such-thread.ts", import.meta.url),
  });
  await timely.stop(0);
  // DiskFile.open does this in the next microtask after stop has ended its fstat.
  const { promise, resolve } = Promise.withResolvers<void>();
  timely.close(1_000_000, () => resolve());
  await promise;
  assert.equal(logger.count("error"), 0);
  assert.equal(timely.stats.threadCrashes, 0);
});
