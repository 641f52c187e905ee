/** The counters of the S3 cachestore: plain numbers, written where things happen and read when metrics are asked for. */
export class S3CachestoreStats {
  hits = 0;
  /** Reads of chunks that are absent, missized or damaged. */
  misses = 0;
  bytesRead = 0;
  /** Of the hits, those whose object has no checksums: written by another program, or of more than 256 MiB. */
  unchecked = 0;
  /** Objects of the wrong size that reads met. */
  missized = 0;
  /** Objects with a wrong checksum that reads met; deleted. */
  damaged = 0;
  stored = 0;
  present = 0;
  bytesWritten = 0;
  /** Conditional puts that found the key taken. */
  racesLost = 0;
  /** Objects of the wrong size that puts met and replaced. */
  overwritten = 0;
  /** Puts that a quota or a full medium refused. */
  full = 0;
  deleted = 0;
  /** Damaged objects that could not be deleted; the next read of one tries again. */
  removalsFailed = 0;
}
