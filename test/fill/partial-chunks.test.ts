import assert from "node:assert/strict";
import { test } from "node:test";
import type { ByteSink } from "../../src/base/byte-sink.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { GiB, KiB, MiB } from "../../src/base/units.ts";
import { Filler } from "../../src/fill/filler.ts";
import type { Cachestore } from "../../src/fill/memory-chunks.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import type { RangeRequest } from "../../src/origin/origin.ts";
import type { ChunkKey, PutResult } from "../../src/store/chunk-store.ts";
import { clusterFixture } from "../support/cluster-fixture.ts";
import { settle } from "../support/fake-clock.ts";
import { FakePartialBlocks, FakeStore } from "../support/fake-store.ts";
import { drain, fillFixture } from "../support/fill-fixture.ts";
import { assertPattern } from "../support/pattern.ts";
import type { ScriptedRead } from "../support/scripted-origin.ts";

type Fixture = ReturnType<typeof fillFixture>;
type Version = ReturnType<Fixture["version"]>;

const rangesOf = (reads: readonly { readonly range: [number, number] }[]): [number, number][] =>
  reads.map(({ range }) => range);

/** The blocks of ranges, in order; a block that is in two of them is there twice. */
function blocksOf(ranges: readonly (readonly [offset: number, lengthBytes: number])[]): number[] {
  return ranges
    .flatMap(([offset, lengthBytes]) =>
      Array.from(
        { length: Math.ceil((offset + lengthBytes) / MiB) - Math.floor(offset / MiB) },
        (_, index) => Math.floor(offset / MiB) + index,
      ),
    )
    .sort((left, right) => left - right);
}

const once = (blocks: readonly number[]): number[] => [...new Set(blocks)];

function randomRanges(
  seed: number,
  count: number,
  lengthBytes: number,
  sizeBytes: number,
): [number, number][] {
  const random = new SeededRandom(seed);
  return Array.from({ length: count }, () => [
    Math.floor(random.next() * (sizeBytes - lengthBytes)),
    lengthBytes,
  ]);
}

/** Takes all bytes without a look at them. */
async function pass(reader: ObjectReader): Promise<void> {
  while (!reader.done) {
    if (reader.take() === null) await reader.ready();
    else reader.release();
  }
  reader.close();
}

test("ObjectReader: one byte of an object of 10 GiB costs one block of the origin", async () => {
  const { origin, memory, path, version } = fillFixture({ chunkSizeBytes: 128 * MiB });
  origin.auto = true;
  const object = version("k", 10 * GiB);
  await drain(new ObjectReader(path, object, 5 * GiB + 7, 5 * GiB + 8));
  await settle();
  assert.deepEqual(rangesOf(origin.reads), [[5 * GiB, MiB]]);
  assert.equal(memory.bytes, MiB);
});

test("ObjectReader: a client that asks for 10 GiB and leaves after a byte costs one block of the origin", async () => {
  const options = { chunkSizeBytes: 128 * MiB, readAheadMax: 8, maxBytes: 2 * GiB, disk: true };
  const { origin, memory, budget, disk, filler, path, version, readNumber } = fillFixture(options);
  const object = version("k", 10 * GiB);
  const reader = new ObjectReader(path, object, 0, object.sizeBytes);
  reader.take();
  const ready = reader.ready();
  await settle();
  readNumber(0).deliver(1);
  await ready;
  assert.equal(reader.take()?.length, 1);
  await settle();
  assert.equal(origin.reads.length, 3, "two chunks are fetched ahead");
  reader.close();
  await settle();
  assert.deepEqual(
    origin.reads.map(({ signal }) => signal.aborted),
    [false, true, true],
    "the block that is arriving arrives whole, and where none is, nothing does",
  );
  readNumber(0).deliver();
  await settle();
  assert.deepEqual(
    origin.reads.map(({ deliveredBytes, signal }) => [deliveredBytes, signal.aborted]),
    [
      [MiB, true],
      [0, true],
      [0, true],
    ],
  );
  assert.deepEqual([memory.bytes, budget.usedBytes, budget.reservedBytes], [MiB, MiB, 0]);
  assert.deepEqual([filler.flightsInProgress, filler.stats.cut], [0, 3]);
  assert.equal(disk?.partial?.puts.length, 1);
});

