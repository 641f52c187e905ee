/**
 * From a key to a file under a root, and never out of it. A key is a list of names, not a path: `..` and empty names
 * lead nowhere, and a link is followed only as long as it stays under the root.
 */
import { constants } from "node:fs";
import { type FileHandle, open, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { OrcaError } from "../base/orca-error.ts";

/** What a key that leads to no file fails with; each of them is a miss. */
const missCodes = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EISDIR", "ENXIO"]);

export function isMiss(thrown: unknown): boolean {
  return missCodes.has(systemCode(thrown));
}

/** An error of the file system as Orca names it. */
export function errorOfFile(thrown: unknown, action: string): OrcaError {
  const isDenied = ["EACCES", "EPERM"].includes(systemCode(thrown));
  return OrcaError.from(thrown, isDenied ? "origin_denied" : "origin_unavailable", "origin", action);
}

/** Whether every name in the key is one that a directory can hold. */
function isFileKey(key: string): boolean {
  if (key.includes("\0")) return false;
  return key.split("/").every((name) => name !== "" && name !== "." && name !== "..");
}

/** Whether `path`, links resolved, is `root` or lies under it; false where it is not there. */
export async function liesUnder(root: string, path: string): Promise<boolean> {
  try {
    return isUnder(await realpath(root), await realpath(path));
  } catch (thrown) {
    if (isMiss(thrown)) return false;
    throw thrown;
  }
}

/**
 * Opens the regular file of a key for reading, or null where there is none. The caller closes it.
 * @throws what the file system throws.
 */
export async function openFile(root: string, key: string): Promise<FileHandle | null> {
  if (!isFileKey(key)) return null;
  let file: FileHandle;
  try {
    const path = await realpath(join(root, key));
    if (!isUnder(await realpath(root), path)) return null;
    // The path has no links left: O_NOFOLLOW refuses one that was put there since. O_NONBLOCK: a FIFO does not hang.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (thrown) {
    if (isMiss(thrown)) return null;
    throw thrown;
  }
  try {
    if ((await file.stat()).isFile()) return file;
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
  await file.close();
  return null;
}

function isUnder(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

function systemCode(thrown: unknown): string {
  return thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
}
