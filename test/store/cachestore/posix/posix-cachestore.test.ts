import assert from "node:assert/strict";
import fs, {
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { MiB } from "../../../../src/base/units.ts";
import { Breaker } from "../../../../src/store/cachestore/breaker.ts";
import { Catalog } from "../../../../src/store/cachestore/catalog.ts";
import { GuardedCachestore } from "../../../../src/store/cachestore/guarded-cachestore.ts";
import { chunkFileSize, storedKeyOf } from "../../../../src/store/chunk-file/chunk-file.ts";
import type { ReadFileSystem } from "../../../../src/store/chunk-file/disk-file.ts";
import { rejectsWith } from "../../../support/rejects-with.ts";
import { faultyThread } from "../../disk/disk-faulty-thread.ts";
import { chunkOf, keyOf } from "../../disk/disk-fixture.ts";
import { criterion, readAll, readRange } from "./posix-fixture.ts";

criterion("a chunk that one replica stored is read by another, also after a restart", async (fixture) => {
  const key = keyOf("k", 20 * MiB + 17, 2);
  const [one, two] = [await fixture.open(), await fixture.open()];
  assert.equal(await readAll(two, key), false);
  assert.equal(await fixture.put(one, key), "stored");
  assert.equal(await readAll(two, key), true);
  assert.deepEqual([two.stats.blocksRead, two.stats.bytesRead, two.openFiles], [5, 4 * MiB + 17, 1]);
  await one.close(60_000);
  const three = await fixture.open();
  assert.equal(await readAll(three, key), true);
  assert.equal(await fixture.put(three, key), "present");
});

criterion(
  "a chunk is at its frozen path in the format of the disk, and there is no other file",
  async (fixture) => {
    const key = keyOf("k", 3 * MiB);
    await fixture.put(await fixture.open(), key);
    const { hash } = key.version;
    const path = `${fixture.root}/orca-posixfs.v1/${hash.slice(0, 2)}/origin-a.${hash}.0`;
    assert.deepEqual(fixture.files(), [path]);
    assert.equal(statSync(path).size, chunkFileSize(storedKeyOf(key)));
  },
);

criterion("any range of a chunk is read", async (fixture) => {
  const key = keyOf("k", 3 * MiB + 1000);
  const store = await fixture.open();
  await fixture.put(store, key);
  for (const [offset, end] of [
    [0, 1],
    [5, MiB],
    [MiB - 1, MiB + 1],
    [17, 3 * MiB + 1000],
    [MiB, 2 * MiB],
    [3 * MiB, 3 * MiB + 1000],
    [3 * MiB + 999, 3 * MiB + 1000],
  ] as const) {
    assert.ok(await readRange(store, key, offset, end - offset), `${offset} to ${end}`);
  }
});

criterion("an aborted read rejects with the reason, and no longer uses the sink", async (fixture) => {
  const key = keyOf("k", 3 * MiB);
  const store = await fixture.open();
  await fixture.put(store, key);
  const before = new AbortController();
  before.abort(new Error("the reader left"));
  await assert.rejects(readRange(store, key, 0, 3 * MiB, before.signal), /the reader left/);
  const during = new AbortController();
  const reading = readRange(store, key, 0, 3 * MiB, during.signal);
  during.abort(new Error("the reader left"));
  await assert.rejects(reading, /the reader left/);
  assert.deepEqual(store.stats.errorsByCode, {});
});

function flipByte(path: string, offset: number): void {
  const bytes = readFileSync(path);
  const at = offset < 0 ? bytes.length + offset : offset;
  bytes[at] = (bytes[at] as number) ^ 0x10;
  writeFileSync(path, bytes);
}

for (const [title, change] of [
  ["a flipped bit in the first block", (path: string) => flipByte(path, 5)],
  ["a flipped bit in the last block", (path: string) => flipByte(path, 2 * MiB + MiB / 2 - 1)],
  ["a flipped bit in a block checksum", (path: string) => flipByte(path, 2 * MiB + MiB / 2)],
  ["a flipped bit in the identity", (path: string) => flipByte(path, -60)],
  ["a truncated file", (path: string) => truncateSync(path, MiB + 3)],
  ["an empty file", (path: string) => truncateSync(path, 0)],
  ["a file with a byte too much", (path: string) => writeFileSync(path, Buffer.alloc(1), { flag: "a" })],
] as const) {
  criterion(`${title} is found by a read, deleted, counted and logged once`, async (fixture) => {
    const key = keyOf("k", 2 * MiB + MiB / 2);
    await fixture.put(await fixture.open(), key);
    change(fixture.pathOf(key));
    const store = await fixture.open();
    assert.equal(await readAll(store, key), false);
    assert.equal(await readAll(store, key), false);
    assert.deepEqual([store.stats.damaged, store.stats.errorsByCode], [1, {}]);
    assert.equal(fixture.logger.count("warn"), 1);
    assert.deepEqual(fixture.files(), []);
    assert.equal(await fixture.put(store, key), "stored");
    assert.equal(await readAll(store, key), true);
  });
}

criterion("a whole chunk under another chunk's name is damaged", async (fixture) => {
  const [one, two] = [keyOf("k1", MiB), keyOf("k2", MiB)];
  const store = await fixture.open();
  await fixture.put(store, one);
  mkdirSync(dirname(fixture.pathOf(two)), { recursive: true });
  renameSync(fixture.pathOf(one), fixture.pathOf(two));
  assert.equal(await readAll(store, two), false);
  assert.deepEqual([store.stats.damaged, fixture.files()], [1, []]);
});

criterion("damage that many readers find at once is counted once", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const store = await fixture.open();
  await fixture.put(store, key);
  flipByte(fixture.pathOf(key), 7);
  const results = await Promise.all(Array.from({ length: 8 }, () => readAll(store, key)));
  assert.ok(results.every((result) => !result));
  assert.deepEqual([store.stats.damaged, fixture.files()], [1, []]);
});

