/** A disk whose file system does not answer: what waits for it is given up in time, and nothing else stops. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs, { rmSync } from "node:fs";
import { test } from "node:test";
import { SystemClock } from "../../../src/base/clock.ts";
import type { Segment } from "../../../src/base/memory-budget.ts";
import { MiB } from "../../../src/base/units.ts";
import type { ReadFileSystem } from "../../../src/store/chunk-file/disk-file.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import type { StagedChunk } from "../../../src/store/disk/staged-chunk.ts";
import { clearDisk } from "../../../src/store/scrub/disk-clear.ts";
import { rejectsWith } from "../../support/rejects-with.ts";
import { until } from "../../support/until.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { DiskFixture, keyOf, readBlock, readChunk } from "./disk-fixture.ts";
import { Gate } from "./gate.ts";

const criterion = diskCriteria("DiskTier, when its file system hangs");
const callTimeoutMs = 10_000;

/** The real file system, whose calls of one kind wait for {@link HeldFileSystem.release}. */
class HeldFileSystem {
  readonly held: (() => void)[] = [];
  isHeld = true;
  readonly fileSystem: ReadFileSystem;

  constructor(kind: keyof ReadFileSystem) {
    const original = fs[kind] as (...parameters: unknown[]) => void;
    const hold = (...parameters: unknown[]): void => {
      if (this.isHeld) this.held.push(() => original(...parameters));
      else original(...parameters);
    };
    this.fileSystem = Object.assign({}, fs, { [kind]: hold });
  }

  release(): void {
    this.isHeld = false;
    for (const call of this.held.splice(0)) call();
  }
}

async function storeOne(fixture: DiskFixture, key = keyOf("k", 2 * MiB)) {
  const tier = await fixture.open();
  await fixture.put(tier, key);
  await tier.close(60_000);
  return key;
}

for (const kind of ["open", "fstat", "read"] as const) {
  criterion(`a read whose ${kind} does not return is a miss after disk.call_timeout`, async (fixture) => {
    const key = await storeOne(fixture);
    const system = new HeldFileSystem(kind);
    const tier = await fixture.open({ fileSystem: system.fileSystem, callTimeoutMs });
    const reading = readBlock(tier, key);
    await until(() => system.held.length === 1);
    await fixture.clock.advance(callTimeoutMs - 1);
    assert.equal(tier.isSetAside, false);
    await fixture.clock.advance(1);
    assert.equal(await reading, false);
    // From now on no reader waits, and nothing is stored or deleted.
    assert.deepEqual([tier.isSetAside, tier.presence(key), tier.stats.setAside], [true, "absent", 1]);
    assert.equal(await readBlock(tier, key), false);
    assert.equal(await fixture.put(tier, keyOf("other", MiB)), "not_stored");
    assert.equal(tier.stage(keyOf("third", MiB)), undefined);
    assert.deepEqual([system.held.length, tier.chunkCount, fixture.chunkFiles().length], [1, 1, 1]);
    const lines = fixture.logger.events.filter(({ message }) => message.includes("disk.call_timeout"));
    assert.equal(lines.length, 1);
    system.release();
    await until(() => !tier.isSetAside);
    assert.equal(tier.presence(key), "held");
    assert.ok(await readChunk(tier, key));
  });
}

criterion("memory that a late read may write to is not used again before it returns", async (fixture) => {
  const key = await storeOne(fixture);
  const system = new HeldFileSystem("read");
  system.isHeld = false;
  const tier = await fixture.open({ fileSystem: system.fileSystem, callTimeoutMs });
  assert.ok(await readBlock(tier, key));
  system.isHeld = true;
  const reservation = await fixture.budget.reserve(MiB, 1000);
  const segment = reservation.takeSegment(MiB);
  const reading = tier.readBlock(key, 1, segment.bytes, segment);
  await until(() => system.held.length === 1);
  await fixture.clock.advance(callTimeoutMs);
  assert.equal(await reading, false);
  segment.release();
  assert.equal(fixture.budget.usedBytes, MiB);
  system.release();
  await until(() => !tier.isSetAside);
  assert.equal(fixture.budget.usedBytes, 0);
});

