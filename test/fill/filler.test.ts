import assert from "node:assert/strict";
import { test } from "node:test";
import type { ByteSink } from "../../src/base/byte-sink.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { Filler } from "../../src/fill/filler.ts";
import type { CopySource } from "../../src/fill/flight-sources.ts";
import type { Cachestore } from "../../src/fill/memory-chunks.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import type { ReceivedBody } from "../../src/fill/received-body.ts";
import type { RangeRequest } from "../../src/origin/origin.ts";
import { Breaker } from "../../src/store/cachestore/breaker.ts";
import type { CachestoreDriver } from "../../src/store/cachestore/cachestore-driver.ts";
import { Catalog } from "../../src/store/cachestore/catalog.ts";
import { GuardedCachestore } from "../../src/store/cachestore/guarded-cachestore.ts";
import type { MemoryHold } from "../../src/store/chunk-store.ts";
import { settle } from "../support/fake-clock.ts";
import { FakeStore } from "../support/fake-store.ts";
import { drain, fillFixture } from "../support/fill-fixture.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { until } from "../support/until.ts";

const generousOrigin = {
  async read({ lengthBytes }: RangeRequest, sink: ByteSink): Promise<void> {
    for (let owedBytes = lengthBytes; owedBytes > 0; ) {
      const bytes = Math.min(owedBytes, sink.space().length);
      sink.advance(bytes);
      owedBytes -= bytes;
    }
  },
};

test("Filler: a chunk that the cachestore is still believed to hold is not stored there again", async () => {
  const { origin, memory, budget, path, version } = fillFixture();
  let puts = 0;
  // It is too busy to read. That is an error and no absence, so presence stays "held".
  const cachestore: Cachestore = {
    presence: () => "held",
    read: async () => "miss",
    put: async () => {
      puts += 1;
      return "present";
    },
  };
  const origins = new Map([[origin.id, generousOrigin]]);
  const filler = new Filler({ origins, memory, disk: undefined, budget, queueTimeoutMs: 5000, cachestore });
  await drain(new ObjectReader({ ...path, flights: filler }, version("k", MiB), 0, MiB));
  await filler.stop();
  assert.equal(puts, 0);
});

test("Filler.promote: while it asks peers for bytes that the disk could not read, no peer joins it", async () => {
  const { origin, memory, budget, version } = fillFixture();
  const key = { version: version("k", MiB), index: 0 };
  const disk = new FakeStore();
  disk.believes = "held";
  const rooted: (boolean | undefined)[] = [];
  const copySource: CopySource = {
    fetch: async (): Promise<undefined> => {
      rooted.push(filler.find(key, 0)?.isRooted);
    },
  };
  const origins = new Map([[origin.id, generousOrigin]]);
  const filler = new Filler({ origins, memory, disk, budget, queueTimeoutMs: 5000, copySource });
  filler.promote(key, { offset: 0, end: key.version.sizeBytes });
  await until(() => filler.flightsInProgress === 0);
  assert.deepEqual(rooted, [false]);
});

test("Filler.readAhead: a chunk in the cachestore is read ahead while the origin has no permits to spare", async () => {
  for (const [presence, isStarted] of [
    ["held", true],
    ["absent", false],
  ] as const) {
    const cachestore: Cachestore = {
      presence: () => presence,
      read: async () => "miss",
      put: async () => "not_stored",
    };
    const { filler, origin, version } = fillFixture({ cachestore });
    Object.assign(origin, { requestsInFlight: 8, requestsInFlightMax: 8, requestsWaiting: 1 });
    const flight = filler.readAhead(
      { version: version("k", 16 * MiB), index: 1 },
      { offset: 0, end: 8 * MiB },
    );
    assert.equal(flight !== undefined, isStarted);
    await filler.stop();
  }
});

