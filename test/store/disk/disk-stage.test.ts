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
import { type DiskFixture, readChunk, refOf, seedOf } from "./disk-fixture.ts";

const criterion = diskCriteria("DiskStage");

function stageOf(tier: DiskTier, ref: ChunkKey): StagedChunk {
  const stage = tier.stage(ref);
  assert.ok(stage, "the tier takes the chunk");
  return stage;
}

function lengthOf({ version, index }: ChunkKey): number {
  return version.chunkLength(index);
}

function fileSizeOf(ref: ChunkKey): number {
  return chunkFileSize(storedKeyOf(ref));
}

/** Appends the bytes up to `end` in pieces. False at the first piece that is not accepted. */
async function appendTo(
  stage: StagedChunk,
  ref: ChunkKey,
  end = lengthOf(ref),
  pieceBytes = MiB,
): Promise<boolean> {
  while (stage.stagedBytes < end) {
    const piece = Math.min(pieceBytes, end - stage.stagedBytes);
    const bytes = Buffer.from(new SharedArrayBuffer(piece));
    patternBytes(seedOf(ref), stage.stagedBytes, piece).copy(bytes);
    if (!(await stage.append(bytes))) return false;
  }
  return true;
}

/** The SHA-256 that a tier computes when the chunk is put whole. */
async function sha256Of(fixture: DiskFixture, tier: DiskTier, ref: ChunkKey): Promise<string> {
  await fixture.put(tier, ref);
  const sha256 = tier.sha256(ref);
  assert.ok(sha256);
  await tier.delete(ref);
  return sha256;
}

for (const pieceBytes of [MiB, 700_001]) {
  criterion(
    `a chunk written in pieces of ${pieceBytes} bytes is equal to the chunk put whole`,
    async (fixture) => {
      const tier = await fixture.open();
      const ref = refOf("k", 3 * MiB + 12_345);
      const sha256 = await sha256Of(fixture, tier, ref);
      const stage = stageOf(tier, ref);
      assert.ok(await appendTo(stage, ref, lengthOf(ref), pieceBytes));
      assert.equal(tier.presence(ref), "absent");
      assert.equal(tier.usedBytes, fileSizeOf(ref));
      assert.equal(await stage.commit(sha256), "stored");
      assert.equal(tier.sha256(ref), sha256);
      assert.ok(await readChunk(tier, ref));
      assert.deepEqual([fixture.stagedFiles(), tier.usedBytes], [[], fixture.bytesOnDisk()]);
      assert.equal(tier.stats.stored, 2);
    },
  );
}

criterion("a chunk with another SHA-256 is not stored, and leaves nothing", async (fixture) => {
  const tier = await fixture.open();
  const ref = refOf("k", MiB + 1);
  const stage = stageOf(tier, ref);
  await appendTo(stage, ref);
  assert.equal(await stage.commit("00".repeat(32)), "mismatch");
  assert.deepEqual([fixture.stagedFiles(), fixture.chunkFiles(), tier.usedBytes], [[], [], 0]);
  assert.equal(tier.stats.notStored, 1);
  const again = stageOf(tier, ref);
  await appendTo(again, ref);
  assert.equal(await again.commit(undefined), "stored");
});

criterion("a discarded stage leaves nothing, and may be discarded again", async (fixture) => {
  const tier = await fixture.open();
  const ref = refOf("k", 2 * MiB);
  const stage = stageOf(tier, ref);
  await appendTo(stage, ref, MiB);
  assert.equal(fixture.stagedFiles().length, 1);
  await stage.discard();
  await stage.discard();
  assert.deepEqual([fixture.stagedFiles(), tier.usedBytes], [[], 0]);
  assert.equal(await appendTo(stage, ref), false);
  assert.equal(await stageOf(tier, ref).discard(), undefined);
});

criterion("a chunk that is held, or unknown before the end of the scan, is not staged", async (fixture) => {
  const tier = fixture.openUnscanned();
  const ref = refOf("k", MiB);
  assert.equal(tier.stage(ref), undefined);
  await tier.ready;
  await fixture.put(tier, ref);
  assert.equal(tier.stage(ref), undefined);
});

