import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { MiB } from "../../src/base/units.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import { settle } from "../support/fake-clock.ts";
import { drain, fillFixture } from "../support/fill-fixture.ts";
import { assertPattern } from "../support/pattern.ts";

test("ObjectReader: a second read of a chunk is answered from memory without a promise", async () => {
  const { origin, path, version } = fillFixture();
  origin.auto = true;
  const object = version("k", 3 * MiB + 17);
  assertPattern(await drain(new ObjectReader(path, object, 0, object.sizeBytes)), 1, 0);
  const reader = new ObjectReader(path, object, MiB + 5, MiB + 10);
  const slice = reader.take();
  assert.ok(slice);
  assertPattern(slice, 1, MiB + 5);
  assert.equal(slice.length, 5);
  assert.equal(reader.source, "memory");
  assert.ok(reader.done);
  reader.close();
  assert.equal(origin.reads.length, 1);
});

test("ObjectReader: joiners get bytes as they arrive, each at its own offset, from one origin GET", async () => {
  const { origin, path, version, readNumber } = fillFixture();
  const object = version("k", 8 * MiB);
  const leader = new ObjectReader(path, object, 0, object.sizeBytes);
  assert.equal(leader.take(), null);
  const leaderReady = leader.ready();
  await settle();
  readNumber(0).deliver(100);
  await leaderReady;
  assert.equal(leader.take()?.length, 100);
  assert.equal(leader.source, "origin");
  leader.release();

  const joiner = new ObjectReader(path, object, 40, 2 * MiB);
  assert.equal(joiner.take(), null);
  await joiner.ready();
  const slice = joiner.take();
  assert.equal(slice?.length, 60);
  assertPattern(slice, 1, 40);
  assert.equal(joiner.source, "join");
  joiner.release();

  readNumber(0).deliver().finish();
  await settle();
  assertPattern(await drain(joiner), 1, 100);
  assertPattern(await drain(leader), 1, 100);
  assert.equal(origin.reads.length, 1);
});

test("ObjectReader: a short range deep in a chunk fetches its block alone, and a read of the whole fetches the gaps", async () => {
  const { origin, memory, path, version, readNumber } = fillFixture();
  const object = version("k", 8 * MiB);
  const reader = new ObjectReader(path, object, 5 * MiB + 3, 5 * MiB + 103);
  reader.take();
  const ready = reader.ready();
  await settle();
  assert.deepEqual(readNumber(0).range, [5 * MiB, MiB]);
  readNumber(0).deliver(103);
  await ready;
  const slice = reader.take();
  assert.ok(slice);
  assertPattern(slice, 1, 5 * MiB + 3);
  assert.ok(reader.done);
  reader.close();
  readNumber(0).deliver().finish();
  await settle();
  assert.deepEqual([memory.stats.chunks, memory.bytes], [1, MiB]);
  origin.auto = true;
  assertPattern(await drain(new ObjectReader(path, object, 0, object.sizeBytes)), 1, 0);
  await settle();
  assert.deepEqual(
    origin.reads.map(({ range }) => range),
    [
      [5 * MiB, MiB],
      [0, 5 * MiB],
      [6 * MiB, 2 * MiB],
    ],
  );
  assert.equal(memory.peek(object.memoryKey(0))?.isWhole, true);
});

test("ObjectReader: a range that straddles two blocks fetches both in one GET", async () => {
  const { origin, path, version } = fillFixture();
  origin.auto = true;
  const object = version("k", 8 * MiB);
  assertPattern(await drain(new ObjectReader(path, object, 3 * MiB - 1, 3 * MiB + 1)), 1, 3 * MiB - 1);
  assert.deepEqual(
    origin.reads.map(({ range }) => range),
    [[2 * MiB, 2 * MiB]],
  );
});

