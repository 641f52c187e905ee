/** Metrics of memory, of the disk tier, and of the scrub that reads the disk. */
import type { MemoryBudget } from "../../base/memory-budget.ts";
import type { DiskTier } from "../../store/disk/disk-tier.ts";
import type { DiskShares } from "../../store/disk/shares/disk-shares.ts";
import type { MemoryTier } from "../../store/memory-tier.ts";
import type { Scrub } from "../../store/scrub/scrub.ts";
import { labelled, type MetricsRegistry } from "./metrics.ts";

export interface TierParts {
  readonly budget: Pick<MemoryBudget, "maxBytes" | "usedBytes" | "waiting">;
  readonly memory: Pick<MemoryTier, "bytes" | "stats">;
  /** Undefined without a disk tier, as is the scrub. */
  readonly disk:
    | (Pick<
        DiskTier,
        "usedBytes" | "maxBytes" | "chunkCount" | "blockCount" | "isSetAside" | "pendingBytes" | "stats"
      > & {
        readonly pins: Pick<DiskTier["pins"], "bytes">;
        readonly shares: Pick<DiskShares, "figures"> | undefined;
      })
    | undefined;
  readonly scrub: Pick<Scrub, "progress" | "stats"> | undefined;
}

export function registerTierMetrics(metrics: MetricsRegistry, parts: TierParts): void {
  registerMemory(metrics, parts.budget);
  registerMemoryTier(metrics, parts.memory);
  if (parts.disk) {
    registerDisk(metrics, parts.disk);
    registerDiskFaults(metrics, parts.disk);
  }
  if (parts.scrub) registerScrub(metrics, parts.scrub);
}

function registerMemory(metrics: MetricsRegistry, budget: TierParts["budget"]): void {
  metrics.gauge(
    "orca_memory_max_bytes",
    { meaning: "The bound memory.max_bytes.", watch: "Constant." },
    () => budget.maxBytes,
  );
  metrics.gauge(
    "orca_memory_used_bytes",
    {
      meaning: "Chunk bytes in memory, in whole slabs of 1 MiB: cached, being filled, being sent.",
      watch: "At the bound is normal.",
    },
    () => budget.usedBytes,
  );
  metrics.gauge(
    "orca_memory_waiting",
    {
      meaning: "Fills and disk reads that wait for memory.",
      watch: "Above 0 for minutes: memory is too small for what is read at the same time.",
    },
    () => budget.waiting,
  );
}

function registerMemoryTier(metrics: MetricsRegistry, memory: TierParts["memory"]): void {
  metrics.gauge(
    "orca_memory_cached_bytes",
    { meaning: "Bytes of the chunks in the memory tier.", watch: "Grows to almost memory.max_bytes." },
    () => memory.bytes,
  );
  metrics.gauge(
    "orca_memory_chunks",
    { meaning: "Chunks in the memory tier.", watch: "Grows until memory is full." },
    () => memory.stats.chunks,
  );
  metrics.counter(
    "orca_memory_hits_total",
    { meaning: "Chunks found in memory, once per reader and chunk.", watch: "Higher is better." },
    () => memory.stats.hits,
  );
  metrics.counter(
    "orca_memory_misses_total",
    { meaning: "Chunks not found in memory, once per reader and chunk.", watch: "Lower is better." },
    () => memory.stats.misses,
  );
  metrics.counter(
    "orca_memory_evictions_total",
    {
      meaning: "Chunks evicted from memory.",
      watch: "Together with misses: memory is smaller than what is read often.",
    },
    () => memory.stats.evictions,
  );
}

function registerDisk(metrics: MetricsRegistry, disk: NonNullable<TierParts["disk"]>): void {
  metrics.gauge(
    "orca_disk_max_bytes",
    { meaning: "The bound disk.max_bytes.", watch: "Constant." },
    () => disk.maxBytes,
  );
  metrics.gauge(
    "orca_disk_used_bytes",
    {
      meaning: "Bytes of the chunk files on disk or being written, footers included.",
      watch: "Grows during the scan after a start, then until the disk is full.",
    },
    () => disk.usedBytes,
  );
  metrics.gauge(
    "orca_disk_chunks",
    { meaning: "Whole chunks on disk.", watch: "Grows until the disk is full." },
    () => disk.chunkCount,
  );
  metrics.gauge(
    "orca_disk_blocks",
    {
      meaning: "Blocks of 1 MiB on disk, of chunks that are not whole.",
      watch: "Many: clients read small parts of large objects.",
    },
    () => disk.blockCount,
  );
  metrics.gauge(
    "orca_disk_pinned_bytes",
    {
      meaning: "Bytes of the chunk files that `orca warm --pin` keeps from being evicted.",
      watch: "Near disk.pin_share of orca_disk_max_bytes: further pins fail.",
    },
    () => disk.pins.bytes,
  );
  if (disk.shares) registerDiskShares(metrics, disk.shares);
  registerDiskWork(metrics, disk);
}

/** The labels are names of the settings, 32 at most. */
function registerDiskShares(metrics: MetricsRegistry, shares: Pick<DiskShares, "figures">): void {
  metrics.gauge(
    "orca_disk_bucket_bytes",
    {
      meaning:
        "Bytes of the chunk files of a bucket that has disk_share or priority, as the settings name it, footers included.",
      watch: "Below orca_disk_bucket_share_bytes: nothing of the bucket is evicted for others.",
    },
    function* () {
      for (const { originId: origin, bucket, bytes } of shares.figures())
        yield { labels: { origin, bucket }, value: bytes };
    },
  );
  metrics.gauge(
    "orca_disk_bucket_share_bytes",
    {
      meaning: "The share of such a bucket: up to so many bytes no other bucket evicts its chunks.",
      watch: "Constant. 0 for a bucket that has a priority alone.",
    },
    function* () {
      for (const { originId: origin, bucket, shareBytes } of shares.figures())
        yield { labels: { origin, bucket }, value: shareBytes };
    },
  );
}