criterion("a file of an object of another size is a miss, open or being opened", async (fixture) => {
  // Chunk 0 has the same path and length in both objects, and the same ETag.
  const small = keyOf("k", 20 * MiB);
  const large = keyOf("k", 28 * MiB);
  for (const isOpen of [true, false]) {
    const store = await fixture.open();
    assert.equal(await fixture.put(store, small), "stored");
    const reading = readAll(store, small);
    if (isOpen) await reading;
    assert.equal(await readAll(store, large), false);
    await reading;
    assert.equal(await fixture.put(store, large), "stored");
    assert.equal(await readAll(store, large), true);
    await store.delete(large);
  }
});

criterion("a file of the wrong size is replaced", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const store = await fixture.open();
  mkdirSync(dirname(fixture.pathOf(key)), { recursive: true });
  writeFileSync(fixture.pathOf(key), "stray");
  assert.equal(await fixture.put(store, key), "stored");
  assert.equal(await readAll(store, key), true);
  assert.deepEqual(fixture.files(), [fixture.pathOf(key)]);
});

criterion(
  "of two replicas that commit a chunk at once, one stores it and the other finds it present",
  async (fixture) => {
    const [one, two] = [await fixture.open(), await fixture.open()];
    for (let round = 0; round < 8; round += 1) {
      const key = keyOf(`k${round}`, 2 * MiB);
      const results = await Promise.all([fixture.put(one, key), fixture.put(two, key)]);
      assert.deepEqual(results.sort(), ["present", "stored"]);
      assert.deepEqual([await readAll(one, key), await readAll(two, key)], [true, true]);
    }
    assert.equal(fixture.files().length, 8);
  },
);

criterion("a chunk is deleted for all replicas, and a second deletion does nothing", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const [one, two] = [await fixture.open(), await fixture.open()];
  await fixture.put(one, key);
  await two.delete(key);
  await two.delete(key);
  assert.equal(await readAll(one, key), false);
  assert.deepEqual(fixture.files(), []);
});

criterion("an open file is still read after another replica has deleted it", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const [one, two] = [await fixture.open(), await fixture.open()];
  await fixture.put(one, key);
  assert.ok(await readAll(one, key));
  await two.delete(key);
  assert.ok(await readAll(one, key));
});

