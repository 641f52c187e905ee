/** The metrics of replicated disks, where chunks are kept by several replicas. Parts count for themselves. */
import type { AntiEntropy } from "../../fill/replication/anti-entropy.ts";
import type { HeldByPeers } from "../../fill/replication/held-by-peers.ts";
import type { Inventory } from "../../fill/replication/inventory.ts";
import type { Puller } from "../../fill/replication/puller.ts";
import type { Replication } from "../../fill/replication/replication.ts";
import type { LabelledValue, MetricsRegistry } from "./metrics.ts";

export interface ReplicationParts {
  readonly replication: Pick<Replication, "stats">;
  readonly puller: Pick<Puller, "stats" | "waiting" | "running">;
  readonly held: Pick<HeldByPeers, "stats">;
  readonly lister: Pick<Inventory, "stats">;
  readonly antiEntropy: Pick<AntiEntropy, "stats">;
}

export function registerReplicationMetrics(metrics: MetricsRegistry, parts: ReplicationParts): void {
  registerAnnouncements(metrics, parts.replication);
  registerPulls(metrics, parts.puller);
  registerHeld(metrics, parts.held);
  registerCatchUp(metrics, parts);
}

function registerAnnouncements(metrics: MetricsRegistry, { stats }: ReplicationParts["replication"]): void {
  metrics.counter(
    "orca_replication_announcements_total",
    "Chunks that this replica told others of, heard of, and wanted a copy of.",
    () => labelled("event", { published: stats.announced, heard: stats.heard, wanted: stats.wanted }),
  );
}

function registerPulls(metrics: MetricsRegistry, puller: ReplicationParts["puller"]): void {
  const { stats } = puller;
  metrics.gauge("orca_pulls_waiting", "Chunks that wait to be copied to this disk.", () => puller.waiting);
  metrics.gauge("orca_pulls_running", "Chunks being copied to this disk.", () => puller.running);
  metrics.counter("orca_pulls_total", "Chunks that were to be copied to this disk, by end.", () =>
    labelled("end", {
      pulled: stats.pulled,
      moot: stats.moot,
      missing: stats.missing,
      refused: stats.refused,
      failed: stats.failed,
      dropped: stats.dropped,
    }),
  );
  metrics.counter("orca_pull_bytes_total", "Bytes copied to this disk.", () => stats.pulledBytes);
  metrics.counter(
    "orca_pull_mismatches_total",
    "Copies that had not the SHA-256 their sender said they had; deleted.",
    () => stats.mismatches,
  );
  metrics.counter(
    "orca_pulls_unverified_total",
    "Copies kept whose sender knew no SHA-256.",
    () => stats.unverified,
  );
  metrics.counter(
    "orca_pulls_resumed_total",
    "Times a copy went on at the byte where it had broken off.",
    () => stats.resumed,
  );
  metrics.counter("orca_pull_retries_total", "Attempts behind the first.", () => stats.retries);
  metrics.counter(
    "orca_pull_yields_total",
    "Times a copy stood back because there was no memory to spare.",
    () => stats.yields,
  );
}

function registerHeld(metrics: MetricsRegistry, { stats }: ReplicationParts["held"]): void {
  metrics.counter(
    "orca_fill_peer_asks_total",
    "Times a fill asked another replica's disk before the origin, by what came of it.",
    () =>
      labelled("end", {
        brought: stats.brought,
        not_held: stats.notHeld,
        broken: stats.broken,
        silent: stats.silent,
      }),
  );
  metrics.counter(
    "orca_fill_peer_bytes_total",
    "Bytes that fills had from other replicas' disks.",
    () => stats.broughtBytes,
  );
}

function registerCatchUp(
  metrics: MetricsRegistry,
  { antiEntropy: { stats }, lister }: Pick<ReplicationParts, "antiEntropy" | "lister">,
): void {
  metrics.counter("orca_walks_total", "Walks through peers' disks that were ended.", () => stats.walks);
  metrics.gauge("orca_walk_running", "Whether a walk is on its way (1).", () => stats.walking);
  metrics.gauge(
    "orca_walk_chunks",
    "The last walk: chunks on peers' disks (total), those passed, those that this replica lacked, and those of them that there was no room for.",
    () =>
      labelled("state", {
        total: stats.total,
        walked: stats.walked,
        missing: stats.missing,
        unfit: stats.unfit,
      }),
  );
  metrics.gauge(
    "orca_walk_peers_failed",
    "The last walk: peers that were not walked to the end.",
    () => stats.peersFailed,
  );
  metrics.counter(
    "orca_surplus_dropped_total",
    "Copies let go of because those who are to keep the chunk hold it.",
    () => stats.surplusDropped,
  );
  metrics.gauge(
    "orca_surplus_chunks",
    "The last walk: copies for others to keep that were left, because one of those lacks his.",
    () => stats.surplusKept,
  );
  metrics.counter(
    "orca_chunk_list_pages_total",
    "Pages of this replica's disk that peers asked for.",
    () => lister.stats.pages,
  );
}

function labelled(label: string, counts: Readonly<Record<string, number>>): LabelledValue[] {
  return Object.entries(counts).map(([name, value]) => ({ labels: { [label]: name }, value }));
}
