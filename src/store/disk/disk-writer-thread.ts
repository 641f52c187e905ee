/**
 * The thread that writes to disk. To hash and write a chunk takes about 1.5 ms of processor time per MiB. On the event
 * loop, every response would wait that long. On Linux each thread has a priority of its own (setpriority(2), "C
 * library/kernel differences"), so only this thread has a lower priority than the thread that serves clients.
 */
import fs from "node:fs";
import { setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../../base/assert.ts";
import { serveDiskJobs } from "./disk-jobs.ts";
import { withPulse } from "./job-file-system.ts";

const niceness = 10;

try {
  setPriority(0, niceness);
} catch {
  // A sandbox may forbid it. Then the thread runs at normal priority.
}
assert(parentPort !== null, "the disk thread is started as a thread");
serveDiskJobs(parentPort, withPulse(fs, workerData as Int32Array));
