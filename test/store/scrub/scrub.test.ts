import assert from "node:assert/strict";
import fs, { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import { chunkFileSize, encodeFooter, storedKeyOf } from "../../../src/store/chunk-file/chunk-file.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import type { DiskTier } from "../../../src/store/disk/disk-tier.ts";
import { Scrub, type ScrubOptions, type ScrubProgress } from "../../../src/store/scrub/scrub.ts";
import type { ScrubbedDisk } from "../../../src/store/scrub/scrub-pass.ts";
import { StallWatch } from "../../../src/trace/stalls/stall-watch.ts";
import { throwsWith } from "../../support/throws-with.ts";
import { until } from "../../support/until.ts";
import { DiskFixture, keyOf, readBlock, readChunk } from "../disk/disk-fixture.ts";

interface Scrubbing {
  readonly disk: DiskFixture;
  readonly tier: DiskTier;
  readonly scrub: (overrides?: Partial<ScrubOptions>) => Scrub;
}

function criterion(title: string, body: (scrubbing: Scrubbing) => Promise<void>): void {
  test(`Scrub: ${title}`, async () => {
    const disk = new DiskFixture();
    const scrubs: Scrub[] = [];
    try {
      const tier = await disk.open();
      const scrub = (overrides: Partial<ScrubOptions> = {}): Scrub => {
        const made = new Scrub({
          disk: tier,
          intervalMs: 0,
          clock: disk.clock,
          logger: disk.logger,
          ...overrides,
        });
        scrubs.push(made);
        return made;
      };
      await body({ disk, tier, scrub });
    } finally {
      await Promise.all(scrubs.map((scrub) => scrub.stop()));
      await disk.close();
    }
    assert.equal(disk.clock.pendingTimers, 0);
  });
}

/** So fast that it never waits. */
const unpaced = Number.MAX_SAFE_INTEGER;

async function runToEnd(scrub: Scrub): Promise<ScrubProgress> {
  await scrub.verify(unpaced);
  return scrub.progress;
}

/** When the clock of a test starts. */
const startMs = Date.UTC(2026, 0, 1);
const dayMs = 24 * 3_600_000;

/** Moves time on while the pass that runs waits for its pace. */
async function advanceToEnd({ disk }: Scrubbing, scrub: Scrub): Promise<void> {
  for (let steps = 0; scrub.progress.state === "running"; steps += 1) {
    assert.ok(steps < 1000);
    await until(() => disk.clock.pendingTimers > 0 || scrub.progress.state !== "running");
    if (scrub.progress.state === "running") await disk.clock.advance(1000);
  }
}

/** A disk whose scan never ends. */
const scannedDisk: ScrubbedDisk = {
  directory: "/nowhere",
  usedBytes: 0,
  ready: new Promise(() => undefined),
  readsInProgress: 0,
  hold: () => undefined,
  release: () => {},
  distrust: () => Promise.resolve(false),
};

/** `count` chunks of 2.5 blocks. */
async function putChunks(disk: DiskFixture, tier: DiskTier, count: number): Promise<ChunkKey[]> {
  const keys = Array.from({ length: count }, (_, index) => keyOf(`k${index}`, 2.5 * MiB));
  for (const key of keys) assert.equal(await disk.put(tier, key), "stored");
  return keys;
}

function fileSizeOf(key: ChunkKey): number {
  return chunkFileSize(storedKeyOf(key));
}

function flipBit(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] as number) ^ 1;
  writeFileSync(path, bytes);
}

/** A chunk whose blocks have right checksums, and which is not the one its SHA-256 is of. */
function forgeSha256(path: string, key: ChunkKey): void {
  const bytes = readFileSync(path);
  const lengthBytes = key.version.chunkLength(key.index);
  const data = bytes.subarray(0, lengthBytes);
  const blocks = Math.ceil(lengthBytes / MiB);
  const blockCrcs = Uint32Array.from({ length: blocks }, (_, block) =>
    bytes.readUInt32LE(lengthBytes + 4 * block),
  );
  const footer = encodeFooter({
    storedKey: storedKeyOf(key),
    lengthBytes,
    blockCrcs,
    sha256: Buffer.alloc(32, 7),
  });
  writeFileSync(path, Buffer.concat([data, footer]));
}