test("Flight: it goes on without readers where more than half of its chunk is here, or it was asked for before", async () => {
  const { origin, path, version, readNumber } = fillFixture();
  const object = version("k", 8 * MiB);
  const left = async (key: Version, number: number, deliveredBytes: number): Promise<ScriptedRead> => {
    const reader = new ObjectReader(path, key, 0, key.sizeBytes);
    reader.take();
    const ready = reader.ready();
    await settle();
    readNumber(number).deliver(deliveredBytes);
    await settle();
    reader.close();
    await ready;
    await settle();
    return readNumber(number);
  };
  assert.equal((await left(object, 0, 4 * MiB)).signal.aborted, true, "four of eight blocks are half");
  const other = version("other", 8 * MiB);
  const goesOn = await left(other, 1, 5 * MiB);
  assert.equal(goesOn.signal.aborted, false);
  goesOn.deliver().finish();
  const third = version("third", 8 * MiB);
  assert.equal((await left(third, 2, 0)).signal.aborted, true);
  assert.equal((await left(third, 3, 0)).signal.aborted, false, "it is asked for the second time");
  readNumber(3).deliver().finish();
  await settle();
  assert.equal(origin.reads.length, 4);
});

test("Flight: a reader that comes while it is cut gets the block that arrives, and another flight the rest", async () => {
  const { origin, path, version, readNumber, memory } = fillFixture();
  const object = version("k", 8 * MiB);
  const leader = new ObjectReader(path, object, 0, object.sizeBytes);
  leader.take();
  const ready = leader.ready();
  await settle();
  readNumber(0).deliver(2 * MiB + 5);
  await ready;
  leader.close();
  const joiner = drain(new ObjectReader(path, object, 2 * MiB, object.sizeBytes));
  await settle();
  assert.equal(origin.reads.length, 1, "the block that it wants is still arriving");
  readNumber(0).deliver();
  assert.deepEqual([readNumber(0).signal.aborted, readNumber(0).deliveredBytes], [true, 3 * MiB]);
  await settle();
  assert.deepEqual(rangesOf(origin.reads), [
    [0, 8 * MiB],
    [3 * MiB, 5 * MiB],
  ]);
  readNumber(1).deliver().finish();
  assertPattern(await joiner, 1, 2 * MiB);
  await settle();
  assert.equal(memory.peek(object.memoryKey(0))?.isWhole, true);
});

test("Flight: a reader for a byte after a cut does not wait until the cut flight has ended", async () => {
  const { origin, path, version, readNumber } = fillFixture();
  const object = version("k", 8 * MiB);
  const leader = new ObjectReader(path, object, 0, object.sizeBytes);
  leader.take();
  const ready = leader.ready();
  await settle();
  readNumber(0).deliver(10);
  await ready;
  leader.close();
  const reading = drain(new ObjectReader(path, object, 4 * MiB, 4 * MiB + 1));
  await settle();
  assert.deepEqual(rangesOf(origin.reads).slice(1), [[4 * MiB, MiB]]);
  readNumber(1).deliver().finish();
  assertPattern(await reading, 1, 4 * MiB);
  readNumber(0).deliver();
  await settle();
  assert.equal(readNumber(0).deliveredBytes, MiB);
});

test("Flight: one that is cut while it waits for memory takes none, and its blocks are free at once", async () => {
  const { budget, origin, path, version, filler } = fillFixture({ maxBytes: 16 * MiB });
  const taken = budget.tryReserve(16 * MiB);
  const object = version("k", 8 * MiB);
  const left = new ObjectReader(path, object, 0, object.sizeBytes);
  left.take();
  const ready = left.ready();
  await settle();
  left.close();
  await ready;
  const stays = drain(new ObjectReader(path, object, 0, 10));
  await settle();
  assert.equal(budget.waiting, 2);
  origin.auto = true;
  taken?.release();
  assertPattern(await stays, 1, 0);
  await settle();
  assert.deepEqual(rangesOf(origin.reads), [[0, MiB]]);
  assert.deepEqual([filler.flightsInProgress, budget.usedBytes, budget.reservedBytes], [0, MiB, 0]);
});

