import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  type CachestoreParts,
  registerCachestoreMetrics,
} from "../../../src/ops/metrics/cachestore-metrics.ts";
import { MetricsRegistry } from "../../../src/ops/metrics/metrics.ts";
import { Breaker } from "../../../src/store/cachestore/breaker.ts";
import type { CachestoreDriver } from "../../../src/store/cachestore/cachestore-driver.ts";
import { Catalog } from "../../../src/store/cachestore/catalog.ts";
import { GuardedCachestore } from "../../../src/store/cachestore/guarded-cachestore.ts";
import { PosixStats } from "../../../src/store/cachestore/posix/posix-stats.ts";
import { S3CachestoreStats } from "../../../src/store/cachestore/s3/s3-cachestore-stats.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";

const operations = readFileSync(join(import.meta.dirname, "../../../OPERATIONS.md"), "utf8");

function partsWith(
  driver: CachestoreParts["driver"],
): CachestoreParts & { readonly store: GuardedCachestore } {
  const clock = new FakeClock();
  const breaker = new Breaker({ clock });
  const catalog = new Catalog();
  const logger = new RecordedLogger();
  // It is not asked anything: its stats are what counts.
  const unasked = { kind: driver.kind } as CachestoreDriver;
  const store = new GuardedCachestore({
    driver: unasked,
    breaker,
    catalog,
    clock,
    logger,
  });
  return { store, driver, breaker, catalog };
}

async function rendered(parts: CachestoreParts): Promise<string[]> {
  const metrics = new MetricsRegistry();
  registerCachestoreMetrics(metrics, parts);
  return (await metrics.render()).split("\n").filter((line) => line.startsWith("orca_"));
}

const drivers: readonly CachestoreParts["driver"][] = [
  { kind: "s3", stats: new S3CachestoreStats(), putPolicy: "conditional" },
  { kind: "posixfs", stats: new PosixStats() },
];

for (const driver of drivers) {
  test(`registerCachestoreMetrics: OPERATIONS.md tells of every metric of ${driver.kind}`, async () => {
    for (const line of await rendered(partsWith(driver))) {
      const [name = ""] = /^[a-z0-9_]+/.exec(line) ?? [];
      assert.ok(operations.includes(`\`${name}`), name);
    }
  });
}

test("registerCachestoreMetrics: each read is counted under one result", async () => {
  const parts = partsWith({ kind: "posixfs", stats: new PosixStats() });
  Object.assign(parts.store.stats, { hits: 1, misses: 2 + 4 + 8, readsFailed: 4, missesUnasked: 8 });
  const lines = (await rendered(parts)).filter((line) => line.startsWith("orca_cachestore_reads_total"));
  assert.deepEqual(lines, [
    'orca_cachestore_reads_total{result="hit"} 1',
    'orca_cachestore_reads_total{result="miss"} 2',
    'orca_cachestore_reads_total{result="failed"} 4',
    'orca_cachestore_reads_total{result="breaker_open"} 8',
  ]);
});
