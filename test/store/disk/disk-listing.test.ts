import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { KiB, MiB } from "../../../src/base/units.ts";
import { chunkFileSize, storedKeyOf } from "../../../src/store/chunk-file/chunk-file.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { refOf } from "./disk-fixture.ts";

const criterion = diskCriteria("DiskTier");

function pathOf({ version, index }: ChunkKey): string {
  return version.chunkPath(index);
}

function refs(count: number): ChunkKey[] {
  return Array.from({ length: count }, (_, index) => refOf(`key-${index}`, KiB));
}

criterion(
  "what is held is listed once, page by page, in the same order whatever comes and goes",
  async (fixture) => {
    const tier = await fixture.open();
    const held = refs(600);
    for (const ref of held) await fixture.put(tier, ref);
    const found: string[] = [];
    for (let page = tier.pathsAfter("", 7); page.length > 0; page = tier.pathsAfter(found.at(-1) ?? "", 7)) {
      found.push(...page);
    }
    assert.deepEqual(found.toSorted(), held.map(pathOf).toSorted());
    const gone = found[100] as string;
    await tier.discard(gone);
    assert.equal(tier.holds(gone), false);
    assert.deepEqual(tier.pathsAfter(gone, 3), found.slice(101, 104), "a page begins behind what has gone");
    assert.deepEqual(
      tier.pathsAfter("", 600),
      found.filter((path) => path !== gone),
    );
  },
);

criterion("which chunk a path stands for is read from its file, after a restart as well", async (fixture) => {
  const first = await fixture.open();
  const ref = refOf(`dir/${"k".repeat(900)} \u{1F40B}`, 20 * MiB + 1, 2);
  await fixture.put(first, ref);
  await first.close(60_000);
  const tier = await fixture.open();
  const found = await tier.refOf(pathOf(ref));
  assert.deepEqual(found && storedKeyOf(found), storedKeyOf(ref));
  assert.equal(await tier.refOf(pathOf(refOf("other", KiB))), undefined);
});

criterion("a file that is damaged, short, gone or another chunk's stands for none", async (fixture) => {
  const tier = await fixture.open();
  const [torn, short, empty, other] = refs(4) as [ChunkKey, ChunkKey, ChunkKey, ChunkKey];
  for (const ref of [torn, short, empty, other]) await fixture.put(tier, ref);
  writeFileSync(fixture.pathOf(torn), Buffer.alloc(chunkFileSize(storedKeyOf(torn)), 1));
  truncateSync(fixture.pathOf(short), 20);
  truncateSync(fixture.pathOf(empty), 0);
  for (const ref of [torn, short, empty]) assert.equal(await tier.refOf(pathOf(ref)), undefined);
  assert.ok(await tier.refOf(pathOf(other)));
});

criterion(
  "what can be written without anything giving way is the room below the high watermark",
  async (fixture) => {
    const [ref] = refs(1) as [ChunkKey];
    const tier = await fixture.open({ maxBytes: 10 * MiB, highWatermark: 0.5, lowWatermark: 0.4 });
    assert.equal(tier.spareBytes, 5 * MiB);
    await fixture.put(tier, ref);
    assert.equal(tier.spareBytes, 5 * MiB - chunkFileSize(storedKeyOf(ref)));
  },
);
