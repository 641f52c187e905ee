import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { MiB } from "../../../src/base/units.ts";
import type { ChunkBytes } from "../../../src/chunk/chunk-bytes.ts";
import { Breaker } from "../../../src/store/cachestore/breaker.ts";
import type { CachestoreDriver } from "../../../src/store/cachestore/cachestore-driver.ts";
import { Catalog } from "../../../src/store/cachestore/catalog.ts";
import { GuardedCachestore } from "../../../src/store/cachestore/guarded-cachestore.ts";
import { PutQueue } from "../../../src/store/cachestore/s3/put-queue.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { chunkOf, keyOf } from "../disk/disk-fixture.ts";

/** A store that accepts puts and does not answer for 5 s, after the queue of the S3 driver. */
class HangingDriver implements CachestoreDriver {
  readonly kind = "s3";
  asked = 0;
  readonly #queue = new PutQueue(8);
  readonly #clock: FakeClock;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  async check(): Promise<void> {}

  async read(): Promise<"hit" | "miss"> {
    return "miss";
  }

  put(_ref: ChunkKey, chunk: ChunkBytes): Promise<"stored" | "present"> {
    return this.#queue.run(chunk.lengthBytes, () => {
      this.asked += 1;
      const { promise, reject } = Promise.withResolvers<"stored">();
      this.#clock.timer(5000, () => reject(new OrcaError("store_unavailable", "cachestore", "it hangs")));
      return promise;
    });
  }

  async delete(): Promise<void> {}

  dropQueued(bytesWanted: number): void {
    this.#queue.dropQueued(bytesWanted);
  }

  async close(): Promise<void> {}
}

test("GuardedCachestore: waiting commits are dropped and their memory is released when the breaker opens", async () => {
  const clock = new FakeClock();
  const driver = new HangingDriver(clock);
  const breaker = new Breaker({ clock });
  const catalog = new Catalog();
  const store = new GuardedCachestore({
    driver,
    breaker,
    catalog,
    clock,
    logger: new RecordedLogger(),
  });
  const budget = new MemoryBudget({ maxBytes: 64 * MiB, clock });
  const puts = Array.from({ length: 48 }, async (_, number) => {
    const key = keyOf(`k${number}`, MiB);
    const chunk = chunkOf(budget, key);
    await store.put(key, chunk);
    chunk.release();
  });
  await clock.advance(10_000);
  assert.equal(store.breakerState, "open");
  await clock.advance(5000);
  // Eight run at a time: the first eight fail, then two of the next, and each failure starts one more.
  assert.equal(driver.asked, 18);
  assert.equal(budget.usedBytes, 0);
  await clock.advance(60_000);
  await Promise.all(puts);
});