test("ObjectReader: a reader that wants the blocks before a flight does not wait for it, and joins it where it begins", async () => {
  const { origin, path, version, readNumber } = fillFixture();
  const object = version("k", 8 * MiB);
  const deep = new ObjectReader(path, object, 6 * MiB, 8 * MiB);
  deep.take();
  const deepReady = deep.ready();
  await settle();
  const front = drain(new ObjectReader(path, object, 0, object.sizeBytes));
  await settle();
  assert.deepEqual(readNumber(1).range, [0, 6 * MiB]);
  readNumber(1).deliver().finish();
  readNumber(0).deliver().finish();
  await deepReady;
  assertPattern(await drain(deep), 1, 6 * MiB);
  assertPattern(await front, 1, 0);
  assert.equal(origin.reads.length, 2);
});

test("ObjectReader: a client that leaves releases only what it holds, and the chunk is stored if another stays", async () => {
  const { budget, disk, path, version, readNumber } = fillFixture({ disk: true });
  const object = version("k", 8 * MiB);
  const readers = [0, 1, 2].map(() => new ObjectReader(path, object, 0, object.sizeBytes));
  const waits = readers.map((reader) => {
    reader.take();
    return reader.ready();
  });
  await settle();
  for (const reader of readers.slice(1)) reader.close();
  await Promise.all(waits.slice(1));
  assert.equal(readNumber(0).signal.aborted, false);
  readNumber(0).deliver().finish();
  await settle();
  readers[0]?.close();
  assert.equal(disk?.chunks.size, 1);
  assertPattern([...(disk?.chunks.values() ?? [])][0] as Buffer, 1, 0);
  assert.equal(budget.usedBytes, 8 * MiB);
});

test("ObjectReader: a failed fill fails the readers that wait, stores nothing and is not remembered", async () => {
  const { budget, origin, path, version, readNumber } = fillFixture();
  const object = version("k", 8 * MiB);
  const readers = [0, 1].map(() => new ObjectReader(path, object, 0, 10));
  const waits = readers.map((reader) => {
    reader.take();
    return assert.rejects(reader.ready(), { code: "origin_unavailable" });
  });
  await settle();
  readNumber(0).fail(new OrcaError("origin_unavailable", "origin", "Cannot reach the origin"));
  await Promise.all(waits);
  for (const reader of readers) reader.close();
  await settle();
  assert.equal(budget.usedBytes, 0);
  origin.auto = true;
  assertPattern(await drain(new ObjectReader(path, object, 0, object.sizeBytes)), 1, 0);
});

test("ObjectReader: when one of two flights of a chunk fails, the readers of the other get their bytes", async () => {
  const { budget, memory, path, version, readNumber } = fillFixture();
  const object = version("k", 8 * MiB);
  const deep = new ObjectReader(path, object, 6 * MiB, 7 * MiB);
  deep.take();
  const failed = assert.rejects(deep.ready(), { code: "origin_etag_changed" });
  const front = drain(new ObjectReader(path, object, 0, 10));
  await settle();
  readNumber(0).fail(new OrcaError("origin_etag_changed", "origin", "Cannot read: changed"));
  await failed;
  deep.close();
  assert.equal(readNumber(1).signal.aborted, false);
  readNumber(1).deliver().finish();
  assertPattern(await front, 1, 0);
  await settle();
  assert.deepEqual([budget.usedBytes, memory.bytes], [MiB, MiB]);
});

test("ObjectReader: a chunk that was evicted from memory comes from disk, not from the origin", async () => {
  const { origin, memory, path, version } = fillFixture({ disk: true });
  origin.auto = true;
  const object = version("k", 20 * MiB + 5);
  await drain(new ObjectReader(path, object, 0, object.sizeBytes));
  await settle();
  memory.clear();
  const reader = new ObjectReader(path, object, 9 * MiB - 3, 9 * MiB + 3);
  assertPattern(await drain(reader), 1, 9 * MiB - 3);
  assert.equal(reader.source, "disk");
  assert.equal(origin.reads.length, 3);
});

