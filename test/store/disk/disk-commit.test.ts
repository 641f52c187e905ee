import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MiB } from "../../../src/base/units.ts";
import { chunkFileSize, storedKeyOf } from "../../../src/store/chunk-file/chunk-file.ts";
import type { ChunkKey, PutResult } from "../../../src/store/chunk-store.ts";
import type { DiskTier } from "../../../src/store/disk/disk-tier.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { faultyThread } from "./disk-faulty-thread.ts";
import { keyOf, readChunk } from "./disk-fixture.ts";
import { noThread } from "./reads/faulty-read-thread.ts";

const criterion = diskCriteria("DiskTier");

function fileSizeOf(key: ChunkKey): number {
  return chunkFileSize(storedKeyOf(key));
}

/** Chunks of the same file size, so that a test can count in chunks. */
function keysOf(count: number, sizeBytes = MiB): ChunkKey[] {
  return Array.from({ length: count }, (_, index) =>
    keyOf(`key-${String(index).padStart(6, "0")}`, sizeBytes),
  );
}

function heldCount(tier: DiskTier, chunks: readonly ChunkKey[]): number {
  return chunks.filter((key) => tier.presence(key) === "held").length;
}

for (const [call, code] of [
  ["openSync", "EROFS"],
  ["writevSync", "EIO"],
  ["writevSync", "EDQUOT"],
  ["closeSync", "EIO"],
  ["fstatSync", "EIO"],
  ["mkdirSync", "ENOSPC"],
  ["linkSync", "EIO"],
] as const) {
  criterion(
    `${code} at ${call} is not_stored and counted, leaves no file, and the next put works`,
    async (fixture) => {
      const tier = await fixture.open({ threadModule: faultyThread({ call, code, times: 1 }) });
      const key = keyOf("k", MiB);
      assert.equal(await fixture.put(tier, key), "not_stored");
      assert.deepEqual(tier.stats.errorsByCode, { [code]: 1 });
      assert.deepEqual([tier.stats.notStored, tier.stats.threadCrashes, tier.usedBytes], [1, 0, 0]);
      assert.deepEqual([fixture.stagedFiles(), fixture.chunkFiles()], [[], []]);
      assert.equal(await fixture.put(tier, key), "stored");
      assert.ok(await readChunk(tier, key));
    },
  );
}

criterion("EIO while the directory is synced deletes the chunk again", async (fixture) => {
  const tier = await fixture.open({
    fsync: true,
    threadModule: faultyThread({ call: "fsyncSync", code: "EIO", after: 1, times: 1 }),
  });
  assert.equal(await fixture.put(tier, keyOf("k", MiB)), "not_stored");
  assert.deepEqual([fixture.stagedFiles(), fixture.chunkFiles()], [[], []]);
});

criterion("short writes are continued", async (fixture) => {
  const tier = await fixture.open({
    threadModule: faultyThread({ call: "writevSync", code: "SHORT", times: 9 }),
  });
  const key = keyOf("k", 5 * MiB + 3);
  assert.equal(await fixture.put(tier, key), "stored");
  assert.ok(await readChunk(tier, key));
});

criterion("ENOSPC evicts a share of the chunks, once", async (fixture) => {
  const first = await fixture.open();
  const chunks = keysOf(20, 1000);
  for (const key of chunks) await fixture.put(first, key);
  await first.close(60_000);
  const tier = await fixture.open({
    threadModule: faultyThread({ call: "writevSync", code: "ENOSPC", times: 3 }),
  });
  const results = await Promise.all(
    ["a", "b", "c"].map((objectKey) => fixture.put(tier, keyOf(objectKey, MiB))),
  );
  assert.deepEqual(results, ["not_stored", "not_stored", "not_stored"]);
  assert.equal(await fixture.put(tier, keyOf("d", MiB)), "stored");
  assert.deepEqual(tier.stats.errorsByCode, { ENOSPC: 3 });
  assert.deepEqual(
    fixture.logger.events.filter(({ level }) => level === "error").map(({ fields }) => fields),
    [{ code: "ENOSPC", see: "docs/operations/symptoms.md#the-disk-is-full-or-damaged" }],
  );
  assert.equal(heldCount(tier, chunks), 17);
  assert.equal(tier.stats.evictions, 3);
  assert.equal(tier.usedBytes, fixture.bytesOnDisk());
});

criterion(
  "a thread that crashes is replaced, its commits are not_stored and leave nothing",
  async (fixture) => {
    const tier = await fixture.open({
      threadModule: faultyThread({ call: "closeSync", code: "CRASH", after: 1 }),
    });
    const [one, two, three] = [keyOf("one", MiB), keyOf("two", MiB), keyOf("three", MiB)] as const;
    assert.equal(await fixture.put(tier, one), "stored");
    assert.equal(await fixture.put(tier, two), "not_stored");
    assert.equal(await fixture.put(tier, three), "stored");
    assert.equal(tier.stats.threadCrashes, 1);
    assert.deepEqual([fixture.stagedFiles(), fixture.chunkFiles().length], [[], 2]);
    assert.equal(tier.usedBytes, fixture.bytesOnDisk());
  },
);

