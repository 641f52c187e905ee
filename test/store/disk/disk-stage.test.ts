import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { MiB } from "../../../src/base/units.ts";
import { chunkFileSize, storedKeyOf } from "../../../src/store/chunk-file/chunk-file.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import type { DiskTier } from "../../../src/store/disk/disk-tier.ts";
import type { StagedChunk } from "../../../src/store/disk/staged-chunk.ts";
import { patternBytes } from "../../support/pattern.ts";
import { TestProcess } from "../../support/process.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { faultyThread } from "./disk-faulty-thread.ts";
import { type DiskFixture, keyOf, readChunk, seedOf } from "./disk-fixture.ts";

const criterion = diskCriteria("DiskStage");

function stageOf(tier: DiskTier, key: ChunkKey): StagedChunk {
  const stage = tier.stage(key);
  assert.ok(stage, "the tier takes the chunk");
  return stage;
}

function lengthOf({ version, index }: ChunkKey): number {
  return version.chunkLength(index);
}

function fileSizeOf(key: ChunkKey): number {
  return chunkFileSize(storedKeyOf(key));
}

/** Appends the bytes up to `end` in pieces. False at the first piece that is not accepted. */
async function appendTo(
  stage: StagedChunk,
  key: ChunkKey,
  end = lengthOf(key),
  pieceBytes = MiB,
): Promise<boolean> {
  while (stage.stagedBytes < end) {
    const piece = Math.min(pieceBytes, end - stage.stagedBytes);
    const bytes = Buffer.from(new SharedArrayBuffer(piece));
    patternBytes(seedOf(key), stage.stagedBytes, piece).copy(bytes);
    if (!(await stage.append(bytes))) return false;
  }
  return true;
}

/** The SHA-256 that a tier computes when the chunk is put whole. */
async function sha256Of(fixture: DiskFixture, tier: DiskTier, key: ChunkKey): Promise<string> {
  await fixture.put(tier, key);
  const sha256 = tier.sha256(key);
  assert.ok(sha256);
  await tier.delete(key);
  return sha256;
}

for (const pieceBytes of [MiB, 700_001]) {
  criterion(
    `a chunk written in pieces of ${pieceBytes} bytes is equal to the chunk put whole`,
    async (fixture) => {
      const tier = await fixture.open();
      const key = keyOf("k", 3 * MiB + 12_345);
      const sha256 = await sha256Of(fixture, tier, key);
      const stage = stageOf(tier, key);
      assert.ok(await appendTo(stage, key, lengthOf(key), pieceBytes));
      assert.equal(tier.presence(key), "absent");
      assert.equal(tier.usedBytes, fileSizeOf(key));
      assert.equal(await stage.commit(sha256), "stored");
      assert.equal(tier.sha256(key), sha256);
      assert.ok(await readChunk(tier, key));
      assert.deepEqual([fixture.stagedFiles(), tier.usedBytes], [[], fixture.bytesOnDisk()]);
      assert.equal(tier.stats.stored, 2);
    },
  );
}

criterion("a chunk with another SHA-256 is not stored, and leaves nothing", async (fixture) => {
  const tier = await fixture.open();
  const key = keyOf("k", MiB + 1);
  const stage = stageOf(tier, key);
  await appendTo(stage, key);
  assert.equal(await stage.commit("00".repeat(32)), "mismatch");
  assert.deepEqual([fixture.stagedFiles(), fixture.chunkFiles(), tier.usedBytes], [[], [], 0]);
  assert.equal(tier.stats.notStored, 1);
  const again = stageOf(tier, key);
  await appendTo(again, key);
  assert.equal(await again.commit(undefined), "stored");
});

criterion("a discarded stage leaves nothing, and may be discarded again", async (fixture) => {
  const tier = await fixture.open();
  const key = keyOf("k", 2 * MiB);
  const stage = stageOf(tier, key);
  await appendTo(stage, key, MiB);
  assert.equal(fixture.stagedFiles().length, 1);
  await stage.discard();
  await stage.discard();
  assert.deepEqual([fixture.stagedFiles(), tier.usedBytes], [[], 0]);
  assert.equal(await appendTo(stage, key), false);
  assert.equal(await stageOf(tier, key).discard(), undefined);
});

