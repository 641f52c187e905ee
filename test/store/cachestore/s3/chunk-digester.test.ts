import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { MemoryBudget } from "../../../../src/base/memory-budget.ts";
import { MiB } from "../../../../src/base/units.ts";
import type { ChunkBytes } from "../../../../src/chunk/chunk-bytes.ts";
import { digestOf } from "../../../../src/store/cachestore/s3/chunk-digest.ts";
import { ChunkDigester } from "../../../../src/store/cachestore/s3/chunk-digester.ts";
import { chunkOf } from "../../../support/chunk-of.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { RecordedLogger } from "../../../support/recorded-logger.ts";
import { rejectsWith } from "../../../support/rejects-with.ts";
import { noThread } from "../../disk/reads/faulty-read-thread.ts";

const budget = new MemoryBudget({ maxBytes: 64 * MiB, clock: new FakeClock() });

suite("ChunkDigester", () => {
  test("digest: each chunk gets its own digest, with many at once", async () => {
    const digester = new ChunkDigester(new FakeClock(), new RecordedLogger());
    const chunks = [3 * MiB + 5, 1, 2 * MiB].map((lengthBytes, seed) => chunkOf(budget, lengthBytes, seed));
    const digests = await Promise.all(chunks.map((chunk) => digester.digest(chunk)));
    for (const [index, chunk] of chunks.entries()) {
      assert.deepEqual(digests[index], digestOf(chunk.segments.map((segment) => segment.bytes)));
      chunk.release();
    }
    await digester.close();
  });

  test("digest: if the thread dies, all pending chunks are overloaded, the next one gets a new thread, and the log a line a minute", async () => {
    const [clock, logger] = [new FakeClock(), new RecordedLogger()];
    const digester = new ChunkDigester(clock, logger, new URL("./digest-crasher.ts", import.meta.url));
    const chunk = chunkOf(budget, 1000);
    for (let round = 1; round <= 4; round += 1) {
      if (round === 4) await clock.advance(60_000);
      await Promise.all([1, 2].map(() => rejectsWith("overloaded", digester.digest(chunk))));
      assert.equal(logger.count("error"), round < 4 ? 1 : 2);
    }
    assert.partialDeepStrictEqual(logger.events.at(-1)?.fields, { suppressed: 2 });
    chunk.release();
    await digester.close();
  });

  test("digest: where the system has no thread left, a chunk is overloaded, and the next one gets its own digest", async () => {
    const [clock, logger] = [new FakeClock(), new RecordedLogger()];
    const threadModule = new URL(noThread);
    const digester = new ChunkDigester(clock, logger, threadModule);
    const chunks = [5, 6].map((lengthBytes, seed) => chunkOf(budget, lengthBytes, seed));
    await rejectsWith("overloaded", digester.digest(chunks[0] as ChunkBytes));
    assert.equal(logger.count("warn"), 1);

    const module = "../../../../src/store/cachestore/s3/chunk-digest-thread.ts";
    threadModule.href = new URL(module, import.meta.url).href;
    await clock.advance(10_000);
    const digests = await Promise.all(chunks.map((chunk) => digester.digest(chunk)));
    for (const [index, chunk] of chunks.entries()) {
      assert.deepEqual(digests[index], digestOf(chunk.segments.map((segment) => segment.bytes)));
      chunk.release();
    }
    await digester.close();
  });
});
