/** Small chunk files that a thread opens, reads, checks and closes in one message. */
import assert from "node:assert/strict";
import fs, { existsSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { crc32 } from "node:zlib";
import { KiB, MiB } from "../../../../src/base/units.ts";
import { chunkFileSize, encodeFooter, storedKeyOf } from "../../../../src/store/chunk-file/chunk-file.ts";
import type { ChunkKey } from "../../../../src/store/chunk-store.ts";
import { DiskCalls } from "../../../../src/store/disk/disk-calls.ts";
import type { DiskTier } from "../../../../src/store/disk/disk-tier.ts";
import {
  SmallFileReader,
  type SmallFileReply,
  type SmallFileSystem,
} from "../../../../src/store/disk/reads/small-file.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { heldResources } from "../../../support/held-resources.ts";
import { patternBytes } from "../../../support/pattern.ts";
import { RecordedLogger } from "../../../support/recorded-logger.ts";
import { until } from "../../../support/until.ts";
import { diskCriteria } from "../disk-criteria.ts";
import {
  assertReadsWhileChanging,
  beginHangingRead,
  type DiskFixture,
  FifoPolicy,
  keyOf,
  readBlock,
} from "../disk-fixture.ts";
import { faultyReadThread, noThread, type ReadThreadFault } from "./faulty-read-thread.ts";

const sizeBytes = 64 * KiB;

function damaged(reason: string): SmallFileReply {
  return { kind: "damaged", reason };
}

function fail(): never {
  throw Object.assign(new Error("a fault of the test"), { code: "EIO" });
}

suite("SmallFileReader", () => {
  const folder = mkdtempSync(join(tmpdir(), "orca-small-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const key = keyOf("k", sizeBytes);
  const content = patternBytes(3, 0, sizeBytes);
  const sha256 = Buffer.alloc(32, 7);

  function fileOf(stored: ChunkKey, bytes = content, crc = crc32(content)): Buffer {
    const storedKey = storedKeyOf(stored);
    const blockCrcs = Uint32Array.of(crc);
    return Buffer.concat([bytes, encodeFooter({ storedKey, lengthBytes: bytes.length, blockCrcs, sha256 })]);
  }

  function read(
    file: Buffer | undefined,
    overrides: Partial<SmallFileSystem> = {},
  ): { reply: SmallFileReply; target: Buffer } {
    const path = join(folder, `origin-a.${key.version.hash}.0`);
    rmSync(path, { force: true });
    if (file) writeFileSync(path, file);
    const open = new Set<number>();
    const reader = new SmallFileReader({
      ...fs,
      openSync: (name, flags) => {
        const fd = fs.openSync(name, flags);
        open.add(fd);
        return fd;
      },
      closeSync: (fd) => {
        open.delete(fd);
        fs.closeSync(fd);
      },
      ...overrides,
    });
    const target = Buffer.from(new SharedArrayBuffer(sizeBytes));
    const reply = reader.read([path, target, chunkFileSize(storedKeyOf(key)), sizeBytes]);
    assert.equal(open.size, 0, "the file is closed");
    return { reply, target };
  }

  test("a right file is in the target, and its SHA-256 is the answer", () => {
    const { reply, target } = read(fileOf(key));
    assert.equal(reply, sha256.toString("hex"));
    assert.ok(content.equals(target));
  });

  test("each bit that flips is found, in the block and in the footer", () => {
    const right = fileOf(key);
    for (let offset = 0; offset < right.length; offset += offset < sizeBytes ? 997 : 1) {
      const file = Buffer.from(right);
      file[offset] = (file[offset] as number) ^ (1 << (offset % 8));
      const { reply } = read(file);
      assert.equal(typeof reply === "object" && reply.kind, "damaged", `offset ${offset}`);
    }
  });

  test("a file of another size, chunk or object is damaged", () => {
    assert.deepEqual(read(fileOf(key).subarray(1)).reply, damaged("size"));
    assert.deepEqual(read(Buffer.alloc(0)).reply, damaged("size"));
    const other = keyOf("l", sizeBytes);
    assert.deepEqual(read(fileOf(other)).reply, damaged("stored-key"));
    // As long as this chunk, but the first one of a larger object with the same ETag.
    const larger = keyOf("k", 8 * MiB + sizeBytes, 1);
    assert.deepEqual(read(fileOf(larger)).reply, damaged("stored-key"));
    assert.deepEqual(read(fileOf(key, content, 1)).reply, damaged("block-checksum"));
  });

  test("a short read is damage, and an error of the system its code", () => {
    assert.deepEqual(read(fileOf(key), { readvSync: () => 10 }).reply, damaged("size"));
    assert.deepEqual(read(undefined).reply, { kind: "error", reason: "ENOENT" });
    for (const name of ["openSync", "fstatSync", "readvSync"] as const) {
      assert.deepEqual(read(fileOf(key), { [name]: fail }).reply, { kind: "error", reason: "EIO" });
    }
  });
});

const criterion = diskCriteria("DiskTier, small files read by threads");
const callTimeoutMs = 10_000;

/** A tier with a small chunk, and a thread that has read one: reads of files that are open do not count. */
async function openSmall(
  fixture: DiskFixture,
  fault: ReadThreadFault = {},
  policy = new FifoPolicy(),
): Promise<[DiskTier, ChunkKey]> {
  const key = keyOf("k", sizeBytes);
  const gate = join(fixture.root, "gate");
  const started = join(fixture.root, "started");
  const readThreadModule = faultyReadThread({ ...fault, started, ...(fault.gate && { gate }) });
  const overrides = { readThreadModule, callTimeoutMs, openFilesMax: 1, policy: () => policy };
  const tier = await fixture.open(overrides);
  await fixture.put(tier, key);
  for (let read = 0; !existsSync(started); read += 1) {
    const other = keyOf(`starts a thread ${read}`, sizeBytes);
    await fixture.put(tier, other);
    assert.ok(await readBlock(tier, other));
  }
  return [tier, key];
}

criterion("a read leaves no file open, and is one use", async (fixture) => {
  const policy = new FifoPolicy();
  const [tier, key] = await openSmall(fixture, {}, policy);
  const { blocksRead, bytesRead } = tier.stats;
  const [files, touches] = [tier.openFiles, policy.touches];
  for (let read = 0; read < 5; read += 1) assert.ok(await readBlock(tier, key));
  assert.deepEqual(
    [tier.stats.blocksRead - blocksRead, tier.stats.bytesRead - bytesRead, policy.touches - touches],
    [5, 5 * sizeBytes, 5],
  );
  assert.deepEqual([tier.openFiles, tier.readsInProgress], [files, 0]);
});

criterion("the last short chunk of an object, and a short block of a partial chunk", async (fixture) => {
  const [tier] = await openSmall(fixture);
  const last = keyOf("large", 8 * MiB + sizeBytes, 1);
  await fixture.put(tier, last);
  assert.ok(await readBlock(tier, last));
  const { version } = keyOf("partial", 3 * MiB + 1000);
  const block = { version: version.blocks, index: 3 };
  await fixture.put(tier, block);
  assert.ok(await readBlock(tier, block));
  assert.equal(tier.stats.damaged, 0);
});

criterion("a flipped bit is never returned: the chunk is deleted", async (fixture) => {
  const [tier, key] = await openSmall(fixture);
  for (let read = 0; read < 3; read += 1) assert.ok(await readBlock(tier, key));
  const path = fixture.pathOf(key);
  const file = readFileSync(path);
  file[4711] = (file[4711] as number) ^ 0x10;
  writeFileSync(path, file);
  assert.deepEqual(await Promise.all([readBlock(tier, key), readBlock(tier, key)]), [false, false]);
  assert.deepEqual([tier.stats.damaged, tier.presence(key), existsSync(path)], [1, "absent", false]);
});

criterion("a file that was deleted by others is a miss, and its chunk is absent", async (fixture) => {
  const [tier, key] = await openSmall(fixture);
  unlinkSync(fixture.pathOf(key));
  assert.equal(await readBlock(tier, key), false);
  assert.deepEqual([tier.stats.vanished, tier.presence(key)], [1, "absent"]);
});

criterion("an object of another size with the same ETag never gets the other's bytes", async (fixture) => {
  const [tier] = await openSmall(fixture);
  await fixture.put(tier, keyOf("same", sizeBytes));
  assert.equal(await readBlock(tier, keyOf("same", sizeBytes + 1)), false);
  await fixture.put(tier, keyOf("same", sizeBytes));
  assert.equal(await readBlock(tier, keyOf("same", sizeBytes - 1)), false);
});

criterion("a chunk that is evicted and stored again while a thread reads it", async (fixture) => {
  const [tier, key] = await openSmall(fixture, { after: 1, gate: "gate" });
  const reading = readBlock(tier, key);
  await until(() => existsSync(join(fixture.root, "gate.waiting")));
  await tier.delete(key);
  assert.equal(tier.presence(key), "absent");
  await fixture.put(tier, key);
  writeFileSync(join(fixture.root, "gate"), "");
  // Wrong bytes fail in readBlock.
  assert.equal(await reading, true);
  assert.ok(await readBlock(tier, key));
  assert.deepEqual([tier.stats.damaged, tier.presence(key), tier.readsInProgress], [0, "held", 0]);
});

criterion("many reads at once, while files are evicted and written again", async (fixture) => {
  const keys = Array.from({ length: 8 }, (_, index) => keyOf(`k${index}`, 1 + index * 9 * KiB));
  await assertReadsWhileChanging(fixture, keys, { reads: 100, changes: 60 });
});

criterion(
  "a thread that does not return sets the disk aside, and its memory is kept until it does",
  async (fixture) => {
    const [tier, key] = await openSmall(fixture, { after: 1, gate: "gate" });
    const { reading, segment } = await beginHangingRead(fixture, tier, key, 0, sizeBytes);
    await fixture.clock.advance(callTimeoutMs);
    assert.equal(await reading, false);
    segment.release();
    assert.deepEqual([tier.isSetAside, tier.stats.setAside, fixture.budget.usedBytes], [true, 1, MiB]);
    writeFileSync(join(fixture.root, "gate"), "");
    await until(() => !tier.isSetAside);
    assert.equal(fixture.budget.usedBytes, 0);
    assert.ok(await readBlock(tier, key));
    assert.equal(tier.stats.damaged, 0);
  },
);

criterion("a thread that dies costs a miss; the chunk stays, and reads go on", async (fixture) => {
  const [tier, key] = await openSmall(fixture, { after: 1, crash: true });
  const results: boolean[] = [];
  await until(async () => {
    results.push(await readBlock(tier, key));
    return tier.stats.threadCrashes === 1;
  });
  assert.equal(results.filter((isRead) => !isRead).length, 1);
  assert.deepEqual([tier.presence(key), tier.stats.errorsByCode], ["held", { EAGAIN: 1 }]);
  assert.ok(await readBlock(tier, key));
});

criterion(
  "where other threads wait for this event loop, each call has a thread, on two cores as well",
  async (fixture) => {
    const threadsMax = availableParallelism() > 1 ? 3 : 0;
    const tier = await fixture.open({ sparesEventLoop: true });
    const keys = Array.from({ length: 6 }, (_, index) => keyOf(`k${index}`, sizeBytes));
    for (const key of keys) await fixture.put(tier, key);
    const readAll = async (): Promise<number> => {
      assert.ok((await Promise.all(keys.map((key) => readBlock(tier, key)))).every(Boolean));
      return (await heldResources()).filter((each) => each === "thread orca-disk-read").length;
    };
    await until(async () => (await readAll()) === threadsMax);
    assert.equal(await readAll(), threadsMax);
  },
);

test("DiskCalls.readSmallFile: thousands of reads that wait are answered where no thread can be started", async () => {
  const calls = new DiskCalls({
    clock: new FakeClock(),
    logger: new RecordedLogger(),
    onThreadCrash: () => assert.fail("no thread has started"),
    readThreadModule: noThread,
    deadlineMs: callTimeoutMs,
    onLate: () => assert.fail("no call is late"),
    onReturned: () => {},
  });
  const open = (): Promise<number> =>
    new Promise((resolve) => calls.open("/dev/null", "r", (_error, fd) => resolve(fd)));
  // The reads wait until the first of these has returned.
  const opening = Promise.all([open(), open(), open()]);
  const target = Buffer.from(new SharedArrayBuffer(KiB));
  const read = (): Promise<SmallFileReply | undefined> =>
    new Promise((resolve) => calls.readSmallFile(["file", target, 2 * KiB, KiB], resolve));
  const replies = await Promise.all(Array.from({ length: 10_000 }, read));
  assert.ok(replies.every((reply) => reply === undefined));
  for (const fd of await opening) fs.closeSync(fd);
  await calls.stop();
});

criterion("where no thread can be started, files are opened by the event loop", async (fixture) => {
  const tier = await fixture.open({ readThreadModule: noThread, callTimeoutMs });
  const key = keyOf("k", sizeBytes);
  await fixture.put(tier, key);
  for (let read = 0; read < 3; read += 1) assert.ok(await readBlock(tier, key));
  assert.deepEqual([tier.openFiles, tier.readsInProgress, tier.isSetAside], [1, 0, false]);
});
