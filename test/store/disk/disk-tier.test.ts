import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs, { readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MiB } from "../../../src/base/units.ts";
import { chunkFileSize, storedKeyOf } from "../../../src/store/chunk-file/chunk-file.ts";
import type { ReadFileSystem } from "../../../src/store/chunk-file/disk-file.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { FifoPolicy, keyOf, newTuned, readBlock, readChunk } from "./disk-fixture.ts";

const criterion = diskCriteria("DiskTier");

function fileSizeOf(key: ChunkKey): number {
  return chunkFileSize(storedKeyOf(key));
}

criterion("a chunk survives a restart, with its SHA-256", async (fixture) => {
  const key = keyOf("k", 20 * MiB + 17, 2);
  const chunk = fixture.chunk(key);
  const hash = createHash("sha256");
  for (const segment of chunk.segments) hash.update(segment.bytes);
  chunk.release();
  const sha256 = hash.digest("hex");

  const first = await fixture.open();
  assert.equal(await fixture.put(first, key), "stored");
  assert.equal(first.sha256(key), sha256);
  assert.equal(statSync(fixture.pathOf(key)).size, fileSizeOf(key));
  await first.close(60_000);

  const second = await fixture.open();
  assert.equal(second.presence(key), "held");
  assert.equal(second.usedBytes, fileSizeOf(key));
  assert.equal(second.sha256(key), undefined);
  assert.ok(await readChunk(second, key));
  assert.equal(second.sha256(key), sha256);
  assert.deepEqual([second.stats.blocksRead, second.stats.bytesRead], [5, 4 * MiB + 17]);
});

criterion("with fsync the result is the same", async (fixture) => {
  const tier = await fixture.open({ fsync: true });
  const key = keyOf("k", MiB);
  assert.equal(await fixture.put(tier, key), "stored");
  assert.ok(await readChunk(tier, key));
});

criterion(
  "an open file of an object of another size is a miss, and makes room for the right one",
  async (fixture) => {
    // An origin may give one ETag to bytes of two sizes. Chunk 0 has the same path and length in both.
    const small = keyOf("k", 20 * MiB);
    const large = keyOf("k", 28 * MiB);
    assert.equal(small.version.chunkPath(0), large.version.chunkPath(0));
    const tier = await fixture.open();
    await fixture.put(tier, small);
    assert.ok(await readBlock(tier, small));
    assert.equal(tier.openFiles, 1);
    assert.equal(await readBlock(tier, large), false);
    assert.equal(tier.presence(large), "absent");
    assert.equal(await fixture.put(tier, large), "stored");
    assert.ok(await readBlock(tier, large));
  },
);

criterion(
  "a reader that joins the opening of a file is not served another object's size",
  async (fixture) => {
    const small = keyOf("k", 20 * MiB);
    const first = await fixture.open();
    await fixture.put(first, small);
    await first.close(60_000);
    const tier = await fixture.open();
    const opening = readBlock(tier, small);
    assert.equal(await readBlock(tier, keyOf("k", 28 * MiB)), false);
    await opening;
  },
);

criterion("before the scan ends, the presence is unknown, and a read tries the file", async (fixture) => {
  const held = keyOf("held", 3 * MiB);
  const absent = keyOf("absent", 3 * MiB);
  const first = await fixture.open();
  await fixture.put(first, held);
  await first.close(60_000);

  const tier = fixture.openUnscanned();
  assert.equal(tier.presence(held), "unknown");
  assert.equal(tier.presence(absent), "unknown");
  const [isHeld, isAbsent] = await Promise.all([readChunk(tier, held), readChunk(tier, absent)]);
  assert.deepEqual([isHeld, isAbsent], [true, false]);
  assert.equal(tier.presence(held), "held");
  await tier.ready;
  assert.equal(tier.presence(absent), "absent");
  assert.deepEqual([tier.chunkCount, tier.usedBytes, tier.stats.vanished], [1, fileSizeOf(held), 0]);
});