criterion("at most three calls are in the kernel, and none begins while one is late", async (fixture) => {
  const keys = Array.from({ length: 8 }, (_, index) => keyOf(`k${index}`, MiB));
  const first = await fixture.open();
  for (const key of keys) await fixture.put(first, key);
  await first.close(60_000);
  const system = new HeldFileSystem("open");
  const tier = await fixture.open({ fileSystem: system.fileSystem, callTimeoutMs });
  const reads = keys.map((key) => readBlock(tier, key));
  await until(() => system.held.length === 3);
  await fixture.clock.advance(callTimeoutMs);
  assert.deepEqual(
    await Promise.all(reads),
    keys.map(() => false),
  );
  assert.equal(system.held.length, 3);
  system.release();
  await until(() => !tier.isSetAside);
  // The descriptors that were opened too late are closed, and no chunk was taken for damaged.
  assert.deepEqual([tier.openFiles, tier.stats.damaged, tier.chunkCount], [0, 0, 8]);
  for (const key of keys) assert.ok(await readChunk(tier, key));
});

criterion("a clear that the disk interrupts fails, and the rest of the chunks stay", async (fixture) => {
  const system = new HeldFileSystem("unlink");
  const tier = await fixture.open({ fileSystem: system.fileSystem, callTimeoutMs });
  const keys = Array.from({ length: 4 }, (_, index) => keyOf(`k${index}`, 2 * MiB));
  for (const key of keys) await fixture.put(tier, key);
  const clearing = clearDisk(tier, undefined, new AbortController().signal);
  const failing = rejectsWith("overloaded", clearing);
  await until(() => system.held.length === 1);
  await fixture.clock.advance(callTimeoutMs);
  await failing;
  system.release();
  await until(() => !tier.isSetAside && fixture.chunkFiles().length === 3, 5000);
  assert.equal(tier.chunkCount, 3);
  await until(() => tier.usedBytes === fixture.bytesOnDisk(), 5000);
  for (const key of keys.slice(1)) assert.ok(await readChunk(tier, key));
});

criterion(
  "files that could not be unlinked in time are unlinked later, and then count no more",
  async (fixture) => {
    const system = new HeldFileSystem("unlink");
    const tier = await fixture.open({ fileSystem: system.fileSystem, callTimeoutMs });
    const keys = Array.from({ length: 6 }, (_, index) => keyOf(`k${index}`, 2 * MiB));
    for (const key of keys) await fixture.put(tier, key);
    // Three calls are late, one has not begun, and one deletion begins while the disk is set aside.
    const deleting = keys.slice(0, 4).map((key) => tier.delete(key));
    await until(() => system.held.length === 3);
    await fixture.clock.advance(callTimeoutMs);
    await Promise.all([...deleting, tier.delete(keys[4] as ChunkKey)]);
    assert.deepEqual([tier.chunkCount, fixture.chunkFiles().length], [1, 6]);
    assert.equal(tier.usedBytes, fixture.bytesOnDisk());
    system.release();
    await until(() => fixture.chunkFiles().length === 1, 5000);
    await until(() => tier.usedBytes === fixture.bytesOnDisk(), 5000);
    assert.equal(await fixture.put(tier, keys[3] as ChunkKey), "stored");
  },
);

criterion("copies that arrive when the thread hangs end, and their memory is held", async (fixture) => {
  const gate = new Gate(fixture.root);
  const tier = await fixture.open({ callTimeoutMs, threadModule: gate.writeThread("writevSync") });
  const copies = ["a", "b", "c", "d", "e", "f"].map((name) => {
    const stage = tier.stage(keyOf(name, 2 * MiB)) as StagedChunk;
    const segment = fixture.budget.tryReserve(MiB)?.takeSegment(MiB) as Segment;
    return { stage, segment, append: () => stage.append(segment.bytes, segment) };
  });
  const [first, ...others] = copies as [(typeof copies)[0], ...typeof copies];
  assert.equal(await first.append(), true);
  gate.shut();
  // Of these, the thread has got some, and some wait.
  const appending = others.map(({ append }) => append());
  await fixture.clock.advance(2 * callTimeoutMs);
  assert.deepEqual(await Promise.all(appending), [false, false, false, false, false]);
  assert.equal(await first.append(), false);
  await Promise.all(copies.map(({ stage }) => stage.discard()));
  for (const { segment } of copies) segment.release();
  assert.ok(fixture.budget.usedBytes > 0, "the thread may still read the pieces");
  gate.open();
  await until(() => !tier.isSetAside && tier.usedBytes === 0);
  assert.deepEqual([fixture.budget.usedBytes, fixture.stagedFiles(), tier.chunkCount], [0, [], 0]);
});

