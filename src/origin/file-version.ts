/** Derives an ETag for a file, which has none, from the attributes that change when its bytes change. */
import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";

/**
 * 32 hex digits of SHA-256 over device, inode, size and modification time. Two writes of equal length within one tick of
 * the file system's clock give the same ETag. So a replaced file (rename) always gets a new one, and a file overwritten
 * in place almost always.
 */
export function fileEtag(stats: BigIntStats): string {
  const identity = [stats.dev, stats.ino, stats.size, stats.mtimeNs].join(":");
  return createHash("sha256").update(identity).digest("hex").slice(0, 32);
}

/** Milliseconds since the epoch, whole seconds, like HTTP dates. */
export function lastModifiedMs(stats: BigIntStats): number {
  return Number(stats.mtimeNs / 1_000_000_000n) * 1000;
}