test("Flight: one that is cut before its first byte is in the way of no flight whose run passes it", async () => {
  const { budget, origin, path, version, filler } = fillFixture({ maxBytes: 16 * MiB });
  const taken = budget.tryReserve(16 * MiB);
  const object = version("k", 8 * MiB);
  const left = new ObjectReader(path, object, 4 * MiB, 4 * MiB + 1);
  left.take();
  const ready = left.ready();
  await settle();
  left.close();
  await ready;
  const stays = drain(new ObjectReader(path, object, 0, object.sizeBytes));
  await settle();
  origin.auto = true;
  taken?.release();
  assertPattern(await stays, 1, 0);
  await settle();
  // The first run is a short one, since memory was short.
  const reads = [
    [0, MiB],
    [MiB, 7 * MiB],
  ];
  assert.deepEqual(rangesOf(origin.reads), reads);
  assert.deepEqual([filler.flightsInProgress, budget.usedBytes, budget.reservedBytes], [0, 8 * MiB, 0]);
});

/** A disk that remembers which chunks and blocks it has, and no bytes. */
class CountingDisk extends FakeStore {
  readonly held = new Set<string>();

  override presence(key: ChunkKey): "held" | "absent" {
    return this.held.has(key.version.chunkPath(key.index)) ? "held" : "absent";
  }

  override async put(key: ChunkKey): Promise<PutResult> {
    this.puts.push(key.version.chunkPath(key.index));
    this.held.add(key.version.chunkPath(key.index));
    return "stored";
  }

  override async readBlock(): Promise<boolean> {
    this.blockReads += 1;
    return true;
  }
}

class CountingBlocks extends FakePartialBlocks {
  override async readBlock(key: ChunkKey, blockIndex: number): Promise<boolean> {
    this.blockReads += 1;
    return this.holds(key, blockIndex);
  }
}

test("ObjectReader: 40 random ranges of 12 GiB cost their blocks, again nothing, and 2 GiB from the start then only the gaps", async () => {
  const fixture = fillFixture({ chunkSizeBytes: 128 * MiB, maxBytes: 512 * MiB, readAheadMax: 1 });
  const disk = new CountingDisk();
  disk.partial = new CountingBlocks();
  const { memory, budget, origin: scripted, version } = fixture;
  const asked: [number, number][] = [];
  const origin = {
    async read({ offset, lengthBytes }: RangeRequest, sink: ByteSink): Promise<void> {
      asked.push([offset, lengthBytes]);
      for (let owedBytes = lengthBytes; owedBytes > 0; ) {
        const bytes = Math.min(owedBytes, sink.space().length);
        sink.advance(bytes);
        owedBytes -= bytes;
      }
    },
  };
  const origins = new Map([[scripted.id, origin]]);
  const filler = new Filler({ origins, memory, disk, budget, queueTimeoutMs: 5000 });
  const path = { ...fixture.path, disk, flights: filler };
  const object = version("k", 12 * GiB);
  const ranges = randomRanges(7, 40, 64 * KiB, object.sizeBytes);
  const readAll = async (): Promise<void> => {
    for (const [start, lengthBytes] of ranges)
      await pass(new ObjectReader(path, object, start, start + lengthBytes));
    await settle();
  };
  await readAll();
  const blocks = once(blocksOf(ranges));
  assert.deepEqual(blocksOf(asked), blocks);
  const fetchedBytes = asked.reduce((sum, [, lengthBytes]) => sum + lengthBytes, 0);
  assert.ok(fetchedBytes <= 40 * MiB * 1.1, `${fetchedBytes} bytes`);
  await readAll();
  memory.clear();
  await readAll();
  assert.equal(blocksOf(asked).length, blocks.length, "again nothing, from memory or from disk");
  await pass(new ObjectReader(path, object, 0, 2 * GiB));
  await settle();
  const later = blocks.filter((block) => block >= 2 * 1024);
  assert.deepEqual(blocksOf(asked), [...Array.from({ length: 2 * 1024 }, (_, index) => index), ...later]);
  assert.equal(disk.puts.length, 16, "each chunk became whole, and was stored once");
  const laterChunks = new Set(later.map((block) => Math.floor(block / 128)));
  assert.deepEqual([disk.partial.blocks.size, filler.stats.commits], [laterChunks.size, 16]);
});

