/** A disk tier whose process is killed while it writes, and one with so many files that a scan takes long. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MiB } from "../../../src/base/units.ts";
import { chunkFileSize, storedKeyOf } from "../../../src/store/chunk-file/chunk-file.ts";
import { TestProcess } from "../../support/process.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { keyOf, readChunk } from "./disk-fixture.ts";

const criterion = diskCriteria("DiskTier");

criterion("kill -9 while writing leaves only whole chunks", async (fixture) => {
  const script = fileURLToPath(new URL("./disk-scribbler.ts", import.meta.url));
  for (let round = 0; round < 3; round += 1) {
    const scribbler = new TestProcess("scribbler", process.execPath, [script, fixture.root, String(round)]);
    await scribbler.line(new RegExp(`^stored ${round * 3 + 4}$`));
    await scribbler.stop("SIGKILL");
    const tier = await fixture.open();
    assert.deepEqual(fixture.stagedFiles(), []);
    assert.ok(tier.chunkCount >= 5);
    let whole = 0;
    for (let index = 0; index < 200; index += 1) {
      const key = keyOf(`scribble-${round}`, 800 * MiB, index, 4 * MiB);
      if (tier.presence(key) === "held" && (await readChunk(tier, key))) whole += 1;
    }
    assert.ok(whole >= 5);
    assert.deepEqual([tier.stats.damaged, tier.stats.foreignFilesRemoved], [0, 0]);
    assert.equal(tier.usedBytes, fixture.bytesOnDisk());
    await tier.close(60_000);
  }
});

criterion("ten thousand chunks are scanned", async (fixture) => {
  const first = await fixture.open();
  await first.close(60_000);
  for (let index = 0; index < 10_000; index += 1) {
    const key = keyOf(`key-${index}`, 40);
    mkdirSync(join(fixture.directory, key.version.hash.slice(0, 2)), { recursive: true });
    writeFileSync(fixture.pathOf(key), Buffer.alloc(chunkFileSize(storedKeyOf(key))));
  }
  const tier = await fixture.open();
  assert.equal(tier.chunkCount, 10_000);
  assert.equal(tier.usedBytes, fixture.bytesOnDisk());
});
