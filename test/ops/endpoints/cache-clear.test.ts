import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { MiB } from "../../../src/base/units.ts";
import type { ObjectPrefix } from "../../../src/chunk/object-prefix.ts";
import type { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { ObjectReader } from "../../../src/fill/object-reader.ts";
import { CacheClear } from "../../../src/ops/endpoints/cache-clear.ts";
import { MemoryTier } from "../../../src/store/memory-tier.ts";
import { chunkOf, keyOf } from "../../store/disk/disk-fixture.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { drain, fillFixture } from "../../support/fill-fixture.ts";
import { rejectsWith } from "../../support/rejects-with.ts";
import { until } from "../../support/until.ts";

/** No flight is in progress. */
const noFlights = { forget: async (): Promise<void> => {} };
const versions = ["a/1", "a/2", "b/1"].map((objectKey) => keyOf(objectKey, 3 * MiB, 0, MiB).version);
const never = new AbortController().signal;
const below: ObjectPrefix = { originId: "origin-a", bucket: "bucket", keyPrefix: "a/" };

/** A directory that tells of `known`. */
function directoryOf(known: readonly ObjectVersion[]) {
  const matching = (prefix?: ObjectPrefix) =>
    known.filter(({ objectKey }) => objectKey.startsWith(prefix?.keyPrefix ?? ""));
  return {
    versions: (prefix?: ObjectPrefix) => matching(prefix),
    clear: (prefix?: ObjectPrefix) => matching(prefix).length,
  };
}

function filledMemory() {
  const budget = new MemoryBudget({ maxBytes: 64 * MiB, clock: new FakeClock() });
  const memory = new MemoryTier({ budget });
  for (const version of versions) {
    for (let index = 0; index < version.chunkCount; index += 1) {
      const chunk = chunkOf(budget, { version, index });
      memory.put(version.memoryKey(index), chunk, false, version);
      chunk.release();
    }
  }
  return { budget, memory };
}

test("MemoryTier: a prefix is cleared by the objects' names, and its memory comes back", () => {
  const { budget, memory } = filledMemory();
  assert.deepEqual(memory.clear({ ...below, bucket: "other" }), { chunks: 0, bytes: 0 });
  assert.deepEqual(memory.clear(below), { chunks: 6, bytes: 6 * MiB });
  assert.deepEqual([memory.stats.chunks, budget.usedBytes], [3, 3 * MiB]);
  assert.deepEqual(memory.clear(), { chunks: 3, bytes: 3 * MiB });
  assert.deepEqual([memory.bytes, budget.usedBytes], [0, 0]);
});

test("CacheClear: the cachestore is touched only where it is asked for, and by what the directories tell of", async () => {
  const deleted: string[] = [];
  const cachestore = {
    tryDelete: async ({ version, index }: { version: ObjectVersion; index: number }) =>
      deleted.push(`${version.objectKey}#${index}`) > 0,
  };
  const { memory } = filledMemory();
  const directory = directoryOf(versions);
  const clear = new CacheClear({
    directories: [directory, directory, directoryOf([versions[0] as ObjectVersion])],
    parts: [],
    flights: noFlights,
    memory,
    disk: undefined,
    cachestore,
  });
  assert.deepEqual(await clear.clear({ ...below, keyPrefix: "b/" }, false, never), {
    objects: 1,
    memory: { chunks: 3, bytes: 3 * MiB },
    disk: null,
    cachestore: null,
  });
  assert.deepEqual(deleted, []);
  const { objects, cachestore: shared } = await clear.clear(below, true, never);
  assert.deepEqual([objects, shared], [2, { objects: 2, chunks: 6, failed: 0 }]);
  assert.deepEqual(deleted, ["a/1#0", "a/1#1", "a/1#2", "a/2#0", "a/2#1", "a/2#2"]);
});

test("CacheClear: what is known of parts is forgotten as well, for the same objects", async () => {
  const cleared: (ObjectPrefix | undefined)[] = [];
  const parts = { clear: (prefix?: ObjectPrefix) => cleared.push(prefix) };
  const clear = new CacheClear({
    directories: [],
    parts: [parts, parts],
    flights: noFlights,
    memory: filledMemory().memory,
    disk: undefined,
    cachestore: undefined,
  });
  await clear.clear(below, false, never);
  assert.deepEqual(cleared, [below, below]);
});

test("CacheClear: one runs at a time", async () => {
  const ready = Promise.withResolvers<void>();
  const clear = new CacheClear({
    directories: [],
    parts: [],
    flights: noFlights,
    memory: filledMemory().memory,
    disk: {
      directory: "/nowhere",
      ready: ready.promise,
      paths: () => new Set<string>().values(),
      discard: () => Promise.resolve(0),
      isSetAside: false,
    },
    cachestore: undefined,
  });
  const first = clear.clear(undefined, false, never);
  await rejectsWith("overloaded", clear.clear(undefined, false, never));
  ready.resolve();
  assert.deepEqual((await first).disk, { chunks: 0, bytes: 0 });
  assert.equal((await clear.clear(undefined, false, never)).memory.chunks, 0);
});

test("CacheClear: when whoever asked has gone it stops between two chunks, and the next one may run", async () => {
  const { memory } = filledMemory();
  const gone = new AbortController();
  let deleted = 0;
  const clear = new CacheClear({
    directories: [directoryOf(versions)],
    parts: [],
    flights: noFlights,
    memory,
    disk: undefined,
    cachestore: {
      tryDelete: async () => {
        deleted += 1;
        if (deleted === 2) gone.abort(new OrcaError("request_timeout", "client", "Cannot go on"));
        return true;
      },
    },
  });
  await rejectsWith("request_timeout", clear.clear(undefined, true, gone.signal));
  assert.equal(deleted, 2);
  assert.deepEqual((await clear.clear(undefined, true, never)).cachestore, {
    objects: 3,
    chunks: 9,
    failed: 0,
  });
});

test("CacheClear: it does not wait for a disk's scan when whoever asked has gone", async () => {
  const gone = new AbortController();
  const clear = new CacheClear({
    directories: [],
    parts: [],
    flights: noFlights,
    memory: filledMemory().memory,
    disk: {
      directory: "/nowhere",
      ready: new Promise(() => {}),
      paths: () => new Set<string>().values(),
      discard: () => Promise.resolve(0),
      isSetAside: false,
    },
    cachestore: undefined,
  });
  const cleared = clear.clear(undefined, false, gone.signal);
  gone.abort(new OrcaError("request_timeout", "client", "Cannot go on"));
  await rejectsWith("request_timeout", cleared);
});

/** A filler whose disk, a FakeStore, is cleared as the disk tier is. */
function clearedFixture() {
  const { filler, memory, disk, version, path, readNumber } = fillFixture({ disk: true });
  assert.ok(disk);
  const clear = new CacheClear({
    directories: [],
    parts: [],
    flights: filler,
    memory,
    disk: {
      directory: "/nowhere",
      ready: Promise.resolve(),
      paths: () => new Set(disk.chunks.keys()).values(),
      discard: async (chunkPath) => (disk.chunks.delete(chunkPath) ? MiB : 0),
      isSetAside: false,
    },
    cachestore: undefined,
  });
  const held = () => [memory.stats.chunks, disk.chunks.size, filler.flightsInProgress];
  return { clear, filler, disk, version: version("k", MiB), path, readNumber, held };
}

test("CacheClear: a commit that is running when the clear begins does not survive it", async () => {
  const { clear, disk, version, path, readNumber, held } = clearedFixture();
  const gate = Promise.withResolvers<void>();
  disk.commitGate = gate.promise;
  const reading = drain(new ObjectReader(path, version, 0, MiB));
  await until(() => readsOf(readNumber) === 1);
  readNumber(0).deliver().finish();
  await reading;
  await until(() => disk.puts.length === 1);
  const clearing = clear.clear(undefined, false, never);
  await turn();
  gate.resolve();
  const cleared = await clearing;
  assert.deepEqual(
    [cleared.disk, cleared.memory],
    [
      { chunks: 1, bytes: MiB },
      { chunks: 1, bytes: MiB },
    ],
  );
  assert.deepEqual(held(), [0, 0, 0]);
});

test("CacheClear: a chunk that is still arriving is served and not kept", async () => {
  const { clear, disk, version, path, readNumber, held } = clearedFixture();
  const reading = drain(new ObjectReader(path, version, 0, MiB));
  await until(() => readsOf(readNumber) === 1);
  readNumber(0).deliver(1000);
  await clear.clear(undefined, false, never);
  readNumber(0).deliver().finish();
  assert.equal((await reading).length, MiB);
  await until(() => held()[2] === 0);
  assert.deepEqual([held(), disk.puts], [[0, 0, 0], []]);
});

test("CacheClear: a chunk that moves from disk to memory during the clear does not survive it", async () => {
  const { clear, filler, disk, version, held } = clearedFixture();
  const key = { version, index: 0 };
  disk.chunks.set(version.chunkPath(0), Buffer.alloc(MiB));
  const reads = Promise.withResolvers<boolean>();
  disk.readBlock = () => reads.promise;
  const clearing = clear.clear(undefined, false, never);
  // After the first look at the flights, and before the disk is cleared.
  assert.ok(filler.promote(key, { offset: 0, end: key.version.sizeBytes }));
  assert.deepEqual((await clearing).disk, { chunks: 1, bytes: MiB });
  reads.resolve(true);
  await until(() => held()[2] === 0);
  assert.deepEqual([held(), disk.puts], [[0, 0, 0], []]);
});

test("CacheClear: chunks of other objects that are arriving are kept", async () => {
  const { clear, filler, disk, version, held } = clearedFixture();
  disk.chunks.set(version.chunkPath(0), Buffer.alloc(MiB));
  filler.promote({ version, index: 0 }, { offset: 0, end: version.sizeBytes });
  await clear
    .clear({ originId: version.originId, bucket: version.bucket, keyPrefix: "other" }, false, never)
    .catch(() => undefined);
  await until(() => held()[2] === 0);
  assert.equal(held()[0], 1);
});

function readsOf(readNumber: (index: number) => unknown): number {
  try {
    readNumber(0);
    return 1;
  } catch {
    return 0;
  }
}

test("CacheClear: a prefix that is a whole key does not take other keys with it before it says so", async () => {
  const [key, backup] = ["a", "a.bak"].map((objectKey) => keyOf(objectKey, MiB, 0, MiB).version);
  assert.ok(key && backup);
  const { memory } = filledMemory();
  const parts = { parts: [], flights: noFlights, memory, disk: undefined, cachestore: undefined };
  const clear = new CacheClear({ ...parts, directories: [directoryOf([key, backup])] });
  const prefix = { ...below, keyPrefix: "a" };
  const error = await rejectsWith("invalid_argument", clear.clear(prefix, false, never));
  assert.match(error.message, /another key goes on with ".*"\. Say --match key/);
  assert.equal(memory.stats.chunks, 9);
  assert.equal((await clear.clear({ ...prefix, match: "key" }, false, never)).memory.chunks, 0);
  assert.equal((await clear.clear({ ...prefix, match: "prefix" }, false, never)).memory.chunks, 6);
  // Nobody asks about a directory, and not where only one of the two is there.
  assert.equal((await clear.clear({ ...below, keyPrefix: "b/" }, false, never)).memory.chunks, 3);
  await new CacheClear({ ...parts, directories: [directoryOf([key])] }).clear(prefix, false, never);
});