test("ObjectReader: a sequential client of short ranges fetches windows that double, up to whole chunks", async () => {
  const { origin, path, version } = fillFixture({ chunkSizeBytes: 64 * MiB, maxBytes: GiB });
  origin.auto = true;
  const object = version("k", 256 * MiB);
  for (let start = 0; start < object.sizeBytes; start += 64 * KiB)
    await pass(new ObjectReader(path, object, start, start + 64 * KiB));
  const inChunk0 = [
    [0, 1],
    [1, 2],
    [3, 4],
    [7, 8],
    [15, 16],
    [31, 32],
    [63, 1],
  ];
  const chunks = [64, 128, 192].map((start) => [start, 64]);
  assert.deepEqual(
    rangesOf(origin.reads).map((range) => range.map((bytes) => bytes / MiB)),
    [...inChunk0, ...chunks],
  );
});

test("ObjectReader: four sequential clients of one object, turn by turn, fetch as many windows as each would alone", async () => {
  const { origin, path, version } = fillFixture({ chunkSizeBytes: 64 * MiB, maxBytes: GiB });
  origin.auto = true;
  const object = version("k", 256 * MiB);
  const starts = [0, 64, 128, 192].map((start) => start * MiB);
  for (let read = 0; read < 64 * MiB; read += 512 * KiB) {
    for (const start of starts)
      await pass(new ObjectReader(path, object, start + read, start + read + 512 * KiB));
  }
  const windows = [0, 1, 3, 7, 15, 31, 63];
  const ranges = rangesOf(origin.reads).map(([start]) => start / MiB);
  assert.deepEqual(
    ranges,
    windows.flatMap((block) => [0, 64, 128, 192].map((start) => start + block)),
  );
});

test("ObjectReader: a client that reads short ranges backwards or in steps fetches no extra byte", async () => {
  const { origin, path, version } = fillFixture({ chunkSizeBytes: 64 * MiB });
  origin.auto = true;
  const object = version("k", 256 * MiB);
  const starts = [40, 39, 38, 10, 12, 14, 16, 100, 80, 60].map((block) => block * MiB);
  for (const start of starts) await pass(new ObjectReader(path, object, start, start + 64 * KiB));
  assert.deepEqual(
    rangesOf(origin.reads),
    starts.map((start) => [start, MiB]),
  );
});

test("Relay: 100 clients with random ranges of one object on three replicas fetch each block once", async () => {
  const { origin, replicas, version, network } = clusterFixture({ disk: true });
  const object = version("k", 64 * MiB);
  const ranges = randomRanges(3, 100, 300 * KiB, object.sizeBytes);
  const reads = ranges.map(([start, lengthBytes], client) =>
    drain(
      new ObjectReader(
        (replicas[client % 3] as (typeof replicas)[number]).path,
        object,
        start,
        start + lengthBytes,
      ),
    ),
  );
  await settle();
  origin.auto = true;
  for (const read of origin.reads) read.deliver().finish();
  for (const [client, bytes] of (await Promise.all(reads)).entries())
    assertPattern(bytes, 1, ranges[client]?.[0] ?? 0);
  await settle();
  assert.deepEqual(blocksOf(rangesOf(origin.reads)), once(blocksOf(ranges)));
  for (const { relay, filler } of replicas)
    assert.deepEqual([relay.flightsInProgress, filler.flightsInProgress], [0, 0]);
  // Each replica asks for a block once, too.
  for (const { id } of replicas) {
    const asked = network.streams
      .filter(({ from }) => from === id)
      .map(({ request: { key, offset, lengthBytes } }): [number, number] => [
        key.index * 8 * MiB + offset,
        lengthBytes,
      ]);
    assert.deepEqual(blocksOf(asked), once(blocksOf(asked)));
  }
});

