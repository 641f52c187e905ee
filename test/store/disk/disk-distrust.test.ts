import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import { DiskFixture, readBlock, refOf } from "./disk-fixture.ts";

test("DiskTier.distrust: a file found gone while it is open is a miss for the next reader, and no bug", async () => {
  const disk = new DiskFixture();
  try {
    const tier = await disk.open();
    const ref = refOf("k", 2 * MiB);
    assert.equal(await disk.put(tier, ref), "stored");
    assert.equal(await readBlock(tier, ref, 0), true);
    rmSync(disk.pathOf(ref));
    const entry = tier.entry(ref.version.chunkPath(ref.index));
    assert.ok(entry);
    // As a scrub does that comes to the file after somebody has removed it.
    assert.equal(await tier.distrust(entry, { kind: "error", reason: "ENOENT" }), true);
    assert.equal(tier.openFiles, 0);
    assert.equal(await readBlock(tier, ref, 1), false);
  } finally {
    await disk.close();
  }
});