test("Filler: a chunk that the cachestore's open breaker turns away is counted there, as a read and as a commit", async () => {
  const { clock, origin, memory, budget, path, version } = fillFixture();
  const driver: CachestoreDriver = {
    kind: "s3",
    check: async () => {},
    read: async () => assert.fail("the store is not asked"),
    put: async () => assert.fail("the store is not asked"),
    delete: async () => {},
    dropQueued: () => {},
    close: async () => {},
  };
  const breaker = new Breaker({ clock, errorsToOpen: 1 });
  const logger = new RecordedLogger();
  const cachestore = new GuardedCachestore({ driver, breaker, catalog: new Catalog(), clock, logger });
  breaker.failed(new OrcaError("store_unavailable", "cachestore", "Cannot reach the store"));
  const origins = new Map([[origin.id, generousOrigin]]);
  const filler = new Filler({ origins, memory, disk: undefined, budget, queueTimeoutMs: 5000, cachestore });
  await drain(new ObjectReader({ ...path, flights: filler }, version("k", MiB), 0, MiB));
  await filler.stop();
  const { misses, missesUnasked, notStored, commitsDropped } = cachestore.stats;
  assert.deepEqual([misses, missesUnasked, notStored, commitsDropped], [1, 1, 1, 1]);
});

test("Filler.promote: after a read that the disk gave up, the flight's memory is not filled again, and readers go to the origin", async () => {
  const { origin, budget, memory, disk, filler, path, version, readNumber } = fillFixture({ disk: true });
  assert.ok(disk);
  const key = { version: version("k", 2 * MiB), index: 0 };
  disk.believes = "held";
  let held: MemoryHold | undefined;
  let lateTarget: Buffer | undefined;
  disk.readBlock = async (_key, _block, target, hold) => {
    // It gives up a read that may still write.
    disk.believes = "absent";
    disk.isSetAside = true;
    hold?.retain();
    [held, lateTarget] = [hold, target];
    return false;
  };
  assert.ok(filler.promote(key, { offset: 0, end: key.version.sizeBytes }));
  const reading = drain(new ObjectReader(path, key.version, 0, 2 * MiB));
  await until(() => origin.reads.length === 1);
  readNumber(0).deliver().finish();
  lateTarget?.fill(0xee);
  assertPattern(await reading, origin.seed, 0);
  await until(() => filler.flightsInProgress === 0);
  assert.equal(budget.usedBytes - memory.bytes, MiB);
  held?.release();
  assert.equal(budget.usedBytes, memory.bytes);
});

test("Filler.receive: a body that arrives on its own fills a flight, which readers join, and which fetches what it lacks", async () => {
  const { origin, disk, filler, path, memory, budget, version, readNumber } = fillFixture({ disk: true });
  const object = version("k", 3 * MiB + 10);
  const key = { version: object, index: 0 };
  const bytes = patternBytes(1, 0, object.sizeBytes);
  const copy = (body: ReceivedBody, from: number, to: number): void => {
    for (let at = from; at < to; ) {
      const copied = bytes.copy(body.sink.space(), 0, at, to);
      body.sink.advance(copied);
      at += copied;
    }
  };
  const body = filler.receive(key, 0, object.sizeBytes);
  assert.ok(body);
  assert.equal(filler.receive(key, MiB, MiB), undefined, "its blocks are in a flight");
  assert.equal(filler.holds(key, 2 * MiB), true);
  assert.equal(filler.holds({ version: version("absent", 2 * MiB), index: 0 }, 0), false);
  const reading = drain(new ObjectReader(path, object, 0, object.sizeBytes));
  copy(body, 0, MiB + 5);
  await settle();
  assert.equal(origin.reads.length, 0);
  body.ended(new OrcaError("origin_unavailable", "origin", "Cannot read: it broke off"));
  await settle();
  assert.deepEqual(readNumber(0).range, [MiB + 5, 2 * MiB + 5]);
  readNumber(0).deliver().finish();
  assertPattern(await reading, 1, 0);
  await settle();
  assert.deepEqual(disk?.puts, [object.chunkPath(0)]);
  assert.equal(filler.receive(key, 0, object.sizeBytes), undefined, "it is held");
  assert.equal(filler.holds(key, 2 * MiB), true);
  const other = { version: version("other", 2 * MiB), index: 0 };
  const whole = filler.receive(other, 0, 2 * MiB);
  assert.ok(whole);
  copy(whole, 0, 2 * MiB);
  whole.ended();
  await settle();
  assert.equal(origin.reads.length, 1);
  assert.equal(memory.peek(other.version.memoryKey(0))?.isWhole, true);
  memory.clear();
  const taken = budget.tryReserve(budget.maxBytes);
  const third = { version: version("third", 2 * MiB), index: 0 };
  assert.equal(filler.receive(third, 0, 2 * MiB), undefined, "memory has no room");
  taken?.release();
});