function failing(call: keyof ReadFileSystem, code: string, times = Number.POSITIVE_INFINITY): ReadFileSystem {
  let failures = 0;
  const fail = (...parameters: unknown[]): void => {
    failures += 1;
    if (failures > times) return (fs[call] as (...parameters: unknown[]) => void)(...parameters);
    const callback = parameters.at(-1) as (error: Error) => void;
    setImmediate(() => callback(Object.assign(new Error(`injected ${code}`), { code })));
  };
  return { open: fs.open, fstat: fs.fstat, read: fs.read, close: fs.close, unlink: fs.unlink, [call]: fail };
}

for (const [call, systemCode, code] of [
  ["open", "EIO", "store_unavailable"],
  ["open", "ENOTCONN", "store_unavailable"],
  ["open", "EACCES", "store_denied"],
  ["open", "EMFILE", "overloaded"],
  ["fstat", "EIO", "store_unavailable"],
  ["read", "EIO", "store_unavailable"],
] as const) {
  criterion(`${systemCode} at ${call} is ${code}, counted, and deletes nothing`, async (fixture) => {
    const key = keyOf("k", 2 * MiB);
    const store = await fixture.open({ fileSystem: failing(call, systemCode, 1) });
    await fixture.put(store, key);
    const error = await rejectsWith(code, readAll(store, key));
    assert.match(
      error.message,
      new RegExp(`^Cannot read chunk "origin-a/[0-9a-f]{64}/0" .*: ${systemCode}$`),
    );
    assert.deepEqual([store.stats.errorsByCode, store.stats.damaged], [{ [systemCode]: 1 }, 0]);
    assert.deepEqual(fixture.files(), [fixture.pathOf(key)]);
    assert.equal(await readAll(store, key), true);
  });
}

criterion("a stale file is opened again, and is a miss if it is gone", async (fixture) => {
  const key = keyOf("k", MiB);
  const fileSystem = failing("read", "ESTALE", 0);
  const real = fileSystem.read;
  let stale = false;
  const store = await fixture.open({
    fileSystem: {
      ...fileSystem,
      read: (...parameters) => {
        if (!stale) return real(...parameters);
        stale = false;
        parameters[5](Object.assign(new Error("injected ESTALE"), { code: "ESTALE" }), 0);
      },
    },
  });
  await fixture.put(store, key);
  assert.ok(await readAll(store, key));
  stale = true;
  assert.ok(await readAll(store, key));
  rmSync(fixture.pathOf(key));
  stale = true;
  assert.equal(await readAll(store, key), false);
  assert.deepEqual([store.stats.stale, store.stats.damaged, store.stats.errorsByCode], [2, 0, {}]);
});

for (const [call, systemCode, code] of [
  ["openSync", "EROFS", "store_denied"],
  ["openSync", "ENOENT", "store_unavailable"],
  ["writevSync", "EIO", "store_unavailable"],
  ["writevSync", "ENOSPC", "overloaded"],
  ["writevSync", "EDQUOT", "overloaded"],
  ["fsyncSync", "EIO", "store_unavailable"],
  ["linkSync", "EIO", "store_unavailable"],
] as const) {
  criterion(
    `${systemCode} at ${call} is ${code}, leaves no file, and the next put works`,
    async (fixture) => {
      await fixture.open();
      const writeThreadModule = faultyThread({ call, code: systemCode, times: 1 });
      const store = fixture.unchecked({ writeThreadModule });
      const key = keyOf("k", MiB);
      await rejectsWith(code, fixture.put(store, key));
      assert.deepEqual([store.stats.errorsByCode, fixture.files()], [{ [systemCode]: 1 }, []]);
      assert.equal(await fixture.put(store, key), "stored");
      assert.equal(await readAll(store, key), true);
    },
  );
}

