import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SystemClock } from "../../../src/base/clock.ts";
import { MetricsRegistry } from "../../../src/ops/metrics/metrics.ts";
import { registerReplicationMetrics } from "../../../src/ops/metrics/replication-metrics.ts";
import { ReplicatedFixture } from "../../support/replicated-fixture.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/metrics.md"), "utf8");

async function rendered() {
  const parts = new ReplicatedFixture().get("r0");
  let next = 0;
  for (const { stats } of [
    parts.replication,
    parts.announcer,
    parts.puller,
    parts.peerCopies,
    parts.antiEntropy,
  ]) {
    for (const name of Object.keys(stats)) {
      next += 1;
      (stats as Record<string, number>)[name] = next;
    }
  }
  parts.inventory.stats.pages = next + 1;
  const metrics = new MetricsRegistry(new SystemClock());
  registerReplicationMetrics(metrics, parts);
  const lines = (await metrics.render()).split("\n").filter((line) => line.startsWith("orca_"));
  return { parts, lines };
}

function valueOf(lines: readonly string[], series: string): number {
  return Number(lines.find((line) => line.startsWith(`${series} `))?.slice(series.length + 1));
}

test("registerReplicationMetrics: every number is read at the scrape, under its own name", async () => {
  const { parts, lines } = await rendered();
  const { puller, peerCopies, antiEntropy, replication, announcer, inventory } = parts;
  const expected: Record<string, number> = {
    'orca_replication_announcements_total{event="published"}': replication.stats.announced,
    'orca_replication_announcements_total{event="heard"}': replication.stats.heard,
    'orca_replication_announcements_total{event="wanted"}': replication.stats.wanted,
    'orca_replication_announcements_sent_total{end="delivered"}': announcer.stats.delivered,
    'orca_replication_announcements_sent_total{end="dropped"}': announcer.stats.dropped,
    'orca_replication_announcements_sent_total{end="failed"}': announcer.stats.failed,
    'orca_pulls_total{end="pulled"}': puller.stats.pulled,
    'orca_pulls_total{end="missing"}': puller.stats.missing,
    'orca_pulls_total{end="not_stored"}': puller.stats.not_stored,
    'orca_pulls_total{end="dropped"}': puller.stats.dropped,
    orca_pull_bytes_total: puller.stats.pulledBytes,
    orca_pull_mismatches_total: puller.stats.mismatches,
    orca_pulls_unverified_total: puller.stats.unverified,
    orca_pulls_resumed_total: puller.stats.resumed,
    orca_pull_restarts_total: puller.stats.restarts,
    orca_pull_retries_total: puller.stats.retries,
    orca_pull_yields_total: puller.stats.yields,
    'orca_fill_peer_asks_total{end="fetched"}': peerCopies.stats.fetched,
    'orca_fill_peer_asks_total{end="not_held"}': peerCopies.stats.notHeld,
    'orca_fill_peer_asks_total{end="silent"}': peerCopies.stats.silent,
    orca_fill_peer_bytes_total: peerCopies.stats.fetchedBytes,
    orca_anti_entropy_rounds_total: antiEntropy.stats.rounds,
    orca_anti_entropy_running: antiEntropy.stats.running,
    'orca_anti_entropy_chunks{state="total"}': antiEntropy.stats.total,
    'orca_anti_entropy_chunks{state="compared"}': antiEntropy.stats.compared,
    'orca_anti_entropy_chunks{state="missing"}': antiEntropy.stats.missing,
    'orca_anti_entropy_chunks{state="unfit"}': antiEntropy.stats.unfit,
    orca_anti_entropy_peers_failed: antiEntropy.stats.peersFailed,
    orca_extra_copies: antiEntropy.stats.extraCopies,
    orca_inventory_pages_total: inventory.stats.pages,
  };
  for (const [series, value] of Object.entries(expected)) assert.equal(valueOf(lines, series), value, series);
});

test("registerReplicationMetrics: docs/metrics.md tells of every metric", async () => {
  const { lines } = await rendered();
  const names = new Set(lines.map((line) => (/^[a-z0-9_]+/.exec(line) as RegExpExecArray)[0]));
  for (const name of names) assert.ok(page.includes(`\n| \`${name}\` `), name);
});
