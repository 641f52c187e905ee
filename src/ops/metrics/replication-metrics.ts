/** The metrics of replicated disks, where several replicas keep each chunk. The parts count; this file only reads. */
import type { Announcer } from "../../fill/replication/announcer.ts";
import type { AntiEntropy } from "../../fill/replication/anti-entropy.ts";
import type { Inventory } from "../../fill/replication/inventory.ts";
import type { PeerCopies } from "../../fill/replication/peer-copies.ts";
import type { Puller } from "../../fill/replication/puller.ts";
import type { Replication } from "../../fill/replication/replication.ts";
import type { LabelledValue, MetricsRegistry } from "./metrics.ts";

export interface ReplicationParts {
  readonly replication: Pick<Replication, "stats">;
  readonly announcer: Pick<Announcer, "stats">;
  readonly puller: Pick<Puller, "stats" | "waiting" | "running">;
  readonly peerCopies: Pick<PeerCopies, "stats">;
  readonly inventory: Pick<Inventory, "stats">;
  readonly antiEntropy: Pick<AntiEntropy, "stats">;
}

export function registerReplicationMetrics(metrics: MetricsRegistry, parts: ReplicationParts): void {
  registerAnnouncements(metrics, parts);
  registerPulls(metrics, parts.puller);
  registerPeerCopies(metrics, parts.peerCopies);
  registerAntiEntropy(metrics, parts.antiEntropy);
  registerInventory(metrics, parts.inventory);
}

function registerAnnouncements(
  metrics: MetricsRegistry,
  { replication: { stats }, announcer: { stats: sent } }: ReplicationParts,
): void {
  metrics.counter(
    "orca_replication_announcements_total",
    "Chunks that this replica announced, heard of, and wanted a copy of.",
    () => labelled("event", { published: stats.announced, heard: stats.heard, wanted: stats.wanted }),
  );
  metrics.counter(
    "orca_replication_announcements_sent_total",
    "Announcements to the other keepers of a chunk, by end: delivered, dropped (its queue was full) or failed.",
    () => labelled("end", { delivered: sent.delivered, dropped: sent.dropped, failed: sent.failed }),
  );
}

function registerPulls(metrics: MetricsRegistry, puller: ReplicationParts["puller"]): void {
  const { stats } = puller;
  metrics.gauge("orca_pulls_waiting", "Chunks that wait to be copied to this disk.", () => puller.waiting);
  metrics.gauge("orca_pulls_running", "Chunks being copied to this disk.", () => puller.running);
  metrics.counter("orca_pulls_total", "Pulls of chunks to this disk, by end.", () =>
    labelled("end", {
      pulled: stats.pulled,
      moot: stats.moot,
      missing: stats.missing,
      not_stored: stats.not_stored,
      failed: stats.failed,
      dropped: stats.dropped,
    }),
  );
  metrics.counter("orca_pull_bytes_total", "Bytes copied to this disk.", () => stats.pulledBytes);
  metrics.counter(
    "orca_pull_mismatches_total",
    "Copies that did not match the SHA-256 that their sender sent; deleted.",
    () => stats.mismatches,
  );
  metrics.counter(
    "orca_pulls_unverified_total",
    "Copies stored although their sender knew no SHA-256.",
    () => stats.unverified,
  );
  metrics.counter(
    "orca_pulls_resumed_total",
    "Times a pull continued at the byte where it had broken off.",
    () => stats.resumed,
  );
  metrics.counter(
    "orca_pull_restarts_total",
    "Partial copies deleted and begun again, because a peer refused their offset as out of range.",
    () => stats.restarts,
  );
  metrics.counter("orca_pull_retries_total", "Attempts after the first.", () => stats.retries);
  metrics.counter(
    "orca_pull_yields_total",
    "Times a pull waited because there was no free memory.",
    () => stats.yields,
  );
}

function registerPeerCopies(metrics: MetricsRegistry, { stats }: ReplicationParts["peerCopies"]): void {
  metrics.counter(
    "orca_fill_peer_asks_total",
    "Times a fill asked another replica's disk before the origin, by end.",
    () =>
      labelled("end", {
        fetched: stats.fetched,
        not_held: stats.notHeld,
        broken: stats.broken,
        silent: stats.silent,
      }),
  );
  metrics.counter(
    "orca_fill_peer_bytes_total",
    "Bytes that fills fetched from other replicas' disks.",
    () => stats.fetchedBytes,
  );
}

function registerAntiEntropy(metrics: MetricsRegistry, { stats }: ReplicationParts["antiEntropy"]): void {
  metrics.counter("orca_anti_entropy_rounds_total", "Anti-entropy rounds that ended.", () => stats.rounds);
  metrics.gauge(
    "orca_anti_entropy_running",
    "Whether an anti-entropy round is running (1).",
    () => stats.running,
  );
  metrics.gauge(
    "orca_anti_entropy_chunks",
    "The last anti-entropy round: chunks on peers' disks (total), those compared, those missing on this disk, and those of the missing that it has no free room for (unfit).",
    () =>
      labelled("state", {
        total: stats.total,
        compared: stats.compared,
        missing: stats.missing,
        unfit: stats.unfit,
      }),
  );
  metrics.gauge(
    "orca_anti_entropy_peers_failed",
    "The last anti-entropy round: peers whose disks were not listed to the end.",
    () => stats.peersFailed,
  );
  metrics.gauge(
    "orca_extra_copies",
    "Copies on this disk, as of the last anti-entropy round, of chunks that other replicas keep. They are evicted first.",
    () => stats.extraCopies,
  );
}

function registerInventory(metrics: MetricsRegistry, { stats }: ReplicationParts["inventory"]): void {
  metrics.counter(
    "orca_inventory_pages_total",
    "Pages of this disk's inventory that were sent to peers.",
    () => stats.pages,
  );
}

function labelled(label: string, counts: Readonly<Record<string, number>>): LabelledValue[] {
  return Object.entries(counts).map(([name, value]) => ({ labels: { [label]: name }, value }));
}
