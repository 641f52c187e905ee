/**
 * Makes a shared directory ready and asks of its file system all that commits rely on: that a name given by link() is
 * given once, that what was written is read back, and that what was unlinked is gone. Some file systems that call
 * themselves shared do not (FAT over the network and some FUSE mounts have no links), and it is better to know before
 * the first chunk than to have two replicas write to one name.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import {
  type JobFileSystem,
  syncDirectory,
  systemErrorCode,
  unlinkIfPresent,
  unlinkQuietly,
  writeAll,
} from "../disk/job-file-system.ts";

/** Other replicas stage here as well: only what no living writer can still be at is swept. */
const stagedFileAgeMaxMs = 3_600_000;

/** How the directory of a shared store is laid out below `cachestore.posixfs.root`. */
export function sharedDirectoryOf(root: string): { readonly directory: string; readonly staging: string } {
  const directory = join(root, "orca-posixfs.v1");
  return { directory, staging: join(directory, "staging") };
}

export type SharedDirectoryCheck =
  | { readonly outcome: "checked"; readonly stagedFilesRemoved: number }
  /** `reason` completes "Cannot use …:". */
  | { readonly outcome: "unfit"; readonly reason: string };

/** Never throws for what a file system can do. The root itself is not made: it is missing when a mount is. */
export function checkSharedDirectory(fileSystem: JobFileSystem, root: string): SharedDirectoryCheck {
  let step = "look at it";
  const { directory, staging } = sharedDirectoryOf(root);
  const written = join(staging, `selftest-${randomUUID()}`);
  const linked = join(directory, `selftest-${randomUUID()}`);
  try {
    if (!fileSystem.statSync(root).isDirectory()) return unfit(step, "it is no directory");
    step = "make directories in it";
    fileSystem.mkdirSync(staging, { recursive: true });
    step = "write a file";
    const content = Buffer.from(`Orca's self-test ${written}\n`);
    writeFile(fileSystem, written, content);
    step = "link a file";
    fileSystem.linkSync(written, linked);
    syncDirectory(fileSystem, directory);
    step = "link a second file to a name that is taken";
    if (!isRefused(fileSystem, written, linked)) return unfit(step, "it was not refused");
    step = "read a file";
    if (!fileSystem.readFileSync(linked).equals(content)) return unfit(step, "it holds other bytes");
    step = "unlink a file";
    fileSystem.unlinkSync(linked);
    if (fileSystem.statSync(linked, { throwIfNoEntry: false })) return unfit(step, "it is still there");
    step = "sweep the staging directory";
    return { outcome: "checked", stagedFilesRemoved: sweepStaging(fileSystem, staging, written) };
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return unfit(step, code);
  } finally {
    unlinkQuietly(fileSystem, linked);
    unlinkQuietly(fileSystem, written);
  }
}

function unfit(step: string, reason: string): SharedDirectoryCheck {
  return { outcome: "unfit", reason: `cannot ${step}: ${reason}` };
}

function writeFile(fileSystem: JobFileSystem, path: string, content: Buffer): void {
  const fd = fileSystem.openSync(path, "wx", 0o640);
  try {
    writeAll(fileSystem, fd, [content]);
    fileSystem.fsyncSync(fd);
  } finally {
    fileSystem.closeSync(fd);
  }
}

function isRefused(fileSystem: JobFileSystem, from: string, to: string): boolean {
  try {
    fileSystem.linkSync(from, to);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return true;
    throw error;
  }
}

/** Ages are told by the server's clock alone: the file just written says what time it is there. */
function sweepStaging(fileSystem: JobFileSystem, staging: string, justWritten: string): number {
  const nowMs = fileSystem.statSync(justWritten).mtimeMs;
  let removed = 0;
  for (const name of fileSystem.readdirSync(staging)) {
    const path = join(staging, name);
    const stat = fileSystem.statSync(path, { throwIfNoEntry: false });
    if (!stat?.isFile() || nowMs - stat.mtimeMs <= stagedFileAgeMaxMs) continue;
    unlinkIfPresent(fileSystem, path);
    removed += 1;
  }
  return removed;
}