/** Puts a chunk of 2.5 blocks, damages its file in a new run, and expects one miss, one count and no file. */
function damage(title: string, change: (path: string, key: ChunkKey) => void): void {
  criterion(`${title} is found, deleted and counted, and the chunk can be put again`, async (fixture) => {
    const key = keyOf("k", 2 * MiB + MiB / 2);
    const other = keyOf("other", MiB);
    const first = await fixture.open();
    await fixture.put(first, key);
    await fixture.put(first, other);
    await first.close(60_000);
    change(fixture.pathOf(key), key);
    const tier = await fixture.open();
    assert.equal(await readChunk(tier, key), false);
    assert.equal(tier.presence(key), "absent");
    assert.equal(tier.stats.damaged, 1);
    assert.deepEqual(fixture.chunkFiles(), [fixture.pathOf(other)]);
    assert.equal(tier.usedBytes, fileSizeOf(other));
    assert.equal(await fixture.put(tier, key), "stored");
    assert.ok(await readChunk(tier, key));
    assert.ok(await readChunk(tier, other));
  });
}

function flipByte(path: string, offset: number): void {
  const bytes = readFileSync(path);
  const at = offset < 0 ? bytes.length + offset : offset;
  bytes[at] = (bytes[at] as number) ^ 0x10;
  writeFileSync(path, bytes);
}

damage("a flipped bit in the first block", (path) => flipByte(path, 5));
damage("a flipped bit in the last block", (path) => flipByte(path, 2 * MiB + MiB / 2 - 1));
damage("a flipped bit in a block checksum", (path) => flipByte(path, 2 * MiB + MiB / 2));
damage("a flipped bit in the identity", (path) => flipByte(path, -60));
damage("a flipped bit in the magic", (path) => flipByte(path, -1));
damage("a file that ends in its data", (path) => truncateSync(path, MiB + 3));
damage("a file that ends with its data", (path) => truncateSync(path, 2 * MiB + MiB / 2));
damage("a file without its last byte", (path) => truncateSync(path, statSync(path).size - 1));
damage("a file with a byte too much", (path) => writeFileSync(path, Buffer.alloc(1), { flag: "a" }));
criterion("a whole chunk under another chunk's name is damaged", async (fixture) => {
  const [one, two] = [keyOf("k1", MiB), keyOf("k2", MiB)];
  const first = await fixture.open();
  await fixture.put(first, one);
  await fixture.put(first, two);
  await first.close(60_000);
  renameSync(fixture.pathOf(one), fixture.pathOf(two));
  const tier = await fixture.open();
  assert.equal(await readChunk(tier, two), false);
  assert.equal(tier.stats.damaged, 1);
  assert.deepEqual(fixture.chunkFiles(), []);
});

criterion("damage that many readers find at once is counted once", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const tier = await fixture.open();
  await fixture.put(tier, key);
  flipByte(fixture.pathOf(key), 7);
  const results = await Promise.all(Array.from({ length: 8 }, () => readBlock(tier, key, 0)));
  assert.ok(results.every((result) => !result));
  assert.equal(tier.stats.damaged, 1);
  assert.deepEqual(fixture.chunkFiles(), []);
});

/** Byte `at` of block `block` flips after so many right reads. */
function flipAfter(reads: number, at: number, block: number, open: "open" | "opened again"): void {
  const title = `a bit that flips after ${reads} right reads, in a file that is ${open}, is found by the next one`;
  criterion(`${title} (byte ${at} of block ${block})`, async (fixture) => {
    const key = keyOf("k", 2 * MiB + MiB / 2);
    const tier = await fixture.open({ openFilesMax: 1 });
    await fixture.put(tier, key);
    for (let read = 0; read < reads; read += 1) assert.ok(await readChunk(tier, key));
    assert.deepEqual([tier.stats.blocksRead, tier.stats.damaged], [3 * reads, 0]);
    flipByte(fixture.pathOf(key), block * MiB + at);
    if (open === "opened again") {
      const other = keyOf("other", MiB);
      await fixture.put(tier, other);
      assert.ok(await readChunk(tier, other));
    }
    assert.equal(await readBlock(tier, key, block), false);
    assert.deepEqual([tier.stats.damaged, tier.presence(key)], [1, "absent"]);
    assert.equal(await fixture.put(tier, key), "stored");
    for (let read = 0; read < 4; read += 1) assert.ok(await readChunk(tier, key));
    flipByte(fixture.pathOf(key), block * MiB + at);
    assert.equal(await readBlock(tier, key, block), false);
    assert.equal(tier.stats.damaged, 2);
  });
}