test("ObjectReader: a chunk that the disk lost is filled again", async () => {
  const { origin, memory, disk, path, version } = fillFixture({ disk: true });
  origin.auto = true;
  const object = version("k", 8 * MiB);
  await drain(new ObjectReader(path, object, 0, object.sizeBytes));
  await settle();
  memory.clear();
  disk?.chunks.clear();
  if (disk) disk.believes = "unknown";
  assertPattern(await drain(new ObjectReader(path, object, 0, object.sizeBytes)), 1, 0);
  assert.equal(origin.reads.length, 2);
});

test("ObjectReader: a chunk that the disk lists but cannot read comes from the origin, for all readers", async () => {
  const { origin, disk, path, version } = fillFixture({ disk: true });
  origin.auto = true;
  assert.ok(disk);
  // As DiskTier does while the process has no free file descriptors: the file may be intact.
  disk.believes = "held";
  const object = version("k", 8 * MiB);
  const reads = [0, 1, 2].map(() => drain(new ObjectReader(path, object, 0, object.sizeBytes)));
  for (const bytes of await Promise.all(reads)) assertPattern(bytes, 1, 0);
  assert.equal(origin.reads.length, 1);
});

test("ObjectReader: where an origin gives one ETag to two sizes, their chunks are not mixed up", async () => {
  const { origin, path, version } = fillFixture();
  origin.auto = true;
  await drain(new ObjectReader(path, version("k", 100), 0, 100));
  const grown = version("k", 3 * MiB);
  assertPattern(await drain(new ObjectReader(path, grown, 2 * MiB, 3 * MiB)), 1, 2 * MiB);
  assert.deepEqual(
    origin.reads.map(({ range }) => range),
    [
      [0, 100],
      [2 * MiB, MiB],
    ],
  );
});

test("ObjectReader: a client that leaves while it waits for memory has no block read from disk for it", async () => {
  const { budget, disk, memory, origin, path, version } = fillFixture({ disk: true, maxBytes: 16 * MiB });
  origin.auto = true;
  const object = version("k", 8 * MiB);
  await drain(new ObjectReader(path, object, 0, 10));
  await settle();
  memory.clear();
  const taken = budget.tryReserve(16 * MiB);
  const reader = new ObjectReader(path, object, 0, 10);
  assert.equal(reader.take(), null);
  const ready = reader.ready();
  await settle();
  reader.close();
  taken?.release();
  await ready;
  assert.equal(disk?.blockReads, 0);
  assert.equal(budget.usedBytes, 0);
});

test("ObjectReader: readers that wait for a slow disk hold no memory, and those whose client left are passed over", async () => {
  const { budget, disk, path, version } = fillFixture({ disk: true, maxBytes: 64 * MiB });
  assert.ok(disk);
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  disk.readGate = gate;
  const readers = Array.from({ length: 40 }, (_, index) => {
    const object = version(`k${index}`, MiB);
    disk.chunks.set(object.chunkPath(0), Buffer.alloc(MiB, index));
    return new ObjectReader(path, object, 0, 10);
  });
  const ready = readers.map((reader) => {
    assert.equal(reader.take(), null);
    return reader.ready();
  });
  await settle();
  assert.equal(disk.blockReads, 8);
  assert.equal(budget.usedBytes, 8 * MiB);
  for (const reader of readers.slice(0, 39)) reader.close();
  open();
  await Promise.all(ready);
  assert.equal(disk.blockReads, 9);
  assert.deepEqual(readers[39]?.take(), Buffer.alloc(10, 39));
  readers[39]?.close();
  assert.equal(budget.usedBytes, 0);
});

