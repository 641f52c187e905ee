/** Chunk files that are read through threads: what is checked, what is late, and what a crash costs. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { MiB } from "../../../../src/base/units.ts";
import type { ChunkKey } from "../../../../src/store/chunk-store.ts";
import type { DiskTier } from "../../../../src/store/disk/disk-tier.ts";
import { until } from "../../../support/until.ts";
import { diskCriteria } from "../disk-criteria.ts";
import {
  assertReadsWhileChanging,
  beginHangingRead,
  type DiskFixture,
  keyOf,
  readBlock,
  readChunk,
} from "../disk-fixture.ts";
import { faultyReadThread, noThread, type ReadThreadFault } from "./faulty-read-thread.ts";

const criterion = diskCriteria("DiskTier, read by threads");
const callTimeoutMs = 10_000;

/** A tier with one chunk of four blocks, whose reads go to one thread at least. */
async function openRead(fixture: DiskFixture, fault: ReadThreadFault = {}): Promise<[DiskTier, ChunkKey]> {
  const key = keyOf("k", 4 * MiB);
  const gate = join(fixture.root, "gate");
  const started = join(fixture.root, "started");
  const readThreadModule = faultyReadThread({ ...fault, started, ...(fault.gate && { gate }) });
  const tier = await fixture.open({ readThreadModule, callTimeoutMs });
  await fixture.put(tier, key);
  await until(async () => {
    assert.ok(await readBlock(tier, key));
    return existsSync(started);
  });
  return [tier, key];
}

/** Flips a bit on the medium, and drops the pages of the file. */
function flipOnMedium(path: string, offset: number): void {
  const fd = openSync(path, "r+");
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, offset);
  byte[0] = (byte[0] as number) ^ 0x01;
  writeSync(fd, byte, 0, 1, offset);
  closeSync(fd);
  execFileSync("dd", [`of=${path}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]);
}

for (const reads of [0, 1, 2, 3]) {
  criterion(`a bit that flips after ${reads} more right reads is found by the next read`, async (fixture) => {
    const [tier, key] = await openRead(fixture);
    for (let read = 0; read < reads; read += 1) assert.ok(await readChunk(tier, key));
    flipOnMedium(fixture.pathOf(key), 2 * MiB + 4711);
    assert.ok(await readBlock(tier, key, 1));
    assert.equal(await readBlock(tier, key, 2), false);
    assert.deepEqual([tier.stats.damaged, tier.presence(key), fixture.chunkFiles()], [1, "absent", []]);
  });
}

criterion(
  "many reads at once, while files are evicted and written again, give right bytes only",
  async (fixture) => {
    const keys = Array.from({ length: 6 }, (_, index) => keyOf(`k${index}`, 4 * MiB));
    await assertReadsWhileChanging(fixture, keys, { reads: 60, changes: 40 });
  },
);

criterion(
  "a thread that does not return sets the disk aside, and its memory is kept until it does",
  async (fixture) => {
    const [tier, key] = await openRead(fixture, { after: 1, gate: "gate" });
    const { reading, segment } = await beginHangingRead(fixture, tier, key, 1, MiB);
    await fixture.clock.advance(callTimeoutMs);
    assert.equal(await reading, false);
    segment.release();
    assert.deepEqual([tier.isSetAside, tier.stats.setAside, fixture.budget.usedBytes], [true, 1, MiB]);
    assert.equal(await readBlock(tier, key), false);
    writeFileSync(join(fixture.root, "gate"), "");
    await until(() => !tier.isSetAside);
    assert.equal(fixture.budget.usedBytes, 0);
    assert.ok(await readChunk(tier, key));
    assert.equal(tier.stats.damaged, 0);
  },
);

criterion(
  "a close ends a read that is under way, and keeps its memory until the thread returns",
  async (fixture) => {
    const [tier, key] = await openRead(fixture, { after: 1, gate: "gate" });
    const { reading, segment } = await beginHangingRead(fixture, tier, key, 1, MiB);
    const closing = tier.close(60_000);
    assert.equal(await reading, false);
    segment.release();
    assert.equal(fixture.budget.usedBytes, MiB);
    writeFileSync(join(fixture.root, "gate"), "");
    await closing;
    assert.equal(fixture.budget.usedBytes, 0);
  },
);

criterion("a close does not wait for a thread that hangs", async (fixture) => {
  const [tier, key] = await openRead(fixture, { after: 1, gate: "gate" });
  const reading = readBlock(tier, key, 1);
  await until(() => existsSync(join(fixture.root, "gate.waiting")));
  let isClosed = false;
  const closing = tier.close(60_000).then(() => {
    isClosed = true;
  });
  assert.equal(await reading, false);
  assert.equal(isClosed, false);
  await until(() => fixture.clock.pendingTimers > 0);
  await fixture.clock.advance(1000);
  await closing;
  writeFileSync(join(fixture.root, "gate"), "");
  // The thread ends, although nobody waits for it.
  await until(() => !tier.isSetAside);
});

criterion("a thread that dies costs a miss; the chunk stays, and reads go on", async (fixture) => {
  const [tier, key] = await openRead(fixture, { after: 2, crash: true });
  const results: boolean[] = [];
  await until(async () => {
    results.push(await readBlock(tier, key, 1));
    return tier.stats.threadCrashes === 2;
  });
  assert.equal(results.filter((isRead) => !isRead).length, 2);
  assert.deepEqual(
    [tier.presence(key), tier.stats.damaged, tier.stats.errorsByCode],
    ["held", 0, { EAGAIN: 2 }],
  );
  assert.ok(fixture.logger.count("error") >= 1);
});

criterion(
  "where no thread can be started, all is read without, and the disk stays in use",
  async (fixture) => {
    const key = keyOf("k", 4 * MiB);
    const tier = await fixture.open({ readThreadModule: noThread, callTimeoutMs });
    await fixture.put(tier, key);
    for (let read = 0; read < 5; read += 1) assert.ok(await readChunk(tier, key));
    await fixture.clock.advance(callTimeoutMs);
    assert.deepEqual([tier.isSetAside, tier.readsInProgress, tier.stats.threadCrashes], [false, 0, 0]);
  },
);
