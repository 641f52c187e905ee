import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { MiB } from "../../../src/base/units.ts";
import type { ObjectPrefix } from "../../../src/chunk/object-prefix.ts";
import type { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { CacheClear } from "../../../src/ops/endpoints/cache-clear.ts";
import { MemoryTier } from "../../../src/store/memory-tier.ts";
import { chunkOf, keyOf } from "../../store/disk/disk-fixture.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { rejectsWith } from "../../support/rejects-with.ts";

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
    delete: async ({ version, index }: { version: ObjectVersion; index: number }) =>
      void deleted.push(`${version.objectKey}#${index}`),
  };
  const { memory } = filledMemory();
  const directory = directoryOf(versions);
  const clear = new CacheClear({
    directories: [directory, directory, directoryOf([versions[0] as ObjectVersion])],
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
  assert.deepEqual([objects, shared], [2, { chunks: 6 }]);
  assert.deepEqual(deleted, ["a/1#0", "a/1#1", "a/1#2", "a/2#0", "a/2#1", "a/2#2"]);
});

test("CacheClear: one runs at a time", async () => {
  const ready = Promise.withResolvers<void>();
  const clear = new CacheClear({
    directories: [],
    memory: filledMemory().memory,
    disk: {
      directory: "/nowhere",
      ready: ready.promise,
      paths: () => new Set<string>().values(),
      discard: () => Promise.resolve(0),
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
    memory,
    disk: undefined,
    cachestore: {
      delete: async () => {
        deleted += 1;
        if (deleted === 2) gone.abort(new OrcaError("request_timeout", "client", "Cannot go on"));
      },
    },
  });
  await rejectsWith("request_timeout", clear.clear(undefined, true, gone.signal));
  assert.equal(deleted, 2);
  assert.deepEqual((await clear.clear(undefined, true, never)).cachestore, { chunks: 9 });
});

test("CacheClear: it does not wait for a disk's scan when whoever asked has gone", async () => {
  const gone = new AbortController();
  const clear = new CacheClear({
    directories: [],
    memory: filledMemory().memory,
    disk: {
      directory: "/nowhere",
      ready: new Promise(() => {}),
      paths: () => new Set<string>().values(),
      discard: () => Promise.resolve(0),
    },
    cachestore: undefined,
  });
  const cleared = clear.clear(undefined, false, gone.signal);
  gone.abort(new OrcaError("request_timeout", "client", "Cannot go on"));
  await rejectsWith("request_timeout", cleared);
});