criterion("a thread that crashes after the link leaves no uncounted chunk", async (fixture) => {
  const tier = await fixture.open({
    fsync: true,
    threadModule: faultyThread({ call: "fsyncSync", code: "CRASH", after: 1, times: 1 }),
  });
  assert.equal(await fixture.put(tier, keyOf("k", MiB)), "not_stored");
  assert.deepEqual([fixture.stagedFiles(), fixture.chunkFiles(), tier.usedBytes], [[], [], 0]);
});

criterion(
  "where the system has no thread left, commits are dropped and keep no room, until a thread starts",
  async (fixture) => {
    const crash = faultyThread({ call: "openSync", code: "CRASH" });
    // The tier starts its next threads from the same URL.
    const threadModule = new URL(crash.href);
    const tier = await fixture.open({ threadModule });
    const crashed = fixture.put(tier, keyOf("crashed", MiB));
    threadModule.href = noThread.href;
    assert.equal(await crashed, "not_stored");
    // The bytes of a commit that crashed stay reserved, because nothing could unlink its file.
    const usedBytes = fileSizeOf(keyOf("crashed", MiB));
    assert.equal(tier.usedBytes, usedBytes);
    const keys = keysOf(20);
    const results = await Promise.all(keys.map((key) => fixture.put(tier, key)));
    assert.ok(results.every((result) => result === "not_stored"));
    assert.deepEqual([tier.stats.commitsDropped, tier.usedBytes, tier.pendingBytes], [20, usedBytes, 0]);
    assert.equal(fixture.logger.count("warn"), 1);

    threadModule.href = new URL("../../../src/store/disk/disk-writer-thread.ts", import.meta.url).href;
    await fixture.clock.advance(10_000);
    assert.deepEqual(
      await Promise.all(keys.map((key) => fixture.put(tier, key))),
      keys.map(() => "stored"),
    );
    for (const key of keys) assert.ok(await readChunk(tier, key));
  },
);

criterion("after a scan that fails, chunks are read but not stored", async (fixture) => {
  const key = keyOf("k", MiB);
  const first = await fixture.open();
  await fixture.put(first, key);
  await first.close(60_000);
  const tier = await fixture.open({ threadModule: faultyThread({ call: "readdirSync", code: "EIO" }) });
  assert.ok(await readChunk(tier, key));
  assert.equal(await fixture.put(tier, keyOf("l", MiB)), "not_stored");
  assert.deepEqual(tier.stats.errorsByCode, { EIO: 1 });
});

criterion(
  "bytes on disk never exceed max_bytes, and an eviction goes from the high to the low watermark",
  async (fixture) => {
    const chunks = keysOf(60, 64 * 1024);
    const sizeBytes = fileSizeOf(chunks[0] as ChunkKey);
    const tier = await fixture.open({ maxBytes: 20 * sizeBytes });
    let heldMax = 0;
    for (const key of chunks) {
      assert.equal(await fixture.put(tier, key), "stored");
      assert.ok(fixture.bytesOnDisk() <= 20 * sizeBytes);
      assert.equal(tier.usedBytes, fixture.bytesOnDisk());
      heldMax = Math.max(heldMax, heldCount(tier, chunks));
    }
    assert.equal(heldMax, 19);
    // 19 chunks fill it to 0.95. The 20th evicts down to 17 in all; then two more fit, and so on.
    assert.equal(tier.stats.evictions, 60 - heldCount(tier, chunks));
    assert.equal(tier.stats.evictions % 3, 0);
  },
);