class FakeCachestore implements Cachestore {
  readonly puts: string[] = [];
  presence(key: ChunkKey): "held" | "absent" {
    return this.puts.includes(key.version.chunkPath(key.index)) ? "held" : "absent";
  }
  async read(): Promise<"miss"> {
    return "miss";
  }
  async put(key: ChunkKey): Promise<PutResult> {
    this.puts.push(key.version.chunkPath(key.index));
    return "stored";
  }
}

/** A chunk of 8 MiB, block by block in this order; all flights are in progress before the first one ends. */
async function inBlocks(fixture: Fixture, object: Version, order: readonly number[]): Promise<void> {
  const { origin, path } = fixture;
  const before = origin.reads.length;
  const reads = order.map((block) => drain(new ObjectReader(path, object, block * MiB, block * MiB + 10)));
  await settle();
  for (const read of origin.reads.slice(before)) read.deliver().finish();
  await Promise.all(reads);
  await settle();
}

test("Filler: a chunk that becomes whole by many runs is committed once, to disk and cachestore", async () => {
  const cachestore = new FakeCachestore();
  const fixture = fillFixture({ disk: true, cachestore });
  const { disk, memory, version, filler, origin } = fixture;
  const object = version("k", 8 * MiB);
  await inBlocks(fixture, object, [5, 0, 7, 2, 1, 6, 4, 3]);
  assert.equal(origin.reads.length, 8);
  const chunkPath = object.chunkPath(0);
  assert.deepEqual([disk?.puts, cachestore.puts], [[chunkPath], [chunkPath]]);
  assertPattern(disk?.chunks.get(chunkPath) as Buffer, 1, 0);
  assert.deepEqual([disk?.partial?.blocks.size, filler.stats.commits], [0, 1]);
  assert.deepEqual([memory.stats.chunks, memory.bytes], [1, 8 * MiB]);
});

test("Filler: blocks that memory has evicted come back from disk when the last one arrives, and the chunk is committed once", async () => {
  const cachestore = new FakeCachestore();
  const made = fillFixture({ disk: true, cachestore });
  // Some blocks begin where the flight of another one has ended, and would be read as by one client that goes on.
  const fixture = { ...made, path: { ...made.path, windows: undefined } };
  const { disk, memory, budget, version, origin } = fixture;
  const object = version("k", 8 * MiB);
  for (const block of [3, 1, 6]) {
    await inBlocks(fixture, object, [block]);
    memory.clear();
  }
  await inBlocks(fixture, object, [0, 2, 4, 5, 7]);
  const chunkPath = object.chunkPath(0);
  assert.deepEqual([disk?.puts, cachestore.puts], [[chunkPath], [chunkPath]]);
  assertPattern(disk?.chunks.get(chunkPath) as Buffer, 1, 0);
  assert.equal(origin.reads.length, 8);
  assert.deepEqual([memory.bytes, budget.usedBytes], [8 * MiB, 8 * MiB]);
});

test("Filler: where memory has no room for the blocks on disk, they are served from there", async () => {
  const fixture = fillFixture({ disk: true, maxBytes: 6 * MiB });
  const { disk, origin, version, path } = fixture;
  const object = version("k", 8 * MiB);
  for (const blocks of [
    [1, 0],
    [3, 2],
    [5, 4],
    [7, 6],
  ])
    await inBlocks(fixture, object, blocks);
  assert.equal(origin.reads.length, 8);
  assert.deepEqual(disk?.puts, []);
  assertPattern(await drain(new ObjectReader(path, object, 0, object.sizeBytes)), 1, 0);
  assert.equal(origin.reads.length, 8);
});

