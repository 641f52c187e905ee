/**
 * Maps a key to a file under a root, and never to one outside. A key is a list of names, not a path: `..` and empty names
 * match no file, and a link is followed only if it stays under the root.
 */
import { constants } from "node:fs";
import { type FileHandle, open, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { OrcaError } from "../base/orca-error.ts";

/** Error codes of a key that matches no file. Each is a miss. */
const missCodes = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EISDIR", "ENXIO"]);

export function isMiss(thrown: unknown): boolean {
  return missCodes.has(systemCode(thrown));
}

/** The OrcaError for an error of the file system. */
export function errorOfFile(thrown: unknown, action: string): OrcaError {
  const isDenied = ["EACCES", "EPERM"].includes(systemCode(thrown));
  return OrcaError.from(thrown, isDenied ? "origin_denied" : "origin_unavailable", "origin", action);
}

/** Whether a directory can hold every name in the key. */
function isFileKey(key: string): boolean {
  if (key.includes("\0")) return false;
  return key.split("/").every((name) => name !== "" && name !== "." && name !== "..");
}

/** Whether `path`, with links resolved, is `root` or lies under it. False if it does not exist. */
export async function liesUnder(root: string, path: string): Promise<boolean> {
  try {
    return isUnder(await realpath(root), await realpath(path));
  } catch (thrown) {
    if (isMiss(thrown)) return false;
    throw thrown;
  }
}

/**
 * Opens the regular file of a key for reading; null if there is none. The caller closes it.
 * @throws the error of the file system.
 */
export async function openFile(root: string, key: string): Promise<FileHandle | null> {
  if (!isFileKey(key)) return null;
  let file: FileHandle;
  try {
    const path = await realpath(join(root, key));
    if (!isUnder(await realpath(root), path)) return null;
    // All links are resolved: O_NOFOLLOW rejects one created since. O_NONBLOCK keeps a FIFO from blocking.
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