criterion("what is right is checked once, and stays", async ({ disk, tier, scrub }) => {
  const keys = await putChunks(disk, tier, 12);
  const bytes = tier.usedBytes;
  const made = scrub();
  assert.equal(made.progress.state, "idle");
  const progress = await runToEnd(made);
  assert.deepEqual(
    { ...progress, cursor: "" },
    {
      state: "complete",
      cursor: "",
      checkedChunks: 12,
      checkedBytes: bytes,
      totalBytes: bytes,
      badChunks: 0,
      skippedChunks: 0,
      reason: "",
      finished: {
        checkedChunks: 12,
        checkedBytes: bytes,
        badChunks: 0,
        skippedChunks: 0,
        finishedMs: disk.clock.now(),
      },
      dueMs: undefined,
    },
  );
  for (const key of keys) assert.ok(await readChunk(tier, key));
  assert.equal((await runToEnd(made)).checkedChunks, 12);
  assert.deepEqual([made.stats.passes, made.stats.checkedChunks], [2, 24]);
});

criterion("nothing on disk is nothing to check, and takes no thread", async ({ scrub }) => {
  const threadModule = new URL("data:text/javascript,throw new Error('out of order')");
  const { state, checkedChunks } = await runToEnd(scrub({ threadModule }));
  assert.deepEqual([state, checkedChunks], ["complete", 0]);
});

const damages: Readonly<Record<string, (path: string, key: ChunkKey) => void>> = {
  "a flipped bit in the first block": (path) => flipBit(path, 3),
  "a flipped bit in the last block": (path) => flipBit(path, 2.5 * MiB - 1),
  "a flipped bit in the footer": (path) => flipBit(path, statSync(path).size - 70),
  "a SHA-256 that is another chunk's": forgeSha256,
  "a file that ends in its data": (path) => truncateSync(path, MiB + 3),
  "an empty file": (path) => truncateSync(path, 0),
  "a file with a byte too much": (path) => writeFileSync(path, Buffer.alloc(1), { flag: "a" }),
};

for (const [title, damage] of Object.entries(damages)) {
  criterion(`${title} is found, removed and counted, and the next put heals it`, async (scrubbing) => {
    const { disk, tier, scrub } = scrubbing;
    const [key, ...others] = (await putChunks(disk, tier, 4)) as [ChunkKey, ...ChunkKey[]];
    damage(disk.pathOf(key), key);
    const progress = await runToEnd(scrub());
    assert.deepEqual([progress.checkedChunks, progress.badChunks, progress.skippedChunks], [4, 1, 0]);
    assert.equal(tier.presence(key), "absent");
    assert.equal(tier.stats.damaged, 1);
    assert.equal(tier.usedBytes, 3 * fileSizeOf(key));
    assert.equal(disk.bytesOnDisk(), tier.usedBytes);
    assert.equal(await disk.put(tier, key), "stored");
    for (const each of [key, ...others]) assert.ok(await readChunk(tier, each));
    assert.equal((await runToEnd(scrub())).badChunks, 0);
  });
}

criterion("a whole chunk under another one's name is bad", async ({ disk, tier, scrub }) => {
  const [one, two] = (await putChunks(disk, tier, 2)) as [ChunkKey, ChunkKey];
  fs.copyFileSync(disk.pathOf(one), disk.pathOf(two));
  assert.equal((await runToEnd(scrub())).badChunks, 1);
  assert.deepEqual([tier.presence(one), tier.presence(two)], ["held", "absent"]);
});

criterion(
  "a file that is gone is let go of; a file that is nobody's is left",
  async ({ disk, tier, scrub }) => {
    const [gone, stays] = (await putChunks(disk, tier, 2)) as [ChunkKey, ChunkKey];
    rmSync(disk.pathOf(gone));
    const foreign = join(disk.directory, "00", "notes.txt");
    fs.mkdirSync(join(disk.directory, "00"), { recursive: true });
    writeFileSync(foreign, "hello");
    const { state, checkedChunks, badChunks } = await runToEnd(scrub());
    // A file that is not there is not in the list of its directory, and the tier finds out when it is read.
    assert.deepEqual([state, checkedChunks, badChunks], ["complete", 1, 0]);
    assert.ok(fs.existsSync(foreign));
    assert.equal(await readBlock(tier, gone), false);
    assert.ok(await readChunk(tier, stays));
  },
);