test("Filler.receive: where memory has room for an eighth of a body, it takes that, and tells the sender to stop there", async () => {
  const { filler, budget, memory, version } = fillFixture({ maxBytes: 16 * MiB });
  const taken = budget.tryReserve(14 * MiB);
  const object = version("k", 8 * MiB);
  const body = filler.receive({ version: object, index: 0 }, 0, 8 * MiB);
  assert.ok(body);
  assert.equal(budget.reservedBytes, 15 * MiB);
  body.sink.space();
  body.sink.advance(MiB);
  assert.equal(body.signal.aborted, true);
  body.ended();
  await settle();
  const held = memory.peek(object.memoryKey(0));
  assert.deepEqual([held?.block(0)?.bytes.length, held?.block(1)], [MiB, undefined]);
  assert.deepEqual([filler.stats.cut, filler.flightsInProgress, budget.reservedBytes], [0, 0, 14 * MiB]);
  taken?.release();
});

for (const [what, isFirst, fillsWhole, reads] of [
  ["the first bytes of a client are an eighth of a run", true, false, [[0, MiB]]],
  ["a client that goes on waits for its whole run", false, false, [[0, 8 * MiB]]],
  ["where chunks are filled whole, all is waited for", true, true, [[0, 8 * MiB]]],
] as const) {
  test(`Filler.fill: while memory is short, ${what}`, async () => {
    const { filler, budget, origin, version } = fillFixture({ maxBytes: 16 * MiB, fillsWhole });
    origin.auto = true;
    const taken = budget.tryReserve(16 * MiB);
    const key = { version: version("k", 8 * MiB), index: 0 };
    filler.fill(key, { offset: 0, end: 8 * MiB, seen: false, skipDisk: false, isFirst });
    await settle();
    assert.equal(origin.reads.length, 0);
    taken?.release();
    await settle();
    const asked = origin.reads.map(({ range }) => range);
    assert.deepEqual(asked, reads);
    assert.deepEqual([filler.stats.cut, filler.flightsInProgress, budget.reservedBytes], [0, 0, 0]);
  });
}

/** What a client that has no byte wants of a chunk of 8 MiB. */
const first = { offset: 0, end: 8 * MiB, seen: false, skipDisk: false, isFirst: true };

test("Filler.fill: first runs beyond a quarter of memory are short, but for one that runs alone", async () => {
  const chunkSizeBytes = 8 * MiB;
  const { filler, budget, version } = fillFixture({ maxBytes: 64 * MiB, chunkSizeBytes });
  const lengths = Array.from({ length: 5 }, (_, index) => {
    const key = { version: version(`k${index}`, chunkSizeBytes), index: 0 };
    return filler.fill(key, { ...first, isOwn: true }).to;
  });
  assert.deepEqual(lengths, [8 * MiB, 8 * MiB, MiB, MiB, MiB]);
  assert.equal(budget.usedBytes, 19 * MiB);
  const asked = { version: version("of another replica", chunkSizeBytes), index: 0 };
  assert.equal(filler.fill(asked, { ...first, isOwn: false }).to, chunkSizeBytes);
  const small = fillFixture({ maxBytes: 16 * MiB, chunkSizeBytes });
  const key = { version: small.version("k", chunkSizeBytes), index: 0 };
  assert.equal(small.filler.fill(key, { ...first, isOwn: true }).to, chunkSizeBytes);
});

test("Filler.fill: a first run that runs alone is long, though small objects waste a quarter of memory", async () => {
  const { filler, path, origin, budget, memory, version } = fillFixture({ maxBytes: 64 * MiB });
  origin.auto = true;
  for (let index = 0; index < 70; index += 1) {
    const object = version(`small${index}`, 600 * KiB);
    await drain(new ObjectReader(path, object, 0, object.sizeBytes));
  }
  await settle();
  assert.deepEqual([filler.flightsInProgress, budget.usedBytes - memory.bytes > 16 * MiB], [0, true]);
  const key = { version: version("k", 8 * MiB), index: 0 };
  assert.equal(filler.fill(key, { ...first, isOwn: true }).to, 8 * MiB);
});

