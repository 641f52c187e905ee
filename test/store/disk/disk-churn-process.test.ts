import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { TestProcess } from "../../support/process.ts";
import { churn, churnBytesMax } from "./disk-churn.ts";
import { DiskFixture, newS3Fifo } from "./disk-fixture.ts";
import { meteredThread } from "./disk-metered-thread.ts";

const metered = meteredThread(churnBytesMax);

for (const seed of [1, 2]) {
  test(`DiskTier: after 4,000 operations the account matches the file system (seed ${seed})`, async () => {
    const disk = new DiskFixture();
    try {
      const tier = await disk.open({ maxBytes: churnBytesMax, policy: newS3Fifo, threadModule: metered });
      for (let round = 0; round < 4; round += 1) {
        await churn(tier, disk.budget, seed * 100 + round, 1000);
        assert.equal(tier.usedBytes, disk.bytesOnDisk());
        assert.equal(tier.chunkCount, disk.chunkFiles().length);
        assert.deepEqual(disk.stagedFiles(), []);
      }
      // The thread would have ended at the first byte over the limit.
      assert.equal(tier.stats.threadCrashes, 0);
      assert.ok(tier.stats.evictions > 100, `${tier.stats.evictions} evictions`);
      assert.deepEqual([tier.stats.damaged, tier.stats.vanished], [0, 0]);
      const { usedBytes, chunkCount } = tier;
      await tier.close(60_000);
      const again = await disk.open({ maxBytes: churnBytesMax, policy: newS3Fifo });
      assert.deepEqual([again.usedBytes, again.chunkCount], [usedBytes, chunkCount]);
    } finally {
      await disk.close();
    }
    assert.equal(disk.budget.usedBytes, 0);
  });
}

test("DiskTier: the meter of this test sees a byte over the limit", async () => {
  const disk = new DiskFixture();
  try {
    const tier = await disk.open({
      maxBytes: churnBytesMax,
      policy: newS3Fifo,
      threadModule: meteredThread(1000),
    });
    await churn(tier, disk.budget, 1, 20);
    assert.ok(tier.stats.threadCrashes > 0);
    assert.equal(tier.usedBytes, disk.bytesOnDisk());
  } finally {
    await disk.close();
  }
});

test("DiskTier: after repeated kill -9 during operations the account is exact", async () => {
  const disk = new DiskFixture();
  const script = fileURLToPath(new URL("./disk-churner.ts", import.meta.url));
  try {
    for (let round = 1; round <= 3; round += 1) {
      const churner = new TestProcess("churner", process.execPath, [script, disk.root, String(round)]);
      await churner.line(new RegExp(`^done ${round}00$`));
      await churner.stop("SIGKILL");
      const tier = await disk.open({ maxBytes: churnBytesMax, policy: newS3Fifo, threadModule: metered });
      assert.ok(tier.chunkCount > 10);
      assert.equal(tier.usedBytes, disk.bytesOnDisk());
      assert.ok(disk.bytesOnDisk() <= churnBytesMax);
      assert.deepEqual(disk.stagedFiles(), []);
      await churn(tier, disk.budget, round, 200);
      assert.equal(tier.usedBytes, disk.bytesOnDisk());
      assert.deepEqual([tier.stats.threadCrashes, tier.stats.damaged], [0, 0]);
      await tier.close(60_000);
    }
  } finally {
    await disk.close();
  }
});