test("ObjectReader: a client that leaves as its block has been read leaves no block behind", async () => {
  for (let steps = 0; steps < 30; steps += 1) {
    const { budget, disk, path, version } = fillFixture({ disk: true, maxBytes: 16 * MiB });
    assert.ok(disk);
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    disk.readGate = gate;
    const object = version("k", MiB);
    disk.chunks.set(object.chunkPath(0), Buffer.alloc(MiB));
    const reader = new ObjectReader(path, object, 0, 10);
    assert.equal(reader.take(), null);
    const ready = reader.ready();
    await settle();
    open();
    for (let step = 0; step < steps; step += 1) await Promise.resolve();
    reader.close();
    await ready;
    assert.equal(budget.usedBytes, 0, `closed after ${steps} steps`);
  }
});

test("ObjectReader: a client that leaves in the middle while memory is short gets no error", async () => {
  const { budget, clock, memory, origin, path, version } = fillFixture({ disk: true, maxBytes: 16 * MiB });
  origin.auto = true;
  const object = version("k", 8 * MiB);
  await drain(new ObjectReader(path, object, 0, 10));
  await settle();
  memory.clear();
  const reader = new ObjectReader(path, object, 0, object.sizeBytes);
  reader.take();
  await reader.ready();
  assert.equal(reader.take()?.length, MiB);
  reader.release();
  const taken = budget.tryReserve(16 * MiB);
  reader.take();
  const ready = reader.ready();
  await settle();
  reader.close();
  await clock.advance(5000);
  await ready;
  taken?.release();
});

test("ObjectReader: a flight that finds its chunk on disk does not ask the origin", async () => {
  const { origin, memory, disk, filler, path, version } = fillFixture({ disk: true });
  origin.auto = true;
  const object = version("k", 8 * MiB);
  await drain(new ObjectReader(path, object, 0, object.sizeBytes));
  await settle();
  memory.clear();
  assert.ok(disk);
  filler.fill(
    { version: object, index: 0 },
    { offset: 0, end: object.sizeBytes, seen: false, skipDisk: false },
  );
  assertPattern(await drain(new ObjectReader(path, object, 0, object.sizeBytes)), 1, 0);
  assert.equal(filler.stats.moot, 1);
  assert.equal(origin.reads.length, 1);
});

test("ObjectReader: while a commit runs the flight keeps its chunk findable, even after memory evicted it", async () => {
  const { origin, memory, disk, path, version } = fillFixture({ disk: true });
  const gate = Promise.withResolvers<void>();
  assert.ok(disk);
  disk.commitGate = gate.promise;
  origin.auto = true;
  const object = version("k", 8 * MiB);
  await drain(new ObjectReader(path, object, 0, object.sizeBytes));
  memory.clear();
  assertPattern(await drain(new ObjectReader(path, object, 0, object.sizeBytes)), 1, 0);
  gate.resolve();
  await settle();
  assert.equal(origin.reads.length, 1);
  assert.equal(disk.chunks.size, 1);
});

test("ObjectReader: a failed commit never fails a read", async () => {
  const { origin, disk, filler, path, version } = fillFixture({ disk: true });
  assert.ok(disk);
  disk.refuses = true;
  origin.auto = true;
  const object = version("k", 8 * MiB);
  assertPattern(await drain(new ObjectReader(path, object, 0, object.sizeBytes)), 1, 0);
  await settle();
  assert.equal(filler.stats.commitsNotStored, 1);
});

test("ObjectReader: a chunk read again from disk is promoted into memory by one flight", async () => {
  const { origin, memory, disk, filler, path, version } = fillFixture({ disk: true });
  origin.auto = true;
  const object = version("k", 8 * MiB);
  await drain(new ObjectReader(path, object, 0, object.sizeBytes));
  await settle();
  memory.clear();
  assert.ok(disk);
  await drain(new ObjectReader(path, object, 0, 10));
  await Promise.all([0, 1, 2].map(() => drain(new ObjectReader(path, object, MiB, MiB + 10))));
  await settle();
  assert.equal(filler.stats.promotions, 1);
  assert.ok(memory.peek(object.memoryKey(0)));
  assert.equal(disk.puts.length, 1);
  assert.equal(origin.reads.length, 1);
});

