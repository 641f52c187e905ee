import assert from "node:assert/strict";
import { test } from "node:test";
import { copySizeBytes } from "../../src/base/reader-memory.ts";
import { MiB } from "../../src/base/units.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import { settle } from "../support/fake-clock.ts";
import { drain, type FillFixtureOptions, fillFixture } from "../support/fill-fixture.ts";
import { assertPattern } from "../support/pattern.ts";
import { rejectsWith } from "../support/rejects-with.ts";

const maxBytes = 16 * MiB;
const sizeBytes = 2 * MiB + 17;

/** Objects are named by their seeds. Memory that is released is overwritten, so bytes that are used after that are wrong. */
function fixture(options: FillFixtureOptions = {}) {
  const parts = fillFixture({ maxBytes, chunkSizeBytes: 2 * MiB, ...options });
  parts.origin.auto = true;
  parts.origin.seedOf = ({ key }) => Number(key);
  const reader = (seed: number, start = 0): ObjectReader =>
    new ObjectReader(parts.path, parts.version(String(seed), sizeBytes), start, sizeBytes);
  /** The reader, and its first slice, which is not released. */
  const held = async (seed: number): Promise<{ reader: ObjectReader; slice: Buffer }> => {
    const holder = reader(seed);
    let slice = holder.take();
    while (slice === null) {
      await holder.ready();
      slice = holder.take();
    }
    assertPattern(slice, seed, 0);
    return { reader: holder, slice };
  };
  return { ...parts, reader, held };
}

for (const disk of [false, true]) {
  test(`ReaderMemory: readers that release nothing hold half of memory at most, ${disk ? "with" : "without"} a disk`, async () => {
    const { held, reader, path, budget, memory, origin } = fixture({ disk });
    const holders = [];
    for (let seed = 0; seed < 40; seed += 1) holders.push(await held(seed));
    // A quarter of memory in whole slabs, and the others with copies.
    assert.deepEqual(
      holders.map(({ slice }) => slice.length),
      [...Array.from({ length: 4 }, () => MiB), ...Array.from({ length: 36 }, () => copySizeBytes)],
    );
    assert.equal(path.readerMemory.heldBytes, 4 * MiB + 3 * MiB);
    assert.equal(path.readerMemory.stats.copies, 36);
    // A cold object finds memory, and a hot one too.
    assertPattern(await drain(reader(100)), 100, 0);
    assertPattern(await drain(reader(100)), 100, 0);
    // What was copied or pinned is still right.
    for (const [seed, { slice }] of holders.entries()) assertPattern(slice, seed, 0);
    for (const [seed, { reader: holder, slice }] of holders.entries()) {
      holder.release();
      const { length } = slice;
      assertPattern(await drain(holder), seed, length);
    }
    assert.equal(path.readerMemory.heldBytes, 0);
    await settle();
    memory.clear();
    assert.equal(budget.usedBytes, 0);
    assert.ok(origin.reads.length >= 41);
  });
}

test("ReaderMemory: readers of one slab pin it once, and copy nothing", async () => {
  const { held, path } = fixture();
  for (let count = 0; count < 200; count += 1) assert.equal((await held(1)).slice.length, MiB);
  assert.equal(path.readerMemory.heldBytes, MiB);
  assert.equal(path.readerMemory.stats.copies, 0);
});

test("ReaderMemory: without room for one more copy, a reader waits, and is told to slow down after queue_timeout", async () => {
  const { held, path, clock, reader } = fixture({ disk: true });
  const holders = [];
  // Four slabs, and four more with 16 copies each.
  for (let seed = 0; seed < 4 + 64; seed += 1) holders.push(await held(seed));
  assert.equal(path.readerMemory.heldBytes, 8 * MiB);
  const late = reader(200);
  const refused = rejectsWith(
    "overloaded",
    (async () => {
      while (late.take() === null) await late.ready();
    })(),
  );
  await clock.advance(5000);
  await refused;
  late.close();
  const waiting = held(201);
  await clock.advance(1000);
  assert.equal(path.readerMemory.waiting, 1);
  holders.pop()?.reader.close();
  assertPattern((await waiting).slice, 201, 0);
  assert.equal(path.readerMemory.waiting, 0);
});

test("ReaderMemory: a reader that closes while it waits takes nothing", async () => {
  const { held, path, clock, reader } = fixture({ disk: true });
  const holders = [];
  for (let seed = 0; seed < 4 + 64; seed += 1) holders.push(await held(seed));
  const late = reader(200);
  const ended = (async () => {
    while (late.take() === null) {
      await late.ready();
      if (path.readerMemory.waiting === 0) return;
    }
  })();
  await clock.advance(1000);
  late.close();
  for (const { reader: holder } of holders) holder.close();
  await ended;
  assert.equal(path.readerMemory.heldBytes, 0);
  assert.equal(clock.pendingTimers, 0);
});
