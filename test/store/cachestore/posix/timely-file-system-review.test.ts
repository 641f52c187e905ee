import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../../../src/base/units.ts";
import { TimelyFileSystem } from "../../../../src/store/cachestore/posix/timely-file-system.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { RecordedLogger } from "../../../support/recorded-logger.ts";
import { noThread } from "../../disk/reads/faulty-read-thread.ts";

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

test("TimelyFileSystem: threads that crash at each call write one line a minute", async () => {
  const [clock, logger] = [new FakeClock(), new RecordedLogger()];
  const threadModule = new URL("../../no-such-thread.ts", import.meta.url);
  const timely = new TimelyFileSystem({ clock, logger, deadlineMs: 600_000, threadsMax: 1, threadModule });
  const unlink = async (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    timely.unlink("/nowhere", () => resolve());
    await promise;
  };
  for (let round = 0; round < 3; round += 1) await unlink();
  assert.deepEqual([timely.stats.threadCrashes, logger.count("error")], [3, 1]);
  await clock.advance(60_000);
  await unlink();
  assert.partialDeepStrictEqual(logger.events.at(-1)?.fields, { suppressed: 2 });
  await timely.stop(0);
});

test("TimelyFileSystem: without a thread, calls time out and allocate no memory, until a thread starts", async () => {
  const [clock, logger] = [new FakeClock(), new RecordedLogger()];
  const threadModule = new URL(noThread);
  const timely = new TimelyFileSystem({ clock, logger, deadlineMs: 10_000, threadsMax: 1, threadModule });
  const unlink = (): Promise<string | undefined> =>
    new Promise((resolve) => timely.unlink("/nowhere", (error) => resolve(error?.code)));
  const { arrayBuffers: before } = process.memoryUsage();
  const calls = Promise.all(Array.from({ length: 100 }, unlink));
  assert.ok(process.memoryUsage().arrayBuffers - before < 10 * MiB);
  await clock.advance(10_000);
  assert.deepEqual(new Set(await calls), new Set(["ETIMEDOUT"]));
  assert.equal(logger.count("warn"), 1);

  const module = "../../../../src/store/cachestore/posix/timely-file-thread.ts";
  threadModule.href = new URL(module, import.meta.url).href;
  assert.equal(await unlink(), "ENOENT");
  await timely.stop(0);
});