test("ObjectReader: a reader that cannot reserve memory in time is told to slow down", async () => {
  const { clock, budget, path, version } = fillFixture({ maxBytes: 16 * MiB });
  const taken = budget.tryReserve(16 * MiB);
  const object = version("k", 8 * MiB);
  const reader = new ObjectReader(path, object, 0, 10);
  reader.take();
  const refused = assert.rejects(reader.ready(), { code: "overloaded" });
  await clock.advance(5000);
  await refused;
  reader.close();
  taken?.release();
  assert.equal(budget.usedBytes, 0);
});

test("ObjectReader: after the first byte a reader waits while memory is full", async () => {
  const { clock, budget, memory, origin, path, version } = fillFixture({ maxBytes: 16 * MiB });
  origin.auto = true;
  const object = version("k", 16 * MiB);
  const reader = new ObjectReader(path, object, 8 * MiB - 10, 16 * MiB);
  assert.equal(reader.take(), null);
  await reader.ready();
  assert.equal(reader.take()?.length, 10);
  reader.release();
  memory.clear();
  await settle();
  const taken = budget.tryReserve(12 * MiB);
  assert.equal(reader.take(), null);
  const ready = reader.ready();
  await clock.advance(12_000);
  taken?.release();
  await ready;
  assertPattern(await drain(reader), 1, 8 * MiB);
});

test("ObjectReader: read-ahead doubles chunk by chunk, stays inside the range and inside half the memory", async () => {
  const { origin, path, version, filler } = fillFixture({ readAheadMax: 8, maxBytes: 512 * MiB });
  const object = version("k", 100 * MiB);
  const reader = new ObjectReader(path, object, 0, 50 * MiB);
  reader.take();
  const ready = reader.ready();
  await settle();
  assert.equal(origin.reads.length, 1, "nothing is read ahead before the first byte is here");
  origin.reads[0]?.deliver().finish();
  await ready;
  reader.take();
  await settle();
  assert.deepEqual(
    origin.reads.map((read) => read.request.offset / (8 * MiB)),
    [0, 1, 2],
  );
  origin.auto = true;
  for (const read of origin.reads.slice(1)) read.deliver().finish();
  reader.release();
  assertPattern(await drain(reader), 1, MiB);
  await settle();
  assert.equal(origin.reads.length, 7, "50 MiB touch 7 chunks");
  assert.deepEqual(origin.reads[6]?.range, [48 * MiB, 2 * MiB], "the last one is not fetched past the range");
  assert.equal(filler.stats.readAheads, 6);
});

test("ObjectReader: read-ahead doubles with each block that arrives, so a far origin soon has as many requests as it may", async () => {
  const { origin, path, version } = fillFixture({ readAheadMax: 8, maxBytes: 512 * MiB });
  const object = version("k", 100 * MiB);
  const reader = new ObjectReader(path, object, 0, object.sizeBytes);
  const requests: number[] = [];
  for (let block = 0; block < 5; block += 1) {
    assert.equal(reader.take(), null);
    const ready = reader.ready();
    await settle();
    origin.reads[0]?.deliver(MiB);
    await ready;
    reader.take();
    reader.release();
    await settle();
    requests.push(origin.reads.length);
  }
  assert.deepEqual(requests, [3, 5, 9, 9, 9]);
  reader.close();
});

