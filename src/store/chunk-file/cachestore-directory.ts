/**
 * Prepares the directory of the POSIX cachestore, and checks that its file system has the properties that commits need:
 * link() creates a name only once, a reader finds the bytes that were written, and an unlinked file is gone. Some
 * network file systems lack them (FAT over the network and some FUSE mounts have no links). It is better to know this
 * before the first chunk than to let two replicas write to one name.
 */

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { makeDirectories } from "../../base/make-directories.ts";
import {
  type JobFileSystem,
  syncDirectory,
  systemErrorCode,
  unlinkIfPresent,
  unlinkQuietly,
  writeAll,
} from "../disk/job-file-system.ts";

/** Other replicas stage files here, too. Only files that no living writer can still be writing are swept. */
const stagedFileAgeMaxMs = 3_600_000;

/** The directories below `cachestore.posixfs.root`. */
export function cachestoreDirectoryOf(root: string): {
  readonly directory: string;
  readonly staging: string;
} {
  const directory = join(root, "orca-posixfs.v1");
  return { directory, staging: join(directory, "staging") };
}

export type CachestoreDirectoryCheck =
  | { readonly outcome: "checked"; readonly stagedFilesRemoved: number }
  /** `reason` completes "Cannot use …:". */
  | { readonly outcome: "unfit"; readonly reason: string };

/** Never throws for an error of the file system. It does not create the root: a missing root may be a missing mount. */
export function checkCachestoreDirectory(fileSystem: JobFileSystem, root: string): CachestoreDirectoryCheck {
  let step = "look at it";
  const { directory, staging } = cachestoreDirectoryOf(root);
  const written = join(staging, `selftest-${randomUUID()}`);
  const linked = join(directory, `selftest-${randomUUID()}`);
  try {
    if (!fileSystem.statSync(root).isDirectory()) return unfit(step, "it is no directory");
    step = "make directories in it";
    makeDirectories(fileSystem, staging);
    step = "write a file";
    const content = Buffer.from(`Orca's self-test ${written}\n`);
    writeFile(fileSystem, written, content);
    step = "link a file";
    fileSystem.linkSync(written, linked);
    syncDirectory(fileSystem, directory);
    step = "link a second file to a name that is taken";
    if (!isTaken(fileSystem, written, linked)) return unfit(step, "it was not refused");
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

function unfit(step: string, reason: string): CachestoreDirectoryCheck {
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

/** Whether link() fails because the name `to` is taken. */
function isTaken(fileSystem: JobFileSystem, from: string, to: string): boolean {
  try {
    fileSystem.linkSync(from, to);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return true;
    throw error;
  }
}

/** Ages are computed with the server's clock alone: the file just written shows the server's time. */
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
