/**
 * Derives an ETag for a file, which has none, from the attributes that change when its bytes change.
 *
 * The change time is one of them, because no program can set it: tar and rsync restore the modification time, and a
 * deleted file's inode number is used again at once. The kernel takes it from a clock with a grain, so two changes within
 * one tick have the same change time. So a version is valid only after the file has been unchanged for longer than a grain:
 *
 *   1. a look finds the change time C, and another look one grain later finds C again;
 *   2. so the file system's clock has passed C, whatever this host's clock says;
 *   3. any later change gets a change time after C, and with it another ETag.
 *
 * The device number is left out: each mount of one tree may have another.
 */
import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { usableDateMs } from "../chunk/object-date.ts";

/** Longer than a tick of the kernel's clock, 10 ms at most (CONFIG_HZ=100). */
const clockGrainMs = 20;
/** For file systems that keep whole seconds: FAT (2 s), ext3, ext4 with inodes of 128 bytes, NFS on top of these. */
const coarseClockGrainMs = 2000;
/**
 * A file that changed longer ago than this has stood still, and is looked at once. It is much longer than a grain,
 * because the clock of a file server may differ from this host's.
 */
const settledAfterMs = 10_000;

/** 32 hex digits of SHA-256 over inode, size, modification time and change time. */
export function fileEtag(stats: BigIntStats): string {
  const identity = [stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(":");
  return createHash("sha256").update(identity).digest("hex").slice(0, 32);
}

/** How long a file must stand still before its ETag names its bytes. */
export function fileClockGrainMs({ ctimeNs }: Pick<BigIntStats, "ctimeNs">): number {
  return ctimeNs % 1_000_000_000n === 0n ? coarseClockGrainMs : clockGrainMs;
}

/** Whether the file changed so long ago that one look at it is enough. A time in the future does not count. */
export function isLongSettled({ ctimeNs }: Pick<BigIntStats, "ctimeNs">, nowMs: number): boolean {
  return nowMs - Number(ctimeNs / 1_000_000n) >= settledAfterMs;
}

/** Milliseconds since the epoch, whole seconds, like HTTP dates. Undefined for a time that HTTP cannot write. */
export function lastModifiedMs(stats: BigIntStats): number | undefined {
  return usableDateMs(Number(stats.mtimeNs / 1_000_000_000n) * 1000);
}