test("ObjectReader: the rest of a chunk whose first blocks an opening brought is fetched at once, beside them", async () => {
  const { origin, path, version, filler } = fillFixture({ readAheadMax: 8, maxBytes: 512 * MiB });
  const object = version("k", 8 * MiB);
  const opening = filler.receive({ version: object, index: 0 }, 0, 2 * MiB);
  assert.ok(opening);
  const reader = new ObjectReader(path, object, 0, 7 * MiB);
  assert.equal(reader.take(), null);
  const ready = reader.ready();
  await settle();
  opening.sink.space().fill(0, 0, 1);
  opening.sink.advance(1);
  await ready;
  assert.equal(reader.take()?.length, 1);
  await settle();
  assert.deepEqual(
    origin.reads.map(({ range }) => range),
    [[2 * MiB, 5 * MiB]],
  );
  reader.close();
});

test("ObjectReader: read-ahead leaves half of the origin's permits, and its queue, to readers that wait", async () => {
  for (const [busy, requests] of [
    [{ requestsInFlight: 3, requestsInFlightMax: 8, requestsWaiting: 0 }, 3],
    [{ requestsInFlight: 4, requestsInFlightMax: 8, requestsWaiting: 0 }, 1],
    [{ requestsInFlight: 1, requestsInFlightMax: 8, requestsWaiting: 1 }, 1],
  ] as const) {
    const { origin, path, version } = fillFixture({ readAheadMax: 8, maxBytes: 512 * MiB });
    Object.assign(origin, busy);
    const reader = new ObjectReader(path, version("k", 100 * MiB), 0, 100 * MiB);
    reader.take();
    const ready = reader.ready();
    await settle();
    origin.reads[0]?.deliver(1);
    await ready;
    reader.take();
    await settle();
    assert.equal(origin.reads.length, requests);
    reader.close();
  }
});

test("ObjectReader: read-ahead leaves half of memory to readers that wait", async () => {
  const { origin, path, version } = fillFixture({ readAheadMax: 8, maxBytes: 32 * MiB });
  const object = version("k", 100 * MiB);
  const reader = new ObjectReader(path, object, 0, object.sizeBytes);
  reader.take();
  const ready = reader.ready();
  await settle();
  origin.reads[0]?.deliver(10);
  await ready;
  reader.take();
  await settle();
  assert.equal(origin.reads.length, 2);
  reader.close();
});

test("ObjectReader: 200 readers of one cold object fetch each block that one of them wants once, and no other", async () => {
  const { origin, path, version, memory } = fillFixture({ readAheadMax: 4 });
  origin.auto = true;
  const object = version("k", 64 * MiB);
  const starts = Array.from({ length: 200 }, (_, index) => (index * 977_123) % (63 * MiB));
  await Promise.all(
    starts.map(async (start) => {
      // Each begins about where another one ends, so windows would add to what they ask for.
      const bytes = await drain(
        new ObjectReader({ ...path, windows: undefined }, object, start, start + 200_000),
      );
      assertPattern(bytes, 1, start);
    }),
  );
  await settle();
  const wanted = new Set(
    starts.flatMap((start) => [start, start + 199_999].map((at) => Math.floor(at / MiB))),
  );
  const fetched = origin.reads.flatMap(({ range: [offset, lengthBytes] }) =>
    Array.from({ length: lengthBytes / MiB }, (_, index) => offset / MiB + index),
  );
  assert.deepEqual(
    fetched.sort((left, right) => left - right),
    [...wanted].sort((left, right) => left - right),
  );
  assert.equal(memory.bytes, wanted.size * MiB);
});

test("ObjectReader: a reader that waits for memory is woken when only the memory tier holds a chunk", async () => {
  const { origin, path, version, readNumber } = fillFixture({ disk: true, maxBytes: 16 * MiB });
  const readers = Array.from({ length: 17 }, (_, index) =>
    drain(new ObjectReader(path, version(`k${index}`, MiB), 0, MiB)),
  );
  await settle();
  assert.equal(path.budget.waiting, 1);
  for (let index = 0; index < 16; index += 1) readNumber(index).deliver().finish();
  origin.auto = true;
  await settle();
  assert.equal(path.budget.waiting, 0);
  for (const bytes of await Promise.all(readers)) assertPattern(bytes, 1, 0);
});