for (const reads of [1, 2, 3, 4]) flipAfter(reads, 12_345, 1, "open");
flipAfter(3, 0, 0, "open");
flipAfter(3, MiB / 2 - 1, 2, "open");
flipAfter(3, 4096, 0, "opened again");

criterion(
  "a bit that flips after many right reads is counted once, however many readers find it",
  async (fixture) => {
    const key = keyOf("k", 2 * MiB);
    const tier = await fixture.open();
    await fixture.put(tier, key);
    for (let read = 0; read < 3; read += 1) assert.ok(await readChunk(tier, key));
    flipByte(fixture.pathOf(key), MiB + 7);
    const results = await Promise.all(Array.from({ length: 8 }, () => readBlock(tier, key, 1)));
    assert.ok(results.every((result) => !result));
    assert.equal(tier.stats.damaged, 1);
  },
);

criterion("a file that another program deleted is a counted miss", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const tier = await fixture.open();
  await fixture.put(tier, key);
  rmSync(fixture.pathOf(key));
  assert.equal(await readBlock(tier, key), false);
  assert.equal(await readBlock(tier, key), false);
  assert.deepEqual([tier.stats.vanished, tier.usedBytes], [1, 0]);
  assert.equal(await fixture.put(tier, key), "stored");
  assert.ok(await readChunk(tier, key));
});

criterion("directories that another program deleted are created again", async (fixture) => {
  const key = keyOf("k", MiB);
  const tier = await fixture.open();
  await fixture.put(tier, key);
  rmSync(join(fixture.directory, key.version.hash.slice(0, 2)), { recursive: true });
  assert.equal(await readBlock(tier, key), false);
  assert.equal(await fixture.put(tier, key), "stored");
});

function failing(call: keyof ReadFileSystem, code: string): ReadFileSystem {
  const fail = (...parameters: unknown[]): void => {
    const callback = parameters.at(-1) as (error: Error) => void;
    setImmediate(() => callback(Object.assign(new Error(`injected ${code}`), { code })));
  };
  return { ...fs, [call]: fail };
}

criterion("EIO while reading is a counted miss, and the chunk is deleted", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const tier = await fixture.open({ fileSystem: failing("read", "EIO") });
  await fixture.put(tier, key);
  assert.equal(await readBlock(tier, key), false);
  assert.equal(tier.presence(key), "absent");
  assert.deepEqual(tier.stats.errorsByCode, { EIO: 1 });
  assert.deepEqual([tier.usedBytes, fixture.bytesOnDisk()], [0, 0]);
});

criterion("too many open files is a miss that keeps the chunk", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const tier = await fixture.open({ fileSystem: failing("open", "EMFILE") });
  await fixture.put(tier, key);
  assert.equal(await readBlock(tier, key), false);
  assert.equal(tier.presence(key), "held");
  assert.deepEqual(tier.stats.errorsByCode, { EMFILE: 1 });
});

criterion("the bytes of a file that cannot be unlinked stay counted", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const tier = await fixture.open({ fileSystem: failing("unlink", "EROFS") });
  await fixture.put(tier, key);
  await tier.delete(key);
  assert.equal(tier.presence(key), "absent");
  assert.deepEqual(tier.stats.errorsByCode, { EROFS: 1 });
  assert.equal(tier.usedBytes, fixture.bytesOnDisk());
});

criterion("an error is logged once a minute", async (fixture) => {
  const tier = await fixture.open({ fileSystem: failing("open", "EMFILE") });
  const key = keyOf("k", MiB);
  await fixture.put(tier, key);
  for (let round = 0; round < 5; round += 1) await readBlock(tier, key);
  assert.equal(fixture.logger.count("error"), 1);
  await fixture.clock.advance(60_000);
  for (let round = 0; round < 5; round += 1) await readBlock(tier, key);
  assert.equal(fixture.logger.count("error"), 2);
  assert.deepEqual(tier.stats.errorsByCode, { EMFILE: 10 });
});

