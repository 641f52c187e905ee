/** A disk thread whose file system fails at a call that the test chooses. */
import fs from "node:fs";
import { parentPort } from "node:worker_threads";
import { serveDiskJobs } from "../../../src/store/disk/disk-jobs.ts";
import type { JobFileSystem } from "../../../src/store/disk/job-file-system.ts";

export interface DiskThreadFault {
  readonly call: keyof JobFileSystem;
  /** A system error, `SHORT` for a write of half a buffer, or `CRASH` for the end of the thread. */
  readonly code: string;
  /** The number of calls that succeed before the first failure. */
  readonly after?: number;
  /** The number of calls that fail; by default all. */
  readonly times?: number;
}

/** A module for `threadModule`. A worker receives only its module, so the fault is part of the module. */
export function faultyThread(fault: DiskThreadFault): URL {
  const source = `import { serveFaulty } from "${import.meta.url}"; serveFaulty(${JSON.stringify(fault)});`;
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}

/** Runs in the thread. */
export function serveFaulty({
  call,
  code,
  after = 0,
  times = Number.POSITIVE_INFINITY,
}: DiskThreadFault): void {
  if (parentPort === null) throw new Error("a faulty thread is a thread");
  let calls = 0;
  const original = fs[call] as (...parameters: unknown[]) => unknown;
  const faulty = (...parameters: unknown[]): unknown => {
    calls += 1;
    if (calls <= after || calls > after + times) return original(...parameters);
    if (code === "CRASH") throw new Error("the disk thread is made to crash");
    if (code === "SHORT")
      return fs.writeSync(parameters[0] as number, firstHalf(parameters[1] as Uint8Array[]));
    throw Object.assign(new Error(`injected ${code}`), { code });
  };
  serveDiskJobs(parentPort, { ...fs, [call]: faulty });
}

function firstHalf(buffers: readonly Uint8Array[]): Uint8Array {
  const first = buffers[0] as Uint8Array;
  return first.subarray(0, Math.ceil(first.length / 2));
}
