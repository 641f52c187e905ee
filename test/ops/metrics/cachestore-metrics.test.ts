import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SystemClock } from "../../../src/base/clock.ts";
import {
  type CachestoreParts,
  registerCachestoreMetrics,
} from "../../../src/ops/metrics/cachestore-metrics.ts";
import { MetricsRegistry } from "../../../src/ops/metrics/metrics.ts";
import { PosixStats } from "../../../src/store/cachestore/posix/posix-stats.ts";
import { S3CachestoreStats } from "../../../src/store/cachestore/s3/s3-cachestore.ts";
import { cachestoreParts } from "../../support/metrics-sample.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/metrics.md"), "utf8");

async function rendered(parts: CachestoreParts): Promise<string[]> {
  const metrics = new MetricsRegistry(new SystemClock());
  registerCachestoreMetrics(metrics, parts);
  return (await metrics.render()).split("\n").filter((line) => line.startsWith("orca_"));
}

const drivers: readonly CachestoreParts["driver"][] = [
  { kind: "s3", stats: new S3CachestoreStats(), putPolicy: "conditional" },
  { kind: "posixfs", stats: new PosixStats() },
];

for (const driver of drivers) {
  test(`registerCachestoreMetrics: docs/metrics.md tells of every metric of ${driver.kind}`, async () => {
    for (const line of await rendered(cachestoreParts(driver))) {
      const [name = ""] = /^[a-z0-9_]+/.exec(line) ?? [];
      assert.ok(page.includes(`\n| \`${name}\` `), name);
    }
  });
}

test("registerCachestoreMetrics: each read is counted under one result", async () => {
  const parts = cachestoreParts({ kind: "posixfs", stats: new PosixStats() });
  Object.assign(parts.store.stats, { hits: 1, misses: 2 + 4 + 8, readsFailed: 4, missesUnasked: 8 });
  const lines = (await rendered(parts)).filter((line) => line.startsWith("orca_cachestore_reads_total"));
  assert.deepEqual(lines, [
    'orca_cachestore_reads_total{result="hit"} 1',
    'orca_cachestore_reads_total{result="miss"} 2',
    'orca_cachestore_reads_total{result="failed"} 4',
    'orca_cachestore_reads_total{result="breaker_open"} 8',
  ]);
});