function registerDiskWork(metrics: MetricsRegistry, disk: NonNullable<TierParts["disk"]>): void {
  const { stats } = disk;
  metrics.gauge(
    "orca_disk_pending_bytes",
    {
      meaning: "Chunk bytes that wait to be written. They stay in memory until then.",
      watch: "High for minutes: the disk is too slow.",
    },
    () => disk.pendingBytes,
  );
  metrics.gauge(
    "orca_disk_set_aside",
    {
      meaning: "1 while the disk is not used, because a call of its file system has not returned in time.",
      watch: "Should be 0: the disk hangs.",
    },
    () => (disk.isSetAside ? 1 : 0),
  );
  metrics.counter(
    "orca_disk_blocks_read_total",
    { meaning: "Blocks of up to 1 MiB read from disk and verified.", watch: "Depends on the load." },
    () => stats.blocksRead,
  );
  metrics.counter(
    "orca_disk_evictions_total",
    {
      meaning: "Chunks evicted from disk.",
      watch: "Together with many fills: the disk is smaller than what is read often.",
    },
    () => stats.evictions,
  );
  metrics.counter(
    "orca_disk_commits_dropped_total",
    {
      meaning: "Commits dropped because memory was short, or because they were unfinished at the stop.",
      watch: "Should stay low: each one costs a fetch later.",
    },
    () => stats.commitsDropped,
  );
  metrics.counter(
    "orca_disk_files_swept_total",
    {
      meaning: "Files deleted at start: commits that a crash interrupted, and files that are no chunks.",
      watch: "Grows after a crash only.",
    },
    () => stats.stagedFilesRemoved + stats.foreignFilesRemoved,
  );
}

function registerDiskFaults(metrics: MetricsRegistry, { stats }: NonNullable<TierParts["disk"]>): void {
  metrics.counter(
    "orca_disk_damaged_total",
    {
      meaning: "Chunk files found damaged and deleted, by reads and by the scrub.",
      watch: "Should not grow: the disk damages data.",
    },
    () => stats.damaged,
  );
  metrics.counter(
    "orca_disk_vanished_total",
    {
      meaning: "Chunk files that did not exist when they were read.",
      watch: "Should not grow: something else deletes files below disk.root.",
    },
    () => stats.vanished,
  );
  metrics.counter(
    "orca_disk_thread_crashes_total",
    {
      meaning: "Times a thread that reads or writes the disk died and was started again.",
      watch: "Should stay 0: report what the log says.",
    },
    () => stats.threadCrashes,
  );
  metrics.counter(
    "orca_disk_errors_total",
    {
      meaning: "Errors of the file system, by code (ENOSPC, EIO, ...).",
      watch: "Should not grow: the disk is full or failing.",
    },
    () => labelled("code", stats.errorsByCode),
  );
}

function registerScrub(metrics: MetricsRegistry, scrub: NonNullable<TierParts["scrub"]>): void {
  const { stats } = scrub;
  metrics.gauge(
    "orca_scrub_running",
    {
      meaning: "1 while a pass of the scrub reads the disk.",
      watch: "Should be 1 for a while, once per disk.scrub_interval.",
    },
    () => Number(scrub.progress.state === "running"),
  );
  metrics.gauge(
    "orca_scrub_progress_ratio",
    {
      meaning:
        "Part of the bytes on disk that the current pass has checked, 0 to 1; 1 after it has finished.",
      watch: "Should grow while orca_scrub_running is 1.",
    },
    () => {
      const { state, checkedBytes, totalBytes } = scrub.progress;
      if (state === "complete") return 1;
      return totalBytes === 0 ? 0 : Math.min(1, checkedBytes / totalBytes);
    },
  );
  metrics.gauge(
    "orca_scrub_last_finished_timestamp_seconds",
    {
      meaning: "When the last pass finished, as Unix time; 0 before the first.",
      watch: "Alert when it is much older than disk.scrub_interval.",
    },
    () => (scrub.progress.finished?.finishedMs ?? 0) / 1000,
  );
  metrics.counter(
    "orca_scrub_passes_total",
    {
      meaning: "Passes that ended, by end: finished, failed.",
      watch: "Failed should not grow: the log says why.",
    },
    () => labelled("end", { finished: stats.passes, failed: stats.passesFailed }),
  );
  metrics.counter(
    "orca_scrub_chunks_total",
    {
      meaning:
        "Chunks that the scrub has checked, by result: good, damaged (and deleted), skipped (not readable for want of file descriptors or memory).",
      watch: "Damaged should not grow: the disk damages data.",
    },
    () => {
      const { checkedChunks, badChunks: damaged, skippedChunks: skipped } = stats;
      return labelled("result", { good: checkedChunks - damaged - skipped, damaged, skipped });
    },
  );
  metrics.counter(
    "orca_scrub_checked_bytes_total",
    { meaning: "Bytes of the chunk files that the scrub has checked.", watch: "The rate of the scrub." },
    () => stats.checkedBytes,
  );
}
