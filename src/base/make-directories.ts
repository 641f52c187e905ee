/**
 * Makes a directory and those above it. Node's recursive mkdir never ends where a file system says ENOENT for a directory
 * whose parent exists, as /proc does: it makes the parent, tries again and never gives up.
 */
import type fs from "node:fs";
import { dirname } from "node:path";

/** @throws the system's error. */
export function makeDirectories(fileSystem: Pick<typeof fs, "mkdirSync">, path: string): void {
  if (hasMade(fileSystem, path)) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectories(fileSystem, parent);
  // The parent exists now, so this error is final.
  if (!hasMade(fileSystem, path)) fileSystem.mkdirSync(path);
}

/** False if the parent does not exist. */
function hasMade(fileSystem: Pick<typeof fs, "mkdirSync">, path: string): boolean {
  try {
    fileSystem.mkdirSync(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return true;
    if (code === "ENOENT") return false;
    throw error;
  }
}
