import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import { ObjectReader } from "../../../src/fill/object-reader.ts";
import { ChunkWarmer } from "../../../src/fill/warming/chunk-warmer.ts";
import type { DiskTier } from "../../../src/store/disk/disk-tier.ts";
import { settle } from "../../support/fake-clock.ts";
import { drain, fillFixture } from "../../support/fill-fixture.ts";

const never = new AbortController().signal;

function warmerOf(options: Parameters<typeof fillFixture>[0] = {}) {
  const fixture = fillFixture(options);
  const { filler, memory, budget, clock } = fixture;
  const disk = undefined;
  const parts = { filler, memory, budget, clock, disk, cachestore: undefined, puller: undefined };
  return { ...fixture, parts, warmer: new ChunkWarmer({ ...parts, coordinates: () => true }) };
}

test("ChunkWarmer: without a disk memory holds the chunk, and a look fills nothing", async () => {
  const { warmer, origin, version, readNumber } = warmerOf();
  const key = { version: version("k", 2 * MiB), index: 0 };
  assert.equal(await warmer.warm(key, false, never), "missing");
  assert.equal(origin.reads.length, 0);
  const warming = warmer.warm(key, true, never);
  await settle();
  readNumber(0).deliver().finish();
  assert.equal(await warming, "filled");
  assert.equal(await warmer.warm(key, true, never), "held");
  assert.equal(origin.reads.length, 1);
  assert.deepEqual(warmer.stats, { held: 1, filled: 1, missing: 1, busy: 0, unpinned: 0 });
});

test("ChunkWarmer: a call beyond the eighth is busy at once, and one that is cancelled cuts its flight", async () => {
  const { warmer, filler, version } = warmerOf();
  const stop = new AbortController();
  const key = (name: string) => ({ version: version(name, 8 * MiB), index: 0 });
  const running = ["a", "b", "c", "d", "e", "f", "g", "h"].map((name) =>
    warmer.warm(key(name), true, stop.signal),
  );
  await settle();
  assert.equal(await warmer.warm(key("i"), true, never), "busy");
  assert.equal(filler.flightsInProgress, 8);
  stop.abort(new Error("stopped"));
  for (const call of running) await assert.rejects(call, /stopped/);
  await settle();
  assert.equal(filler.flightsInProgress, 0);
});

test("ChunkWarmer: a file whose footer cannot be read counts as a client finds it, and is not deleted for that", async () => {
  const { parts, version } = warmerOf();
  const asked: string[] = [];
  let isReadable = true;
  const disk = {
    presence: () => "held",
    ready: Promise.resolve(),
    chunkKeyOf: async () => {
      asked.push("footer");
      return undefined;
    },
    readBlock: async () => {
      asked.push("block");
      return isReadable;
    },
  } as unknown as DiskTier;
  const warmer = new ChunkWarmer({ ...parts, disk, coordinates: () => true });
  const key = { version: version("k", MiB), index: 0 };
  assert.equal(await warmer.warm(key, false, never), "held");
  isReadable = false;
  assert.equal(await warmer.warm(key, false, never), "missing");
  assert.deepEqual(asked, ["footer", "block", "footer", "block"]);
});

test("ChunkWarmer: waits for the commit that a client's flight has begun", async () => {
  const { parts, disk: store, path, version, readNumber } = warmerOf({ disk: true });
  assert.ok(store);
  const commit = Promise.withResolvers<void>();
  store.commitGate = commit.promise;
  const disk = Object.assign(store, { ready: Promise.resolve(), chunkKeyOf: async () => undefined });
  const warmer = new ChunkWarmer({ ...parts, disk: disk as unknown as DiskTier, coordinates: () => true });
  const key = { version: version("k", 2 * MiB), index: 0 };
  const reading = drain(new ObjectReader(path, key.version, 0, 2 * MiB));
  await settle();
  readNumber(0).deliver().finish();
  await reading;
  const warmings = [warmer.warm(key, true, never), warmer.warm(key, true, never)];
  await settle();
  commit.resolve();
  assert.deepEqual(await Promise.all(warmings), ["filled", "filled"]);
  assert.equal(store.puts.length, 1);
});

test("ChunkWarmer: a chunk that is larger than half of memory is an error that says so", async () => {
  const { warmer, version } = warmerOf({ maxBytes: 8 * MiB });
  const key = { version: version("k", 8 * MiB), index: 0 };
  await assert.rejects(
    warmer.warm(key, true, never),
    /it has 8388608 bytes, more than half of memory\.max_bytes/,
  );
});

test("ChunkWarmer: a keeper that is not the coordinator pulls, and asks the puller once", async () => {
  const { parts, clock, version, origin } = warmerOf();
  let isHeld = false;
  let isPending = false;
  let queued = 0;
  const key = { version: version("k", MiB), index: 0 };
  const disk = {
    presence: () => (isHeld ? "held" : "absent"),
    ready: Promise.resolve(),
    chunkKeyOf: async () => key,
  } as unknown as DiskTier;
  const puller = {
    isPending: () => isPending,
    enqueue: () => {
      queued += 1;
      isPending = true;
      return true;
    },
  };
  const warmer = new ChunkWarmer({ ...parts, disk, puller, coordinates: () => false });
  const warming = warmer.warm(key, true, never);
  await settle();
  isHeld = true;
  isPending = false;
  await clock.advance(20);
  assert.equal(await warming, "filled");
  assert.deepEqual([queued, origin.reads.length], [1, 0]);
});
