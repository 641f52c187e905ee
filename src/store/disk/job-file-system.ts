/**
 * The synchronous file system that jobs run on, in threads that have nothing else to do meanwhile, and the few steps
 * that several jobs share. It is narrow so that a test can put a fault in the way of every call there is.
 */
import type fs from "node:fs";

/** The calls a job makes: node:fs, or a test's file system that fails. */
export type JobFileSystem = Pick<
  typeof fs,
  | "openSync"
  | "writevSync"
  | "readFileSync"
  | "fstatSync"
  | "fsyncSync"
  | "closeSync"
  | "linkSync"
  | "unlinkSync"
  | "mkdirSync"
  | "readdirSync"
  | "statSync"
>;

/** The code of a system's error (`ENOSPC`, `EIO`, …); undefined for anything else that was thrown. */
export function systemErrorCode(error: unknown): string | undefined {
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** writev(2) may write less than it was given, as at the edge of a quota, and says why only at the next call. */
export function writeAll(fileSystem: JobFileSystem, fd: number, buffers: readonly Uint8Array[]): void {
  let rest = [...buffers];
  while (rest.length > 0) {
    let written = fileSystem.writevSync(fd, rest);
    if (written === 0) throw ioError("EIO", "nothing was written");
    const unwritten: Uint8Array[] = [];
    for (const buffer of rest) {
      const taken = Math.min(written, buffer.length);
      written -= taken;
      if (taken < buffer.length) unwritten.push(buffer.subarray(taken));
    }
    rest = unwritten;
  }
}

export function syncDirectory(fileSystem: JobFileSystem, directory: string): void {
  const fd = fileSystem.openSync(directory, "r");
  try {
    fileSystem.fsyncSync(fd);
  } finally {
    fileSystem.closeSync(fd);
  }
}

export function unlinkIfPresent(fileSystem: JobFileSystem, path: string): void {
  try {
    fileSystem.unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** For clean-up on the way out: what stays behind in staging is swept at a later start. */
export function unlinkQuietly(fileSystem: JobFileSystem, path: string): void {
  try {
    fileSystem.unlinkSync(path);
  } catch {
    // The fault that led here is the one worth reporting.
  }
}

export function ioError(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code });
}