criterion("a chunk that is held, or unknown before the end of the scan, is not staged", async (fixture) => {
  const tier = fixture.openUnscanned();
  const key = keyOf("k", MiB);
  assert.equal(tier.stage(key), undefined);
  await tier.ready;
  await fixture.put(tier, key);
  assert.equal(tier.stage(key), undefined);
});

criterion("a chunk larger than the disk is not stored and evicts nothing", async (fixture) => {
  const tier = await fixture.open({ maxBytes: 2 * MiB });
  await fixture.put(tier, keyOf("small", 1000));
  assert.equal(await appendTo(stageOf(tier, keyOf("large", 3 * MiB)), keyOf("large", 3 * MiB)), false);
  assert.equal(tier.presence(keyOf("small", 1000)), "held");
  assert.equal(tier.usedBytes, fixture.bytesOnDisk());
});

criterion("its first piece makes room, and bytes on disk never exceed max_bytes", async (fixture) => {
  const keys = Array.from({ length: 12 }, (_, index) => keyOf(`key-${index}`, 256 * 1024));
  const sizeBytes = fileSizeOf(keys[0] as ChunkKey);
  const tier = await fixture.open({ maxBytes: 5 * sizeBytes, highWatermark: 1, lowWatermark: 0.8 });
  for (const key of keys) {
    const stage = stageOf(tier, key);
    assert.ok(await appendTo(stage, key, lengthOf(key), 100_000));
    assert.ok(fixture.bytesOnDisk() <= 5 * sizeBytes);
    assert.equal(await stage.commit(undefined), "stored");
    assert.equal(tier.usedBytes, fixture.bytesOnDisk());
  }
  assert.equal(tier.chunkCount + tier.stats.evictions, 12);
});

criterion("a put and a stage of one chunk end with one file and one entry", async (fixture) => {
  const tier = await fixture.open();
  const key = keyOf("k", 2 * MiB);
  const stage = stageOf(tier, key);
  await appendTo(stage, key);
  const results = await Promise.all([fixture.put(tier, key), stage.commit(undefined)]);
  assert.deepEqual(results, ["stored", "present"]);
  const other = keyOf("other", 2 * MiB);
  const first = stageOf(tier, other);
  await appendTo(first, other);
  assert.deepEqual(await Promise.all([first.commit(undefined), fixture.put(tier, other)]), [
    "stored",
    "present",
  ]);
  assert.deepEqual([tier.chunkCount, fixture.chunkFiles().length, fixture.stagedFiles()], [2, 2, []]);
  assert.equal(tier.usedBytes, fixture.bytesOnDisk());
});

for (const [call, code, after] of [
  ["openSync", "EMFILE", 0],
  ["writevSync", "EIO", 1],
  ["writevSync", "ENOSPC", 0],
] as const) {
  criterion(`${code} at ${call} ends the stage, is counted and leaves nothing`, async (fixture) => {
    const tier = await fixture.open({ threadModule: faultyThread({ call, code, after, times: 1 }) });
    const key = keyOf("k", 3 * MiB);
    assert.equal(await appendTo(stageOf(tier, key), key), false);
    assert.deepEqual(tier.stats.errorsByCode, { [code]: 1 });
    assert.deepEqual([fixture.stagedFiles(), tier.usedBytes], [[], 0]);
    const again = stageOf(tier, key);
    assert.ok(await appendTo(again, key));
    assert.equal(await again.commit(undefined), "stored");
  });
}

for (const [call, code] of [
  ["writevSync", "EIO"],
  ["fstatSync", "EIO"],
  ["closeSync", "EIO"],
  ["mkdirSync", "ENOSPC"],
  ["linkSync", "EIO"],
] as const) {
  criterion(`${code} at ${call} while it is committed is not_stored and leaves nothing`, async (fixture) => {
    const after = call === "writevSync" ? 1 : 0;
    const tier = await fixture.open({ threadModule: faultyThread({ call, code, after, times: 1 }) });
    const key = keyOf("k", MiB);
    const stage = stageOf(tier, key);
    await appendTo(stage, key);
    assert.equal(await stage.commit(undefined), "not_stored");
    assert.deepEqual(tier.stats.errorsByCode, { [code]: 1 });
    assert.deepEqual([fixture.stagedFiles(), fixture.chunkFiles(), tier.usedBytes], [[], [], 0]);
  });
}

