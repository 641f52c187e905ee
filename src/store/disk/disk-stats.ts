/** The counters of the disk tier: plain numbers, written by its pieces and read when somebody asks for metrics. */
export class DiskStats {
  blocksRead = 0;
  bytesRead = 0;
  /** Results of `put`: `refused` holds every commit that was not kept, whatever the reason. */
  stored = 0;
  present = 0;
  refused = 0;
  /** Of the refused, those let go before they had started, or unfinished when time ran out. */
  commitsDropped = 0;
  evictions = 0;
  /** Files whose size, footer, identity or block checksum was wrong; deleted. */
  damaged = 0;
  /** Files that were gone when they were to be read. */
  vanished = 0;
  /** Swept at start: what a killed process left in staging, and files that are no chunks. */
  stagedFilesRemoved = 0;
  foreignFilesRemoved = 0;
  threadCrashes = 0;
  /** Errors of the file system by code (`ENOSPC`, `EIO`, …). */
  readonly errorsByCode: Record<string, number> = {};
}
