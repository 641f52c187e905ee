import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import { DiskFixture, keyOf, readBlock } from "./disk-fixture.ts";

test("DiskTier.distrust: an open file that is found missing is a miss for the next reader", async () => {
  const disk = new DiskFixture();
  try {
    const tier = await disk.open();
    const key = keyOf("k", 2 * MiB);
    assert.equal(await disk.put(tier, key), "stored");
    assert.equal(await readBlock(tier, key, 0), true);
    rmSync(disk.pathOf(key));
    const entry = tier.hold(key.version.chunkPath(key.index));
    assert.ok(entry);
    // A scrub does this if it finds that the file was deleted.
    assert.equal(await tier.distrust(entry, { kind: "error", reason: "ENOENT" }), true);
    assert.equal(tier.openFiles, 0);
    assert.equal(await readBlock(tier, key, 1), false);
  } finally {
    await disk.close();
  }
});