test("Filler.fill: a client that has no byte yet gets memory before one that goes on", async () => {
  const { filler, budget, origin, version } = fillFixture({ maxBytes: 16 * MiB });
  const taken = budget.tryReserve(16 * MiB);
  for (const isFirst of [false, true]) {
    const key = { version: version(isFirst ? "new" : "old", 8 * MiB), index: 0 };
    filler.fill(key, { offset: 0, end: 8 * MiB, seen: false, skipDisk: false, isFirst });
  }
  await settle();
  taken?.release();
  await settle();
  const reads = origin.reads.map(({ range }) => range);
  assert.deepEqual(reads, [
    [0, MiB],
    [0, 8 * MiB],
  ]);
});

test("Filler.fill: a short run ends with its body, so the connection is kept", async () => {
  const { filler, budget, version, readNumber } = fillFixture({ maxBytes: 16 * MiB });
  const taken = budget.tryReserve(16 * MiB);
  const key = { version: version("k", 8 * MiB), index: 0 };
  filler.fill(key, { offset: 0, end: 8 * MiB, seen: false, skipDisk: false, isFirst: true });
  taken?.release();
  await settle();
  const read = readNumber(0).deliver();
  assert.deepEqual([read.range, read.signal.aborted], [[0, MiB], false]);
  read.finish();
  await settle();
  assert.equal(filler.flightsInProgress, 0);
});

test("Filler.fill: a short run that its last reader leaves counts as cut", async () => {
  const chunkSizeBytes = 16 * MiB;
  const { filler, budget, version, readNumber } = fillFixture({ maxBytes: chunkSizeBytes, chunkSizeBytes });
  const taken = budget.tryReserve(chunkSizeBytes);
  const key = { version: version("k", chunkSizeBytes), index: 0 };
  const request = { offset: 0, end: chunkSizeBytes, seen: false, skipDisk: false, isFirst: true };
  const flight = filler.fill(key, request);
  flight.join();
  taken?.release();
  await settle();
  const read = readNumber(0).deliver(10);
  flight.leave();
  read.deliver();
  await settle();
  assert.deepEqual([read.range, flight.to], [[0, 2 * MiB], MiB]);
  assert.deepEqual([filler.stats.cut, filler.flightsInProgress, budget.reservedBytes], [1, 0, 0]);
});

test("Filler.receive: a filler that stops takes no further body, because nobody would wait for it", async () => {
  const { filler, budget, version } = fillFixture();
  await filler.stop();
  assert.equal(filler.receive({ version: version("k", MiB), index: 0 }, 0, MiB), undefined);
  assert.deepEqual([filler.flightsInProgress, budget.usedBytes, budget.reservedBytes], [0, 0, 0]);
});

test("Filler.receive: a body whose reader leaves is told so after the block, and its memory is kept until it has ended", async () => {
  const { filler, path, memory, budget, version } = fillFixture();
  const object = version("k", 4 * MiB);
  const body = filler.receive({ version: object, index: 0 }, 0, 4 * MiB);
  assert.ok(body);
  const reader = new ObjectReader(path, object, 0, object.sizeBytes);
  reader.take();
  const ready = reader.ready();
  await settle();
  body.sink.space();
  body.sink.advance(10);
  await ready;
  reader.close();
  assert.equal(body.signal.aborted, false);
  body.sink.space();
  body.sink.advance(MiB - 10);
  assert.equal(body.signal.aborted, true);
  body.sink.space().fill(1);
  body.sink.advance(100);
  await settle();
  assert.equal(filler.flightsInProgress, 1);
  body.ended();
  await settle();
  assert.deepEqual([filler.flightsInProgress, memory.bytes, budget.usedBytes], [0, MiB, MiB]);
});

test("Filler.receive: a body that was stopped, and that nobody has read, fetches nothing more; one that broke off does", async () => {
  for (const broke of [false, true]) {
    const { origin, filler, memory, budget, version } = fillFixture();
    const body = filler.receive({ version: version("k", 4 * MiB), index: 0 }, 0, 4 * MiB);
    assert.ok(body);
    body.sink.advance(body.sink.space().length);
    body.ended(
      broke ? new OrcaError("origin_unavailable", "origin", "Cannot read: it broke off") : undefined,
    );
    await settle();
    assert.equal(origin.reads.length, broke ? 1 : 0);
    if (broke) origin.reads[0]?.deliver().finish();
    await settle();
    const kept = broke ? 4 * MiB : MiB;
    assert.deepEqual([filler.flightsInProgress, filler.stats.cut], [0, broke ? 0 : 1]);
    assert.deepEqual([memory.bytes, budget.usedBytes, budget.reservedBytes], [kept, kept, 0]);
  }
});
