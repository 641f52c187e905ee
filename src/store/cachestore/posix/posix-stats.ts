/** The counters of the POSIX cachestore: plain numbers, written by its pieces and read when metrics are asked for. */
export class PosixStats {
  blocksRead = 0;
  bytesRead = 0;
  stored = 0;
  present = 0;
  /** Puts let go of before they had started. */
  commitsDropped = 0;
  /** Files whose size, footer, identity or block checksum was wrong; deleted. */
  damaged = 0;
  /** Open files that had been deleted on the server (ESTALE). */
  stale = 0;
  /** Swept at start: what writers left behind that have been dead for an hour. */
  stagedFilesRemoved = 0;
  threadCrashes = 0;
  /** Errors of the file system by code (`ENOSPC`, `EIO`, `ETIMEDOUT`, …). */
  readonly errorsByCode: Record<string, number> = {};

  countError(code: string): void {
    this.errorsByCode[code] = (this.errorsByCode[code] ?? 0) + 1;
  }
}
