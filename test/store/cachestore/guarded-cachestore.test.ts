import assert from "node:assert/strict";
import { test } from "node:test";
import type { ByteSink } from "../../../src/base/byte-sink.ts";
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { MiB } from "../../../src/base/units.ts";
import { Breaker } from "../../../src/store/cachestore/breaker.ts";
import type { CachestoreDriver } from "../../../src/store/cachestore/cachestore-driver.ts";
import { Catalog } from "../../../src/store/cachestore/catalog.ts";
import { GuardedCachestore } from "../../../src/store/cachestore/guarded-cachestore.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { chunkOf, keyOf } from "../disk/disk-fixture.ts";

const unavailable = new OrcaError("store_unavailable", "cachestore", "Cannot reach the store: no answer");
const denied = new OrcaError("store_denied", "cachestore", "Cannot reach the store: 403");
const overloaded = new OrcaError("overloaded", "cachestore", "Cannot store: there is no room");

/** A driver with scripted answers, which counts its calls. */
class ScriptedDriver implements CachestoreDriver {
  readonly kind = "posixfs";
  readonly asked = { read: 0, put: 0, delete: 0 };
  readonly closedWithinMs: number[] = [];
  outcome: "hit" | "miss" = "hit";
  failure: unknown;
  /** The bytes that a read writes before it ends. */
  bytes = Number.POSITIVE_INFINITY;

  check(): Promise<void> {
    return Promise.resolve();
  }

  async read(_ref: ChunkKey, _offset: number, lengthBytes: number, sink: ByteSink): Promise<"hit" | "miss"> {
    this.asked.read += 1;
    const bytes = this.outcome === "hit" ? Math.min(lengthBytes, this.bytes) : 0;
    if (bytes > 0) {
      sink.space().fill(7, 0, bytes);
      sink.advance(bytes);
    }
    if (this.failure !== undefined) throw this.failure;
    return this.outcome;
  }

  async put(): Promise<"stored" | "present"> {
    this.asked.put += 1;
    if (this.failure !== undefined) throw this.failure;
    return "stored";
  }

  async delete(): Promise<void> {
    this.asked.delete += 1;
    if (this.failure !== undefined) throw this.failure;
  }

  dropQueued(): void {}

  async close(deadlineMs: number): Promise<void> {
    this.closedWithinMs.push(deadlineMs);
  }
}

class Fixture {
  readonly clock = new FakeClock();
  readonly logger = new RecordedLogger();
  readonly driver = new ScriptedDriver();
  readonly breaker = new Breaker({ clock: this.clock });
  readonly catalog = new Catalog();
  readonly store = new GuardedCachestore(this);
  readonly key = keyOf("k", 2 * MiB);
  readonly #budget = new MemoryBudget({ maxBytes: 8 * MiB, clock: this.clock });

  read(): Promise<boolean> {
    return this.store.readBlock(this.key, 0, Buffer.alloc(MiB));
  }

  async reads(times: number): Promise<void> {
    for (let count = 0; count < times; count += 1) await this.read();
  }

