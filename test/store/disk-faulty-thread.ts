/**
 * A disk thread whose file system fails as the query of its own URL says, e.g. `?call=writevSync&code=ENOSPC&times=1`:
 * the named call fails that many times, then works. The code `CRASH` ends the thread instead.
 */
import fs from "node:fs";
import { parentPort } from "node:worker_threads";
import type { JobFileSystem } from "../../src/store/disk-jobs.ts";
import { serveDiskJobs } from "../../src/store/disk-writer-thread.ts";

const query = new URL(import.meta.url).searchParams;
const call = query.get("call") as keyof JobFileSystem;
const code = query.get("code") as string;
/** Calls that go well before the first that fails. */
let healthyLeft = Number(query.get("after") ?? 0);
let faultsLeft = Number(query.get("times") ?? Number.POSITIVE_INFINITY);

const original = fs[call] as (...parameters: unknown[]) => unknown;
const faulty = (...parameters: unknown[]): unknown => {
  if (healthyLeft > 0) healthyLeft -= 1;
  else if (faultsLeft > 0) {
    faultsLeft -= 1;
    if (code === "CRASH") throw new Error("the disk thread is made to crash");
    if (code === "SHORT") return fs.writeSync(parameters[0] as number, firstHalf(parameters[1] as Uint8Array[]));
    throw Object.assign(new Error(`injected ${code}`), { code });
  }
  return original(...parameters);
};

function firstHalf(buffers: readonly Uint8Array[]): Uint8Array {
  const first = buffers[0] as Uint8Array;
  return first.subarray(0, Math.ceil(first.length / 2));
}

if (parentPort) serveDiskJobs(parentPort, { ...fs, [call]: faulty });