criterion("a chunk larger than the disk is not stored and evicts nothing", async (fixture) => {
  const tier = await fixture.open({ maxBytes: 2 * MiB });
  await fixture.put(tier, refOf("small", 1000));
  assert.equal(await appendTo(stageOf(tier, refOf("large", 3 * MiB)), refOf("large", 3 * MiB)), false);
  assert.equal(tier.presence(refOf("small", 1000)), "held");
  assert.equal(tier.usedBytes, fixture.bytesOnDisk());
});

criterion("its first piece makes room, and bytes on disk never exceed max_bytes", async (fixture) => {
  const refs = Array.from({ length: 12 }, (_, index) => refOf(`key-${index}`, 256 * 1024));
  const sizeBytes = fileSizeOf(refs[0] as ChunkKey);
  const tier = await fixture.open({ maxBytes: 5 * sizeBytes, highWatermark: 1, lowWatermark: 0.8 });
  for (const ref of refs) {
    const stage = stageOf(tier, ref);
    assert.ok(await appendTo(stage, ref, lengthOf(ref), 100_000));
    assert.ok(fixture.bytesOnDisk() <= 5 * sizeBytes);
    assert.equal(await stage.commit(undefined), "stored");
    assert.equal(tier.usedBytes, fixture.bytesOnDisk());
  }
  assert.equal(tier.chunkCount + tier.stats.evictions, 12);
});

criterion("a put and a stage of one chunk end with one file and one entry", async (fixture) => {
  const tier = await fixture.open();
  const ref = refOf("k", 2 * MiB);
  const stage = stageOf(tier, ref);
  await appendTo(stage, ref);
  const results = await Promise.all([fixture.put(tier, ref), stage.commit(undefined)]);
  assert.deepEqual(results, ["stored", "present"]);
  const other = refOf("other", 2 * MiB);
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
    const ref = refOf("k", 3 * MiB);
    assert.equal(await appendTo(stageOf(tier, ref), ref), false);
    assert.deepEqual(tier.stats.errorsByCode, { [code]: 1 });
    assert.deepEqual([fixture.stagedFiles(), tier.usedBytes], [[], 0]);
    const again = stageOf(tier, ref);
    assert.ok(await appendTo(again, ref));
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
    const ref = refOf("k", MiB);
    const stage = stageOf(tier, ref);
    await appendTo(stage, ref);
    assert.equal(await stage.commit(undefined), "not_stored");
    assert.deepEqual(tier.stats.errorsByCode, { [code]: 1 });
    assert.deepEqual([fixture.stagedFiles(), fixture.chunkFiles(), tier.usedBytes], [[], [], 0]);
  });
}

criterion("a thread that dies ends its stages, and nothing is left of them", async (fixture) => {
  const crash = faultyThread({ call: "writevSync", code: "CRASH", after: 2, times: 1 });
  const tier = await fixture.open({ threadModule: crash });
  const [one, two] = [refOf("one", 2 * MiB), refOf("two", 2 * MiB)] as const;
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
  const ref = refOf("k", MiB);
  const stage = stageOf(tier, ref);
  await appendTo(stage, ref);
  assert.equal(await stage.commit(undefined), "not_stored");
  assert.deepEqual([fixture.stagedFiles(), fixture.chunkFiles(), tier.usedBytes], [[], [], 0]);
});

criterion("a memory shortage ends a stage whose piece is waiting", async (fixture) => {
  const tier = await fixture.open();
  const [one, two] = [refOf("one", 2 * MiB), refOf("two", 2 * MiB)] as const;
  const stages = [stageOf(tier, one), stageOf(tier, two)] as const;
  // A job that unlinks runs alone, so the jobs after it wait.
  await fixture.put(tier, refOf("held", MiB));
  const puts = Array.from({ length: 6 }, (_, index) => fixture.put(tier, refOf(`p${index}`, MiB)));
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
    const ref = refOf("k", 2 * MiB);
    const stage = stageOf(tier, ref);
    await appendTo(stage, ref, MiB);
    await tier.close(60_000);
    assert.equal(await appendTo(stage, ref), false);
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