criterion("with many commits at once, bytes on disk never exceed max_bytes", async (fixture) => {
  const chunks = keysOf(64, 256 * 1024);
  const maxBytes = 10 * fileSizeOf(chunks[0] as ChunkKey);
  const tier = await fixture.open({ maxBytes });
  let largestBytes = 0;
  const watch = { running: true };
  const watchBytes = async (): Promise<void> => {
    while (watch.running) {
      largestBytes = Math.max(largestBytes, fixture.bytesOnDisk());
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const watching = watchBytes();
  const reading = Promise.all(chunks.map((key) => readChunk(tier, key)));
  const results = await Promise.all(chunks.map((key) => fixture.put(tier, key)));
  await reading;
  watch.running = false;
  await watching;
  assert.deepEqual(new Set(results), new Set<PutResult>(["stored"]));
  assert.ok(largestBytes > maxBytes / 2 && largestBytes <= maxBytes, `${largestBytes} of ${maxBytes}`);
  assert.equal(tier.usedBytes, fixture.bytesOnDisk());
});

criterion("a chunk larger than the disk is not_stored and evicts nothing", async (fixture) => {
  const tier = await fixture.open({ maxBytes: 2 * MiB });
  await fixture.put(tier, keyOf("small", 1000));
  assert.equal(await fixture.put(tier, keyOf("large", 3 * MiB)), "not_stored");
  assert.equal(tier.presence(keyOf("small", 1000)), "held");
});

criterion(
  "if the limit was larger in an earlier run, the start evicts down to the low watermark",
  async (fixture) => {
    const chunks = keysOf(30, 1000);
    const sizeBytes = fileSizeOf(chunks[0] as ChunkKey);
    const first = await fixture.open();
    for (const key of chunks) await fixture.put(first, key);
    await first.close(60_000);
    const tier = await fixture.open({ maxBytes: 20 * sizeBytes });
    assert.equal(tier.usedBytes, 17 * sizeBytes);
    assert.equal(fixture.bytesOnDisk(), 17 * sizeBytes);
    assert.equal(tier.stats.evictions, 13);
  },
);

criterion("the scan sweeps staging files and files that are no chunks", async (fixture) => {
  const key = keyOf("k", MiB);
  const first = await fixture.open();
  await fixture.put(first, key);
  await first.close(60_000);
  const fanOut = join(fixture.directory, key.version.hash.slice(0, 2));
  const otherFanOut = join(fixture.directory, key.version.hash.startsWith("00") ? "01" : "00");
  mkdirSync(otherFanOut);
  mkdirSync(join(fanOut, "directory"));
  writeFileSync(join(fixture.directory, "staging", "half"), "bytes");
  writeFileSync(join(fanOut, "README"), Buffer.alloc(100));
  writeFileSync(join(fanOut, `origin-a.${key.version.hash}.1`), "too small");
  writeFileSync(join(otherFanOut, `origin-a.${key.version.hash}.0`), Buffer.alloc(100));
  const tier = await fixture.open();
  assert.deepEqual([tier.stats.stagedFilesRemoved, tier.stats.foreignFilesRemoved], [1, 3]);
  assert.deepEqual([tier.chunkCount, tier.usedBytes], [1, fileSizeOf(key)]);
  assert.deepEqual(fixture.stagedFiles(), []);
});

criterion("queued commits are dropped newest first, and settle as not_stored", async (fixture) => {
  const tier = fixture.openUnscanned();
  // The scan is running, so none of these commits has started.
  const chunks = keysOf(6, 2 * MiB);
  const results: PutResult[] = [];
  const puts = chunks.map(async (key, position) => {
    results[position] = await fixture.put(tier, key);
  });
  assert.equal(tier.pendingBytes, 12 * MiB);
  tier.dropQueued(3 * MiB);
  // The dropped memory is not released yet, so a second request drops no more.
  tier.dropQueued(3 * MiB);
  assert.equal(tier.pendingBytes, 8 * MiB);
  await Promise.all(puts);
  assert.deepEqual(results, ["stored", "stored", "stored", "stored", "not_stored", "not_stored"]);
  assert.deepEqual([tier.stats.commitsDropped, tier.stats.notStored, tier.pendingBytes], [2, 2, 0]);
});

criterion("close waits for queued commits", async (fixture) => {
  const tier = fixture.openUnscanned();
  const chunks = keysOf(5, 2 * MiB);
  const puts = chunks.map((key) => fixture.put(tier, key));
  await tier.close(60_000);
  assert.deepEqual(
    await Promise.all(puts),
    Array.from({ length: 5 }, () => "stored"),
  );
  assert.equal(fixture.chunkFiles().length, 5);
  assert.equal(fixture.clock.pendingTimers, 0);
});

criterion("close drops the remaining commits at its deadline", async (fixture) => {
  const tier = fixture.openUnscanned();
  const puts = keysOf(20, 4 * MiB).map((key) => fixture.put(tier, key));
  await tier.close(0);
  assert.deepEqual(new Set(await Promise.all(puts)), new Set<PutResult>(["not_stored"]));
  assert.equal(tier.stats.commitsDropped, 20);
  const next = await fixture.open();
  assert.equal(next.usedBytes, fixture.bytesOnDisk());
});

criterion("a thread that crashes at each commit writes one line a minute", async (fixture) => {
  const threadModule = faultyThread({ call: "openSync", code: "CRASH" });
  const tier = await fixture.open({ threadModule });
  for (let round = 0; round < 4; round += 1) {
    assert.equal(await fixture.put(tier, keyOf(`k${round}`, MiB)), "not_stored");
  }
  assert.deepEqual([tier.stats.threadCrashes, fixture.logger.count("error")], [4, 1]);
  await fixture.clock.advance(60_000);
  await fixture.put(tier, keyOf("later", MiB));
  assert.partialDeepStrictEqual(fixture.logger.events.at(-1)?.fields, { suppressed: 3 });
});