criterion("no more files stay open than allowed, and closed ones are opened again", async (fixture) => {
  const opened = new Set<number>();
  const fileSystem: ReadFileSystem = {
    ...fs,
    open: (path, flags, done) =>
      fs.open(path, flags, (error, fd) => {
        if (!error) opened.add(fd);
        done(error, fd);
      }),
    close: (fd, done) => {
      assert.ok(opened.delete(fd), "a descriptor is closed once");
      fs.close(fd, done);
    },
  };
  const tier = await fixture.open({ openFilesMax: 2, fileSystem });
  const keys = ["a", "b", "c", "d"].map((objectKey) => keyOf(objectKey, MiB));
  for (const key of keys) await fixture.put(tier, key);
  for (let round = 0; round < 3; round += 1) {
    assert.ok((await Promise.all(keys.map((key) => readBlock(tier, key)))).every(Boolean));
    assert.equal(tier.openFiles, 2);
    assert.equal(opened.size, 2);
  }
  await tier.close(60_000);
  assert.equal(opened.size, 0);
});

criterion("sequential blocks are one use, a new start is another", async (fixture) => {
  const policy = new FifoPolicy();
  const tier = await fixture.open({ policy: () => policy });
  const key = keyOf("k", 4 * MiB);
  await fixture.put(tier, key);
  for (const block of [0, 1, 2, 3]) await readBlock(tier, key, block);
  assert.equal(policy.touches, 1);
  await readBlock(tier, key, 2);
  await readBlock(tier, key, 0);
  assert.equal(policy.touches, 3);
});

criterion("two puts of a chunk at once make one file", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const tier = await fixture.open();
  const results = await Promise.all([fixture.put(tier, key), fixture.put(tier, key)]);
  assert.deepEqual(results.sort(), ["present", "stored"]);
  assert.deepEqual(fixture.chunkFiles(), [fixture.pathOf(key)]);
  assert.equal(tier.usedBytes, fileSizeOf(key));
});

criterion(
  "the chunks of a superseded version are evicted first, and are read until then",
  async (fixture) => {
    const keys = Array.from({ length: 9 }, (_, index) => keyOf("k", 9 * MiB, index, MiB));
    const tier = await fixture.open({
      maxBytes: 21 * MiB,
      highWatermark: 1,
      lowWatermark: 1,
      policy: newTuned,
    });
    const others = Array.from({ length: 20 }, (_, index) => keyOf(`other${index}`, MiB));
    for (const key of [...others.slice(0, 11), ...keys]) assert.equal(await fixture.put(tier, key), "stored");
    const { version } = keys[0] as ChunkKey;
    tier.supersede(version);
    assert.ok(await readChunk(tier, keys[8] as ChunkKey), "and whoever reads one keeps it");
    for (const key of others.slice(11)) assert.equal(await fixture.put(tier, key), "stored");
    const isHeld = (key: ChunkKey): boolean => tier.presence(key) === "held";
    assert.deepEqual(keys.map(isHeld), [...Array.from({ length: 8 }, () => false), true]);
    assert.equal(others.filter(isHeld).length, 20 - 1);
  },
);

criterion("a chunk file that another program created is present", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const tier = await fixture.open();
  await fixture.put(tier, key);
  const bytes = readFileSync(fixture.pathOf(key));
  await tier.delete(key);
  writeFileSync(fixture.pathOf(key), bytes);
  assert.equal(await fixture.put(tier, key), "present");
  assert.deepEqual([tier.usedBytes, fixture.bytesOnDisk()], [bytes.length, bytes.length]);
  assert.ok(await readChunk(tier, key));
});

criterion("a stray file of another length is replaced", async (fixture) => {
  const key = keyOf("k", 2 * MiB);
  const tier = await fixture.open();
  await fixture.put(tier, key);
  await tier.delete(key);
  writeFileSync(fixture.pathOf(key), "stray");
  assert.equal(await fixture.put(tier, key), "stored");
  assert.ok(await readChunk(tier, key));
});

criterion("after close every read is a miss and every put not_stored", async (fixture) => {
  const key = keyOf("k", MiB);
  const tier = await fixture.open();
  await fixture.put(tier, key);
  await tier.close(60_000);
  await tier.close(60_000);
  assert.equal(await readBlock(tier, key), false);
  assert.equal(await fixture.put(tier, keyOf("l", MiB)), "not_stored");
  await tier.delete(key);
  assert.deepEqual(fixture.chunkFiles(), [fixture.pathOf(key)]);
});
