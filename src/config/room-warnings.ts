/**
 * Sizes that the machine does not have. The replica starts all the same: memory is taken as it is used, and a disk that is
 * full keeps what it holds. Each start logs them; `orca config check` does not, because it may run on another machine.
 */
import { statfsSync } from "node:fs";
import { totalmem } from "node:os";
import { dirname } from "node:path";
import { formatBytes, MiB } from "../base/units.ts";
import type { Config } from "./config.ts";

/** What a machine has. Undefined: unknown, or there is no disk. */
export interface Room {
  readonly memoryBytes: number;
  readonly diskBytes: number | undefined;
}

/** What a process needs beside chunks, and each of several threads that serve clients. */
const processBytes = 256 * MiB;
const threadBytes = 20 * MiB;

export function ownBytesOf({ threads }: Pick<Config["server"], "threads">): number {
  return processBytes + (threads > 1 ? threads * threadBytes : 0);
}

/** The part of a file system that chunks may take: some is for directories and rounding. */
const diskShare = 0.95;

export function roomOf({ disk }: Pick<Config, "disk">): Room {
  return { memoryBytes: totalmem(), diskBytes: disk && fileSystemBytes(disk.root) };
}

/** One sentence each, with the setting in front. */
export function roomWarnings(
  { server, memory, disk }: Pick<Config, "server" | "memory" | "disk">,
  room: Room,
): string[] {
  const warnings: string[] = [];
  const ownBytes = ownBytesOf(server);
  if (memory.maxBytes + ownBytes > room.memoryBytes) {
    warnings.push(
      `memory.max_bytes: ${formatBytes(memory.maxBytes)} and ${formatBytes(ownBytes)} for the process are more than the ${formatBytes(room.memoryBytes)} of this machine. The system may kill Orca when they are in use. Set memory.max_bytes lower, and leave ${formatBytes(ownBytes)} for the process`,
    );
  }
  if (disk && room.diskBytes === 0) {
    warnings.push(
      `disk.root: the file system of ${disk.root} says that it has 0 B. No chunk may fit on it. Set disk.root to a directory on a disk`,
    );
  } else if (disk && room.diskBytes !== undefined && disk.maxBytes > room.diskBytes) {
    const fit = formatBytes(Math.floor(room.diskBytes * diskShare));
    warnings.push(
      `disk.max_bytes: ${formatBytes(disk.maxBytes)} are more than the ${formatBytes(room.diskBytes)} of the file system of disk.root (${disk.root}). When it is full, new chunks are not kept. Set disk.max_bytes to ${fit} or less`,
    );
  }
  return warnings;
}

/** The size of the file system that `root` is on, or will be on once it is made. */
function fileSystemBytes(root: string): number | undefined {
  for (let path = root; ; path = dirname(path)) {
    try {
      const { blocks, bsize } = statfsSync(path);
      return blocks * bsize;
    } catch {
      if (dirname(path) === path) return undefined;
    }
  }
}