criterion("a writing thread that crashes is replaced, and its staging file is deleted", async (fixture) => {
  await fixture.open();
  const writeThreadModule = faultyThread({ call: "writevSync", code: "CRASH", after: 2, times: 1 });
  const store = fixture.unchecked({ writeThreadModule });
  const [one, two, three] = [keyOf("one", MiB), keyOf("two", MiB), keyOf("three", MiB)] as const;
  assert.equal(await fixture.put(store, one), "stored");
  await rejectsWith("store_unavailable", fixture.put(store, two));
  assert.equal(await fixture.put(store, three), "stored");
  assert.deepEqual([store.stats.threadCrashes, fixture.files().length], [1, 2]);
});

criterion("queued puts are dropped newest first, as overloaded", async (fixture) => {
  const store = await fixture.open();
  const puts = ["a", "b", "c", "d"].map((objectKey) => fixture.put(store, keyOf(objectKey, 2 * MiB)));
  assert.equal(store.pendingBytes, 8 * MiB);
  store.dropQueued(3 * MiB);
  const results = await Promise.allSettled(puts);
  assert.deepEqual(
    results.map(({ status }) => status),
    ["fulfilled", "fulfilled", "rejected", "rejected"],
  );
  assert.deepEqual([store.stats.commitsDropped, store.stats.errorsByCode, store.pendingBytes], [2, {}, 0]);
});

criterion("no more files stay open than allowed", async (fixture) => {
  const store = await fixture.open({ openFilesMax: 2 });
  const keys = ["a", "b", "c", "d"].map((objectKey) => keyOf(objectKey, MiB));
  for (const key of keys) await fixture.put(store, key);
  for (let round = 0; round < 3; round += 1) {
    assert.ok((await Promise.all(keys.map((key) => readAll(store, key)))).every(Boolean));
    assert.equal(store.openFiles, 2);
  }
});

criterion("close waits for puts, and later puts fail", async (fixture) => {
  const store = await fixture.open();
  const keys = ["a", "b", "c"].map((objectKey) => keyOf(objectKey, 2 * MiB));
  const puts = keys.map((key) => fixture.put(store, key));
  await store.close(60_000);
  assert.deepEqual(await Promise.all(puts), ["stored", "stored", "stored"]);
  await rejectsWith("overloaded", fixture.put(store, keyOf("d", MiB)));
  await rejectsWith("overloaded", readAll(store, keys[0] as (typeof keys)[0]));
});

for (const [title, obstruct, code] of [
  ["a directory in its place", (path: string) => mkdirSync(path, { recursive: true }), "EISDIR"],
  [
    "a file in the place of its directory",
    (path: string) => {
      rmSync(dirname(path), { recursive: true, force: true });
      writeFileSync(dirname(path), "");
    },
    "ENOTDIR",
  ],
  [
    "a link to itself in the place of its directory",
    (path: string) => {
      rmSync(dirname(path), { recursive: true, force: true });
      symlinkSync(dirname(path), dirname(path));
    },
    "ELOOP",
  ],
] as const) {
  criterion(
    `a chunk with ${title} is a miss, is not stored, and does not open the breaker`,
    async (fixture) => {
      const key = keyOf("k", MiB);
      const driver = await fixture.open();
      const breaker = new Breaker({ clock: fixture.clock, errorsToOpen: 1 });
      const catalog = new Catalog(10);
      const { clock, logger } = fixture;
      const store = new GuardedCachestore({ driver, breaker, catalog, clock, logger });
      obstruct(fixture.pathOf(key));
      const chunk = chunkOf(fixture.budget, key);
      for (let round = 0; round < 3; round += 1) {
        assert.equal(await store.put(key, chunk), "not_stored");
        assert.equal(await store.readBlock(key, 0, Buffer.alloc(MiB)), false);
        await store.delete(key);
        assert.equal(store.presence(key), "unknown");
      }
      chunk.release();
      assert.deepEqual([store.breakerState, breaker.stats.failed], ["closed", 0]);
      assert.ok((driver.stats.errorsByCode[code] ?? 0) >= 3, JSON.stringify(driver.stats.errorsByCode));
      assert.ok(logger.count("warn") <= 3, "a line for each kind of fault");
      // Another chunk is stored as before.
      assert.equal(await fixture.put(driver, keyOf("other", MiB)), "stored");
    },
  );
}
