/**
 * The synchronous file system of the jobs, which run in threads that have nothing else to do meanwhile, and steps that
 * several jobs need. It is narrow, so that a test can make each of its calls fail.
 */
import type fs from "node:fs";

const jobCalls = [
  "openSync",
  "readSync",
  "writevSync",
  "readFileSync",
  "fstatSync",
  "fsyncSync",
  "closeSync",
  "linkSync",
  "unlinkSync",
  "mkdirSync",
  "readdirSync",
  "statSync",
  "utimesSync",
] as const;

/** The calls of a job: node:fs, or a test's file system that fails. */
export type JobFileSystem = Pick<typeof fs, (typeof jobCalls)[number]>;

/** The same file system. Before each call it counts one in `pulse`, so that another thread sees that this one moves. */
export function withPulse(fileSystem: JobFileSystem, pulse: Int32Array): JobFileSystem {
  const counted = { ...fileSystem } as unknown as Record<string, unknown>;
  for (const name of jobCalls) {
    const call = fileSystem[name] as (...parameters: unknown[]) => unknown;
    counted[name] = (...parameters: unknown[]): unknown => {
      Atomics.add(pulse, 0, 1);
      return call(...parameters);
    };
  }
  return counted as unknown as JobFileSystem;
}

/** The code of a system error (`ENOSPC`, `EIO`, …); undefined for any other error. */
export function systemErrorCode(error: unknown): string | undefined {
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** writev(2) may write less than requested, for example near a quota. Only the next call returns the reason. */
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

/** For clean-up after a failure. A file that stays in the staging directory is swept at a later start. */
export function unlinkQuietly(fileSystem: JobFileSystem, path: string): void {
  try {
    fileSystem.unlinkSync(path);
  } catch {
    // Only the fault that led here is worth reporting.
  }
}

export function ioError(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code });
}