criterion("it goes at its pace: 1 MiB/s is a MiB a second", async ({ disk, tier, scrub }) => {
  await putChunks(disk, tier, 1);
  const made = scrub();
  const ended = made.verify(MiB);
  for (const checkedMiB of [1, 2, 2.5]) {
    await until(() => disk.clock.pendingTimers === 1);
    assert.equal(made.progress.checkedBytes, checkedMiB * MiB);
    await disk.clock.advance(checkedMiB === 2.5 ? 499 : 999);
    assert.equal(disk.clock.pendingTimers, 1);
    await disk.clock.advance(1);
  }
  await ended;
  assert.equal(made.progress.state, "complete");
});

criterion("it yields while blocks are read, and goes on in the end", async ({ disk, tier, scrub }) => {
  await putChunks(disk, tier, 1);
  let readsInProgress = 1;
  const busy = {
    directory: tier.directory,
    usedBytes: tier.usedBytes,
    ready: tier.ready,
    hold: tier.hold.bind(tier),
    release: tier.release.bind(tier),
    distrust: tier.distrust.bind(tier),
    get readsInProgress() {
      return readsInProgress;
    },
  };
  const made = scrub({ disk: busy });
  const ended = made.verify(unpaced);
  await until(() => disk.clock.pendingTimers === 1);
  assert.equal(made.progress.checkedBytes, 0);
  await disk.clock.advance(10);
  assert.equal(made.progress.checkedBytes, 0, "a reader is still there");
  await disk.clock.advance(40);
  await until(() => made.progress.checkedBytes === MiB);
  readsInProgress = 0;
  await until(() => disk.clock.pendingTimers === 1);
  await disk.clock.advance(2);
  await ended;
  assert.equal(made.progress.checkedChunks, 1);
});

criterion("a second verify joins the pass that runs, and the last rate counts", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  await putChunks(disk, tier, 4);
  const made = scrub();
  const first = made.verify(MiB);
  await until(() => disk.clock.pendingTimers === 1);
  assert.equal(made.progress.checkedBytes, MiB);
  const second = made.verify();
  await disk.clock.advance(999);
  assert.equal(made.progress.checkedBytes, MiB, "a verify without a rate changes none");
  const third = made.verify(unpaced);
  await disk.clock.advance(1);
  await Promise.all([first, second, third]);
  assert.deepEqual([made.stats.passes, made.stats.checkedChunks, disk.clock.now()], [1, 4, startMs + 1000]);
  // The next pass has the default rate again: 10 MiB of chunks at 64 MiB a second.
  const next = made.verify();
  await advanceToEnd(scrubbing, made);
  await next;
  assert.ok(disk.clock.now() >= startMs + 1000 + (9 / 64) * 1000);
});

criterion("stop keeps the cursor, and a part of a chunk counts for nothing", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  await putChunks(disk, tier, 6);
  const made = scrub();
  const ended = made.verify(MiB);
  // Three seconds for each of the first two chunks, and a MiB of the third.
  for (let seconds = 0; made.progress.checkedChunks < 2; seconds += 1) {
    assert.ok(seconds < 8);
    await until(() => disk.clock.pendingTimers === 1);
    await disk.clock.advance(1000);
  }
  await until(() => disk.clock.pendingTimers === 1);
  await made.stop();
  await ended;
  const { state, checkedChunks, checkedBytes, cursor } = made.progress;
  assert.deepEqual([state, checkedChunks], ["stopped", 2]);
  assert.equal(checkedBytes, 2 * fileSizeOf(keyOf("k0", 2.5 * MiB)));
  const after = scrub();
  const progress = await runToEnd(after);
  assert.deepEqual([progress.state, progress.checkedChunks, after.stats.checkedChunks], ["complete", 6, 4]);
  assert.ok(cursor !== "");
});