test("Filler: blocks that reach the disk after their chunk was committed whole are deleted again", async () => {
  const fixture = fillFixture({ disk: true });
  const { disk, version, origin } = fixture;
  const object = version("k", 2 * MiB);
  const gate = Promise.withResolvers<void>();
  assert.ok(disk?.partial);
  disk.partial.putGate = gate.promise;
  await inBlocks(fixture, object, [0, 1]);
  assert.deepEqual(disk.puts, [object.chunkPath(0)]);
  gate.resolve();
  await settle();
  assert.equal(disk.partial.puts.length, 1);
  assert.equal(disk.partial.blocks.size, 0);
  assert.equal(origin.reads.length, 2);
});

test("Filler: a disk that keeps whole chunks only gets them when their last block arrives", async () => {
  const fixture = fillFixture({ disk: true });
  const { disk, version } = fixture;
  assert.ok(disk);
  disk.partial = undefined;
  const object = version("k", 8 * MiB);
  await inBlocks(fixture, object, [1, 3, 5, 7]);
  await inBlocks(fixture, object, [0, 2, 4, 6]);
  assert.deepEqual(disk.puts, [object.chunkPath(0)]);
});

test("Filler: blocks on disk that cannot be read are fetched again, and the chunk is committed", async () => {
  const fixture = fillFixture({ disk: true });
  const { disk, memory, version, origin, path } = fixture;
  const object = version("k", 4 * MiB);
  await inBlocks(fixture, object, [0, 1]);
  memory.clear();
  assert.ok(disk?.partial);
  disk.partial.isBroken = true;
  origin.auto = true;
  assertPattern(await drain(new ObjectReader(path, object, 0, object.sizeBytes)), 1, 0);
  await settle();
  assert.deepEqual(disk.puts, [object.chunkPath(0)]);
});

test("Filler: blocks of a peer that nothing has verified are never stored, alone or in a whole chunk", async () => {
  const { origin, ranked, version, replicas } = clusterFixture({ replicas: 2, disk: true });
  origin.auto = true;
  const object = version("k", 8 * MiB);
  const [coordinator, assembler] = ranked(object);
  assert.ok(coordinator?.disk?.partial && assembler?.disk?.partial);
  await drain(new ObjectReader(assembler.path, object, 0, 4 * MiB));
  await settle();
  assert.deepEqual([assembler.memory.bytes, assembler.disk.partial.puts], [4 * MiB, []]);
  // From now on this replica is the only one.
  assembler.view.live = assembler.view.live.filter(({ replicaId }) => replicaId === assembler.id);
  assertPattern(await drain(new ObjectReader(assembler.path, object, 0, object.sizeBytes)), 1, 0);
  await settle();
  assert.equal(assembler.memory.peek(object.memoryKey(0))?.isWhole, true);
  assert.deepEqual(assembler.disk.puts, []);
  assert.deepEqual(
    assembler.disk.partial.puts,
    [4, 5, 6, 7].map((block) => `${object.chunkPath(0)}#${block}`),
  );
  assert.equal(replicas.length, 2);
});

test("Filler: with chunking.fill whole, a short range fetches its chunk from its block to the end, and then the front, even if its client leaves", async () => {
  const { origin, disk, path, version, readNumber } = fillFixture({ disk: true, fillsWhole: true });
  const object = version("k", 20 * MiB);
  const reader = new ObjectReader(path, object, 13 * MiB + 5, 13 * MiB + 10);
  reader.take();
  const ready = reader.ready();
  await settle();
  assert.deepEqual(rangesOf(origin.reads), [
    [13 * MiB, 3 * MiB],
    [8 * MiB, 5 * MiB],
  ]);
  reader.close();
  await ready;
  readNumber(1).deliver().finish();
  readNumber(0).deliver().finish();
  await settle();
  assert.deepEqual(disk?.puts, [object.chunkPath(1)]);
});