  async put(): Promise<string> {
    const chunk = chunkOf(this.#budget, this.key);
    try {
      return await this.store.put(this.key, chunk);
    } finally {
      chunk.release();
    }
  }
}

test("GuardedCachestore: a chunk that the driver reads is a hit, and the catalog learns it", async () => {
  const { store, driver, key } = new Fixture();
  const target = Buffer.alloc(MiB);
  assert.equal(store.presence(key), "unknown");
  assert.equal(await store.readBlock(key, 1, target), true);
  assert.ok(target.every((byte) => byte === 7));
  assert.equal(store.presence(key), "held");
  assert.deepEqual([store.stats.hits, store.stats.misses, store.stats.bytesRead], [1, 0, MiB]);
  assert.deepEqual(driver.asked, { read: 1, put: 0, delete: 0 });
});

test("GuardedCachestore: a wrong hint is forgotten and counted, and a miss is no error", async () => {
  const fixture = new Fixture();
  const { store, catalog, driver, key } = fixture;
  catalog.learn(key);
  driver.outcome = "miss";
  assert.equal(store.presence(key), "held");
  await fixture.reads(20);
  assert.equal(store.presence(key), "unknown");
  assert.deepEqual([store.stats.hintsWrong, store.stats.misses, store.breakerState], [1, 20, "closed"]);
});

test("GuardedCachestore: an error is a miss that leaves a true prefix, and the hint stays", async () => {
  const fixture = new Fixture();
  const { store, catalog, driver, key } = fixture;
  catalog.learn(key);
  driver.failure = unavailable;
  driver.bytes = 1000;
  const target = Buffer.alloc(MiB);
  let filledBytes = 0;
  const sink: ByteSink = {
    space: () => target.subarray(filledBytes),
    advance: (lengthBytes) => {
      filledBytes += lengthBytes;
    },
  };
  assert.equal(await store.read(key, 0, MiB, sink, new AbortController().signal), "miss");
  assert.equal(filledBytes, 1000);
  assert.equal(store.presence(key), "held");
  assert.deepEqual([store.stats.readsFailed, store.stats.misses], [1, 1]);
});

test("GuardedCachestore: after ten errors the store is not used: reads miss, commits are dropped, nothing is held", async () => {
  const fixture = new Fixture();
  const { store, catalog, driver, key, logger } = fixture;
  catalog.learn(key);
  driver.failure = unavailable;
  await fixture.reads(25);
  assert.deepEqual([await fixture.put(), await fixture.put()], ["not_stored", "not_stored"]);
  await store.delete(key);
  assert.deepEqual(driver.asked, { read: 10, put: 0, delete: 0 });
  assert.deepEqual([store.breakerState, store.presence(key)], ["open", "absent"]);
  const { misses, missesUnasked, readsFailed, notStored, commitsDropped } = store.stats;
  assert.deepEqual([misses, missesUnasked, readsFailed, notStored, commitsDropped], [25, 15, 10, 2, 2]);
  assert.deepEqual([logger.count("warn"), logger.count("error")], [1, 1]);
});

test("GuardedCachestore: the store is tried again after 30 s, and used after three successful probes", async () => {
  const fixture = new Fixture();
  const { store, catalog, clock, driver, key } = fixture;
  driver.failure = unavailable;
  await fixture.reads(10);
  await clock.advance(30_000);
  await fixture.read();
  assert.deepEqual([driver.asked.read, store.breakerState], [11, "open"]);
  await clock.advance(30_000);
  driver.failure = undefined;
  catalog.learn(key);
  assert.equal(store.presence(key), "held");
  assert.equal(await fixture.read(), true);
  assert.equal(await fixture.put(), "stored");
  assert.equal(store.breakerState, "half-open");
  assert.equal(await fixture.read(), true);
  assert.equal(store.breakerState, "closed");
  assert.equal(fixture.logger.count("info"), 3);
});

test("GuardedCachestore: a lack of room and an aborted read do not count against the store", async () => {
  const fixture = new Fixture();
  const { store, breaker, driver, key } = fixture;
  driver.failure = overloaded;
  for (let count = 0; count < 20; count += 1) assert.equal(await fixture.put(), "not_stored");
  const left = new AbortController();
  left.abort(new Error("the reader left"));
  driver.failure = left.signal.reason;
  const sink: ByteSink = { space: () => Buffer.alloc(MiB), advance: () => {} };
  for (let count = 0; count < 20; count += 1) {
    assert.equal(await store.read(key, 0, MiB, sink, left.signal), "miss");
  }
  assert.equal(store.breakerState, "closed");
  assert.deepEqual([breaker.stats.withdrawn, breaker.stats.failed], [40, 0]);
  assert.equal(fixture.logger.count("warn"), 1);
});

test("GuardedCachestore: an unknown error counts against the store", async () => {
  const fixture = new Fixture();
  fixture.driver.failure = new TypeError("socket hang up");
  assert.equal(await fixture.read(), false);
  assert.equal(fixture.breaker.stats.failed, 1);
});

test("GuardedCachestore: repeated denials set `denied`, are logged once, and end with the first success", async () => {
  const fixture = new Fixture();
  const { store, driver, logger } = fixture;
  const told = () =>
    logger.events.filter(
      ({ level, message, fields }) => level === "error" && /denies/.test(message) && "see" in fields,
    ).length;
  driver.failure = denied;
  await fixture.reads(2);
  assert.deepEqual([store.denied, told()], [false, 0]);
  await fixture.reads(4);
  assert.deepEqual([store.denied, told()], [true, 1]);
  driver.failure = undefined;
  await fixture.read();
  assert.equal(store.denied, false);
  driver.failure = denied;
  await fixture.reads(3);
  assert.deepEqual([store.denied, told()], [true, 2]);
});

test("GuardedCachestore: the catalog learns a stored chunk and forgets a deleted one, even if the deletion fails", async () => {
  const fixture = new Fixture();
  const { store, driver, key } = fixture;
  assert.equal(await fixture.put(), "stored");
  assert.equal(store.presence(key), "held");
  driver.failure = unavailable;
  await store.delete(key);
  assert.equal(store.presence(key), "unknown");
  assert.deepEqual([store.stats.stored, store.stats.deletesFailed], [1, 1]);
});

test("GuardedCachestore.peek: returns the presence, and does not count as a use of the hint", () => {
  const { store, catalog, breaker, key } = new Fixture();
  assert.equal(store.peek(key), "unknown");
  catalog.learn(key);
  assert.equal(store.peek(key), "held");
  for (let error = 0; error < 10; error += 1) breaker.failed(unavailable);
  assert.equal(store.peek(key), "absent");
});

test("GuardedCachestore.close: closes the driver once, by the deadline of the first call", async () => {
  const { store, driver } = new Fixture();
  await Promise.all([store.close(30_000), store.close(0)]);
  await store.close(0);
  assert.deepEqual(driver.closedWithinMs, [30_000]);
});

test("GuardedCachestore: a store that fails and answers in turn writes a few lines of each kind a minute", async () => {
  const [clock, logger] = [new FakeClock(), new RecordedLogger()];
  const breaker = new Breaker({ clock, errorsToOpen: 1, openMs: 1, probesToClose: 1 });
  const driver = new ScriptedDriver();
  const store = new GuardedCachestore({ driver, breaker, catalog: new Catalog(), clock, logger });
  for (let round = 0; round < 20; round += 1) {
    driver.failure = denied;
    await store.delete(keyOf("k", MiB));
    await clock.advance(1);
    driver.failure = undefined;
    await store.delete(keyOf("k", MiB));
  }
  assert.equal(breaker.stats.opened, 20);
  // Opened, tried again, answers again, and the error that opened it.
  assert.deepEqual([logger.count("error"), logger.count("info"), logger.count("warn")], [4, 8, 1]);
});
