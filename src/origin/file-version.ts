/** What names the bytes of a file: a directory has no ETags, so one is made of what changes when the file does. */
import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";

/**
 * 32 hex digits of SHA-256 over device, inode, size and modification time. Two writes of the same length within one
 * tick of the file system's clock look alike: a file that is replaced (rename) is always told apart, one that is
 * overwritten in place almost always.
 */
export function fileEtag(stats: BigIntStats): string {
  const identity = [stats.dev, stats.ino, stats.size, stats.mtimeNs].join(":");
  return createHash("sha256").update(identity).digest("hex").slice(0, 32);
}

/** Milliseconds since the epoch, whole seconds, as HTTP dates are. */
export function lastModifiedMs(stats: BigIntStats): number {
  return Number(stats.mtimeNs / 1_000_000_000n) * 1000;
}