for (const call of ["openSync", "writevSync", "fsyncSync", "linkSync", "statSync"] as const) {
  criterion(`a commit whose ${call} does not return ends, and holds its memory`, async (fixture) => {
    const gate = new Gate(fixture.root);
    const tier = await fixture.open({ fsync: true, callTimeoutMs, threadModule: gate.writeThread(call) });
    gate.shut();
    const key = keyOf("k", MiB);
    const putting = fixture.put(tier, key);
    const waiting = fixture.put(tier, keyOf("waiting", MiB));
    await fixture.clock.advance(2 * callTimeoutMs);
    assert.deepEqual([await putting, await waiting], ["not_stored", "not_stored"]);
    assert.deepEqual([tier.isSetAside, tier.presence(key)], [true, "absent"]);
    assert.ok(fixture.budget.usedBytes > 0, "the thread may still read the chunk");
    gate.open();
    await until(() => !tier.isSetAside && tier.pendingBytes === 0);
    assert.equal(fixture.budget.usedBytes, 0);
    assert.equal(tier.presence(key), "held");
    assert.ok(await readChunk(tier, key));
  });
}

criterion("a scan that does not return sets the disk aside, and goes on later", async (fixture) => {
  const key = await storeOne(fixture);
  const gate = new Gate(fixture.root);
  gate.shut();
  const tier = fixture.openUnscanned({ callTimeoutMs, threadModule: gate.writeThread("readdirSync") });
  assert.equal(tier.presence(key), "unknown");
  await fixture.clock.advance(2 * callTimeoutMs);
  assert.deepEqual([tier.isSetAside, tier.presence(key)], [true, "absent"]);
  gate.open();
  await tier.ready;
  assert.deepEqual([tier.isSetAside, tier.presence(key)], [false, "held"]);
});

/** The thread keeps the memory of the commit in which it hangs, so this is no criterion of the others' kind. */
test("DiskTier: a tier whose file system hangs is closed in bounded time", async () => {
  const fixture = new DiskFixture();
  const gate = new Gate(fixture.root);
  const key = await storeOne(fixture);
  const system = new HeldFileSystem("open");
  const threadModule = gate.writeThread("linkSync");
  const tier = await fixture.open({ fileSystem: system.fileSystem, callTimeoutMs, threadModule });
  gate.shut();
  const reading = readBlock(tier, key);
  const putting = fixture.put(tier, keyOf("other", MiB));
  await fixture.clock.advance(2 * callTimeoutMs);
  const closing = tier.close(60_000);
  await fixture.clock.advance(1000);
  await closing;
  assert.deepEqual([await reading, await putting], [false, "not_stored"]);
  gate.open();
  await fixture.close();
});

test("DiskTier: a pipe in the place of a chunk, whose open(2) never returns, costs one reader its call timeout", async () => {
  const fixture = new DiskFixture();
  try {
    const key = await storeOne(fixture);
    const other = await storeOne(fixture, keyOf("other", MiB));
    const clock = new SystemClock();
    const tier = await fixture.open({ clock, callTimeoutMs: 200 });
    rmSync(fixture.pathOf(key));
    execFileSync("mkfifo", [fixture.pathOf(key)]);
    const startedMs = clock.monotonic();
    assert.equal(await readBlock(tier, key), false);
    assert.ok(clock.monotonic() - startedMs < 5000, "the reader did not wait for the pipe");
    assert.deepEqual([tier.isSetAside, await readBlock(tier, other)], [true, false]);
    fs.closeSync(fs.openSync(fixture.pathOf(key), "r+"));
    await until(() => !tier.isSetAside);
    assert.ok(await readBlock(tier, other));
  } finally {
    await fixture.close();
  }
});