criterion("it goes on at its cursor after a restart, and begins anew after its end", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  const keys = await putChunks(disk, tier, 6);
  const files = disk
    .chunkFiles()
    .map((path) => path.slice(disk.directory.length + 1))
    .sort();
  const before = scrub();
  const ended = before.verify(MiB);
  while (before.progress.checkedChunks < 3) {
    await until(() => disk.clock.pendingTimers === 1);
    await disk.clock.advance(1000);
  }
  await before.stop();
  await ended;
  assert.equal(before.progress.cursor, files[2]);

  // What lies before the cursor is damaged meanwhile: the next pass finds it, not this one.
  const damaged = keys.find((key) => disk.pathOf(key).endsWith(files[0] as string)) as ChunkKey;
  flipBit(disk.pathOf(damaged), 5);
  const after = scrub();
  assert.deepEqual([after.progress.state, after.progress.cursor], ["stopped", files[2]]);
  const rest = await runToEnd(after);
  assert.deepEqual([rest.checkedChunks, rest.badChunks, after.stats.checkedChunks], [6, 0, 3]);
  const again = scrub();
  assert.deepEqual([again.progress.state, again.progress.checkedChunks], ["complete", 6]);
  assert.deepEqual([(await runToEnd(again)).badChunks, tier.stats.damaged], [1, 1]);
});

criterion("a state file that is none begins at the beginning", async ({ disk, tier, scrub }) => {
  await putChunks(disk, tier, 2);
  const counts = '"checkedChunks":1,"checkedBytes":1,"badChunks":0,"skippedChunks":0';
  for (const text of [
    "",
    "null",
    '{"unfinished":{"cursor":"ff","checkedChunks":-1}}',
    `{"unfinished":{"cursor":5,${counts}}}`,
    `{"unfinished":{"cursor":"ff",${counts}},"finished":{${counts}}}`,
    `{"unfinished":null}`,
  ]) {
    writeFileSync(join(disk.directory, "scrub.json"), text);
    const made = scrub();
    assert.equal(made.progress.state, "idle", text);
    assert.equal((await runToEnd(made)).checkedChunks, 2, text);
  }
});

criterion("the state file is none of the tier's: a scan leaves it", async ({ disk, tier, scrub }) => {
  await putChunks(disk, tier, 2);
  const made = scrub();
  const ended = made.verify(MiB);
  await until(() => disk.clock.pendingTimers === 1);
  await made.stop();
  await ended;
  await tier.close(60_000);
  const again = await disk.open();
  assert.deepEqual([again.chunkCount, again.stats.foreignFilesRemoved], [2, 0]);
  assert.ok(readdirSync(disk.directory).includes("scrub.json"));
});

criterion(
  "a chunk that was away and back while it was checked is not judged",
  async ({ disk, tier, scrub }) => {
    const [key] = (await putChunks(disk, tier, 1)) as [ChunkKey];
    const path = key.version.chunkPath(key.index);
    flipBit(disk.pathOf(key), 2 * MiB);
    const made = scrub();
    const ended = made.verify(MiB);
    // The first block is read, the file is open.
    await until(() => disk.clock.pendingTimers === 1);
    await tier.discard(path);
    assert.equal(await disk.put(tier, key), "stored");
    await disk.clock.advance(5000);
    for (let turn = 0; made.progress.state === "running" && turn < 5; turn += 1) {
      await until(() => disk.clock.pendingTimers === 1 || made.progress.state !== "running");
      await disk.clock.advance(5000);
    }
    await ended;
    assert.deepEqual([made.progress.badChunks, made.progress.checkedChunks], [0, 0]);
    assert.ok(await readChunk(tier, key));
  },
);

criterion("a thread that dies fails it with the reason, and the next verify goes on", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  await putChunks(disk, tier, 2);
  const threadModule = new URL("data:text/javascript,throw new Error('out of order')");
  const made = scrub({ threadModule });
  const { state, reason } = await runToEnd(made);
  assert.equal(state, "failed");
  assert.match(reason, /^Cannot look at the chunks on disk: the thread failed/);
  assert.equal(disk.logger.count("error"), 1);
  assert.equal((await runToEnd(scrub())).checkedChunks, 2);
});

criterion("stop ends it also before the scan of the disk has ended", async ({ scrub }) => {
  const made = scrub({ disk: scannedDisk, intervalMs: dayMs });
  made.start();
  const ended = made.verify();
  assert.equal(made.progress.state, "running");
  await made.stop();
  await ended;
  assert.equal(made.progress.state, "stopped");
});