criterion("a thread that dies ends its stages, and nothing is left of them", async (fixture) => {
  const crash = faultyThread({ call: "writevSync", code: "CRASH", after: 2, times: 1 });
  const tier = await fixture.open({ threadModule: crash });
  const [one, two] = [keyOf("one", 2 * MiB), keyOf("two", 2 * MiB)] as const;
  const stages = [stageOf(tier, one), stageOf(tier, two)] as const;
  await appendTo(stages[0], one, MiB);
  await appendTo(stages[1], two, MiB);
  assert.equal(await appendTo(stages[0], one), false);
  // The other stage fails at its next piece, because the thread that knew it has died.
  assert.equal(await appendTo(stages[1], two), false);
  assert.equal(tier.stats.threadCrashes, 1);
  assert.deepEqual([fixture.stagedFiles(), tier.usedBytes], [[], 0]);
});

criterion("a thread that dies after the link leaves no uncounted chunk", async (fixture) => {
  const crash = faultyThread({ call: "fsyncSync", code: "CRASH", after: 1, times: 1 });
  const tier = await fixture.open({ fsync: true, threadModule: crash });
  const key = keyOf("k", MiB);
  const stage = stageOf(tier, key);
  await appendTo(stage, key);
  assert.equal(await stage.commit(undefined), "not_stored");
  assert.deepEqual([fixture.stagedFiles(), fixture.chunkFiles(), tier.usedBytes], [[], [], 0]);
});

criterion("a memory shortage ends a stage whose piece is waiting", async (fixture) => {
  const tier = await fixture.open();
  const [one, two] = [keyOf("one", 2 * MiB), keyOf("two", 2 * MiB)] as const;
  const stages = [stageOf(tier, one), stageOf(tier, two)] as const;
  // A job that unlinks runs alone, so the jobs after it wait.
  await fixture.put(tier, keyOf("held", MiB));
  const puts = Array.from({ length: 6 }, (_, index) => fixture.put(tier, keyOf(`p${index}`, MiB)));
  const appended = appendTo(stages[0], one, MiB);
  tier.dropQueued(MiB);
  assert.equal(await appended, false);
  await Promise.all(puts);
  assert.equal(tier.stats.commitsDropped, 1);
  assert.ok(await appendTo(stages[1], two));
  await stages[1].discard();
  assert.deepEqual([fixture.stagedFiles(), tier.usedBytes], [[], fixture.bytesOnDisk()]);
});

criterion(
  "a closing tier accepts no more pieces, and the next start sweeps the staging file",
  async (fixture) => {
    const tier = await fixture.open();
    const key = keyOf("k", 2 * MiB);
    const stage = stageOf(tier, key);
    await appendTo(stage, key, MiB);
    await tier.close(60_000);
    assert.equal(await appendTo(stage, key), false);
    assert.equal(await stage.commit(undefined), "not_stored");
    await stage.discard();
    assert.equal(fixture.stagedFiles().length, 1);
    const next = await fixture.open();
    assert.deepEqual([fixture.stagedFiles(), next.usedBytes, next.stats.stagedFilesRemoved], [[], 0, 1]);
  },
);

criterion("after kill -9 during a stage, the next start leaves nothing of it", async (fixture) => {
  const script = fileURLToPath(new URL("./disk-stager.ts", import.meta.url));
  const stager = new TestProcess("stager", process.execPath, [script, fixture.root]);
  await stager.line(/^staged 4$/);
  await stager.stop("SIGKILL");
  assert.ok(fixture.stagedFiles().length > 0);
  const tier = await fixture.open();
  assert.deepEqual([fixture.stagedFiles(), tier.chunkCount], [[], 1]);
  assert.equal(tier.usedBytes, fixture.bytesOnDisk());
});
