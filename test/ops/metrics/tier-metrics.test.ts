import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemClock } from "../../../src/base/clock.ts";
import { MetricsRegistry } from "../../../src/ops/metrics/metrics.ts";
import { registerTierMetrics, type TierParts } from "../../../src/ops/metrics/tier-metrics.ts";
import { replicaParts } from "../../support/metrics-sample.ts";

async function rendered(parts: TierParts): Promise<string[]> {
  const metrics = new MetricsRegistry(new SystemClock());
  registerTierMetrics(metrics, parts);
  return (await metrics.render()).split("\n").filter((line) => line.startsWith("orca_"));
}

test("registerTierMetrics: the scrub tells its progress, its last finish and what it found", async () => {
  const parts = replicaParts();
  const counts = { checkedChunks: 10, checkedBytes: 500, badChunks: 2, skippedChunks: 1 };
  const scrub = {
    stats: { ...counts, passes: 3, passesFailed: 4 },
    progress: {
      ...parts.scrub.progress,
      ...counts,
      state: "running" as const,
      totalBytes: 2000,
      finished: { ...counts, finishedMs: 5000 },
    },
  };
  const lines = (await rendered({ ...parts, scrub })).filter((line) => line.startsWith("orca_scrub"));
  assert.deepEqual(lines, [
    "orca_scrub_running 1",
    "orca_scrub_progress_ratio 0.25",
    "orca_scrub_last_finished_timestamp_seconds 5",
    'orca_scrub_passes_total{end="finished"} 3',
    'orca_scrub_passes_total{end="failed"} 4',
    'orca_scrub_chunks_total{result="good"} 7',
    'orca_scrub_chunks_total{result="damaged"} 2',
    'orca_scrub_chunks_total{result="skipped"} 1',
    "orca_scrub_checked_bytes_total 500",
  ]);
});

test("registerTierMetrics: the progress is 0 before the first pass, 1 after one, and never more", async () => {
  const { scrub, ...parts } = replicaParts();
  const idle = await rendered({ ...parts, scrub });
  assert.ok(idle.includes("orca_scrub_progress_ratio 0"));
  assert.ok(idle.includes("orca_scrub_last_finished_timestamp_seconds 0"));
  for (const fields of [
    { state: "running" as const, checkedBytes: 50, totalBytes: 10 },
    { state: "complete" as const, checkedBytes: 50, totalBytes: 1000 },
  ]) {
    const progress = { ...scrub.progress, ...fields };
    const lines = await rendered({ ...parts, scrub: { ...scrub, progress } });
    assert.ok(lines.includes("orca_scrub_progress_ratio 1"), fields.state);
  }
});

test("registerTierMetrics: without a disk tier there is nothing of disk or scrub", async () => {
  const lines = await rendered({ ...replicaParts(), disk: undefined, scrub: undefined });
  assert.ok(lines.every((line) => line.startsWith("orca_memory_")));
});

test("registerTierMetrics: a bucket with a share or a priority has two series, and without one there are none", async () => {
  const { disk, ...parts } = replicaParts();
  const figures = [
    { originId: "o", bucket: "kept", priority: "normal" as const, bytes: 7, shareBytes: 10 },
    { originId: "p", bucket: "*", priority: "low" as const, bytes: 5, shareBytes: 0 },
  ];
  const lines = await rendered({ ...parts, disk: { ...disk, shares: { figures: () => figures } } });
  assert.deepEqual(
    lines.filter((line) => line.startsWith("orca_disk_bucket_")),
    [
      'orca_disk_bucket_bytes{origin="o",bucket="kept"} 7',
      'orca_disk_bucket_bytes{origin="p",bucket="*"} 5',
      'orca_disk_bucket_share_bytes{origin="o",bucket="kept"} 10',
      'orca_disk_bucket_share_bytes{origin="p",bucket="*"} 0',
    ],
  );
  const none = await rendered({ ...parts, disk: { ...disk, shares: undefined } });
  assert.ok(!none.some((line) => line.includes("_bucket_")));
});