criterion("after stop, verify is rejected", async ({ disk, tier, scrub }) => {
  await putChunks(disk, tier, 1);
  const made = scrub();
  await made.stop();
  throwsWith("shutting_down", () => made.verify(unpaced));
  assert.deepEqual([made.progress.state, made.stats.passes], ["idle", 0]);
});

/** Resolves when the first pass has ended and the scrub sleeps until the next one. */
async function passEnded(scrubbing: Scrubbing, scrub: Scrub): Promise<void> {
  await until(() => scrub.progress.state !== "idle");
  await advanceToEnd(scrubbing, scrub);
  await until(() => scrubbing.disk.clock.pendingTimers === 1);
}

criterion(
  "by itself it runs at once, and then once per interval from the end of a pass",
  async (scrubbing) => {
    const { disk, tier, scrub } = scrubbing;
    await putChunks(disk, tier, 2);
    const made = scrub({ intervalMs: 30 * dayMs });
    made.start();
    await passEnded(scrubbing, made);
    const { finished, dueMs } = made.progress;
    assert.deepEqual([made.stats.passes, made.stats.checkedChunks], [1, 2]);
    assert.equal(dueMs, (finished?.finishedMs ?? 0) + 30 * dayMs);
    await disk.clock.advance((dueMs ?? 0) - disk.clock.now() - 1);
    assert.deepEqual([made.stats.passes, made.progress.state, disk.clock.pendingTimers], [1, "complete", 1]);
    await disk.clock.advance(1);
    assert.equal(made.progress.state, "running");
    await advanceToEnd(scrubbing, made);
    assert.deepEqual([made.stats.passes, made.stats.checkedChunks], [2, 4]);
    assert.ok((made.progress.dueMs ?? 0) >= disk.clock.now() + 30 * dayMs);
  },
);

criterion("the interval counts across a restart", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  await putChunks(disk, tier, 1);
  const before = scrub({ intervalMs: 30 * dayMs });
  before.start();
  await passEnded(scrubbing, before);
  const dueMs = before.progress.dueMs ?? 0;
  await disk.clock.advance(20 * dayMs);
  await before.stop();
  const after = scrub({ intervalMs: 30 * dayMs });
  assert.deepEqual([after.progress.state, after.progress.dueMs], ["complete", dueMs]);
  after.start();
  await disk.clock.advance(dueMs - disk.clock.now() - 1);
  assert.equal(after.progress.state, "complete");
  await disk.clock.advance(1);
  await advanceToEnd(scrubbing, after);
  assert.equal(after.stats.passes, 1);
});

criterion("an interrupted pass goes on at once after a restart", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  await putChunks(disk, tier, 4);
  const before = scrub({ intervalMs: 30 * dayMs });
  before.start();
  void before.verify(MiB);
  while (before.progress.checkedChunks < 2) {
    await until(() => disk.clock.pendingTimers === 1);
    await disk.clock.advance(1000);
  }
  await before.stop();
  const after = scrub({ intervalMs: 30 * dayMs });
  assert.equal(after.progress.state, "stopped");
  after.start();
  await advanceToEnd(scrubbing, after);
  assert.deepEqual([after.progress.state, after.progress.checkedChunks], ["complete", 4]);
  assert.equal(after.stats.checkedChunks, 2);
});

criterion("an interval of 0 starts nothing, and leaves an interrupted pass", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  await putChunks(disk, tier, 1);
  const made = scrub({ intervalMs: 0 });
  made.start();
  await disk.clock.advance(100 * dayMs);
  assert.deepEqual(
    [made.progress.state, made.progress.dueMs, disk.clock.pendingTimers],
    ["idle", undefined, 0],
  );
  const ended = made.verify(MiB);
  await until(() => disk.clock.pendingTimers === 1);
  await made.stop();
  await ended;
  const after = scrub({ intervalMs: 0 });
  after.start();
  await disk.clock.advance(100 * dayMs);
  assert.deepEqual([after.progress.state, after.stats.checkedChunks], ["stopped", 0]);
});

criterion("verify joins the pass that runs by itself, and puts the next one off", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  await putChunks(disk, tier, 2);
  const made = scrub({ intervalMs: 10 * dayMs });
  made.start();
  await made.verify(unpaced);
  assert.equal(made.stats.passes, 1);
  await disk.clock.advance(6 * dayMs);
  await made.verify(unpaced);
  assert.equal(made.stats.passes, 2);
  await disk.clock.advance(9 * dayMs);
  assert.equal(made.stats.passes, 2);
  await disk.clock.advance(dayMs);
  await advanceToEnd(scrubbing, made);
  assert.equal(made.stats.passes, 3);
});

