import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { KiB } from "../../../src/base/units.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { type DiskFixture, keyOf } from "./disk-fixture.ts";
import { slicedThread } from "./disk-sliced-thread.ts";

const criterion = diskCriteria("DiskTier");

/** Entries that one turn of the event loop may evict. */
const sliceMax = 512;
const threadModule = slicedThread(sliceMax);

/** Files that a scan takes for chunks. Writing real chunks takes longer. */
function writeFiles(fixture: DiskFixture, count: number, sizeBytes = KiB): void {
  for (let index = 0; index < count; index += 1) {
    const path = fixture.pathOf(keyOf(`file-${index}`, KiB));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.alloc(sizeBytes));
  }
}

criterion("the start evicts down to the low watermark, a slice in each job", async (fixture) => {
  writeFiles(fixture, 2000);
  const tier = await fixture.open({ maxBytes: 400 * KiB, threadModule });
  assert.equal(tier.stats.threadCrashes, 0);
  assert.equal(tier.chunkCount, 340);
  assert.equal(fixture.bytesOnDisk(), 340 * KiB);
  assert.equal(tier.stats.evictions, 1660);
});

criterion("a commit evicts one slice, and the rest goes between the next jobs", async (fixture) => {
  writeFiles(fixture, 1900);
  const tier = await fixture.open({ maxBytes: 2000 * KiB, lowWatermark: 0.1, threadModule });
  assert.equal(tier.chunkCount, 1900);
  assert.equal(await fixture.put(tier, keyOf("one", KiB)), "stored");
  assert.equal(tier.stats.evictions, sliceMax);
  while (tier.stats.evictions < 1702) {
    assert.equal(await fixture.put(tier, keyOf(`next-${tier.stats.evictions}`, KiB)), "stored");
  }
  await tier.close(60_000);
  assert.equal(tier.stats.threadCrashes, 0);
  assert.equal(tier.usedBytes, fixture.bytesOnDisk());
});

criterion(
  "a chunk for which one slice makes no room is not_stored, a later one is stored",
  async (fixture) => {
    writeFiles(fixture, 2000, 100);
    const tier = await fixture.open({ maxBytes: 200_000, highWatermark: 1, lowWatermark: 0.1, threadModule });
    assert.equal(await fixture.put(tier, keyOf("large", 100_000)), "not_stored");
    assert.equal(await fixture.put(tier, keyOf("large", 100_000)), "stored");
    await tier.close(60_000);
    assert.equal(tier.stats.threadCrashes, 0);
    assert.equal(tier.usedBytes, fixture.bytesOnDisk());
  },
);