criterion("damage found in the background is deleted and counted", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  const [victim] = (await putChunks(disk, tier, 3)) as [ChunkKey];
  flipBit(disk.pathOf(victim), 7);
  const made = scrub({ intervalMs: dayMs });
  made.start();
  await passEnded(scrubbing, made);
  assert.deepEqual([made.stats.badChunks, made.progress.finished?.badChunks, tier.stats.damaged], [1, 1, 1]);
  assert.equal(tier.presence(victim), "absent");
  assert.ok(!fs.existsSync(disk.pathOf(victim)));
});

criterion("stop while it runs by itself ends it, and nothing starts it again", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  await putChunks(disk, tier, 2);
  const made = scrub({ intervalMs: dayMs });
  made.start();
  void made.verify(MiB);
  await until(() => disk.clock.pendingTimers === 1);
  await made.stop();
  assert.deepEqual([made.progress.state, disk.clock.pendingTimers], ["stopped", 0]);
  await disk.clock.advance(10 * dayMs);
  assert.deepEqual([made.progress.state, made.stats.passes], ["stopped", 0]);
});

criterion("a pass that fails is tried again after an hour", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  await putChunks(disk, tier, 1);
  const threadModule = new URL("data:text/javascript,throw new Error('out of order')");
  const made = scrub({ intervalMs: dayMs, threadModule });
  made.start();
  await until(() => made.progress.state === "failed" && disk.clock.pendingTimers === 1);
  await disk.clock.advance(3_600_000 - 1);
  assert.deepEqual([made.stats.passesFailed, made.progress.state], [1, "failed"]);
  await disk.clock.advance(1);
  await until(() => made.stats.passesFailed === 2);
  assert.equal(disk.logger.count("error"), 2);
});

criterion("a pass that finished in the future counts as one that finished now", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  await putChunks(disk, tier, 1);
  const counts = { checkedChunks: 1, checkedBytes: 1, badChunks: 0, skippedChunks: 0 };
  const finishedMs = disk.clock.now() + 1000 * dayMs;
  writeFileSync(join(disk.directory, "scrub.json"), JSON.stringify({ finished: { ...counts, finishedMs } }));
  const made = scrub({ intervalMs: dayMs });
  assert.equal(made.progress.dueMs, disk.clock.now() + dayMs);
});

criterion("a state file that cannot be written is one warning, and stops nothing", async (scrubbing) => {
  const { disk, tier, scrub } = scrubbing;
  await putChunks(disk, tier, 3);
  fs.mkdirSync(join(disk.directory, "scrub.json.new"));
  assert.equal((await runToEnd(scrub())).state, "complete");
  assert.equal(disk.logger.count("warn"), 1);
});

criterion(
  "a disk that does not answer is told once with the file, and told when the pass is stopped",
  async ({ disk, tier, scrub }) => {
    await putChunks(disk, tier, 1);
    const stalls = new StallWatch(disk.clock, disk.logger);
    const silent = "import{parentPort}from'node:worker_threads';parentPort.on('message',()=>{})";
    const made = scrub({ stalls, threadModule: new URL(`data:text/javascript,${silent}`) });
    const lines = (event: string) =>
      disk.logger.events
        .map(({ fields }) => fields as Record<string, unknown>)
        .filter((line) => line["event"] === event);
    const verified = made.verify();
    await until(() => stalls.callsWatched === 1);
    await disk.clock.advance(20_000);
    const [line] = lines("call_stalled");
    assert.deepEqual(
      [lines("call_stalled").length, line?.["place"], line?.["operation"]],
      [1, "disk", "scrub"],
    );
    assert.equal(line?.["path"], join(tier.directory, "00"));
    assert.deepEqual(line?.["stack"], [
      "disk scrub",
      "the list of the files in 00 by the scrub waits for it",
    ]);
    await made.stop();
    await verified;
    assert.deepEqual([lines("call_stall_ended")[0]?.["result"], stalls.callsWatched], ["failed", 0]);
  },
);
