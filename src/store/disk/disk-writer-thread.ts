/**
 * The thread that writes to disk. Hashing and writing a chunk takes about 1.5 ms of processor time per MiB, which on
 * the event loop would be time that every response waits. On Linux a priority belongs to a thread (setpriority(2),
 * "C library/kernel differences"), so this one steps back behind the thread that serves clients, and no other does.
 */
import fs from "node:fs";
import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { assert } from "../../base/assert.ts";
import { serveDiskJobs } from "./disk-job-server.ts";

const niceness = 10;

try {
  setPriority(0, niceness);
} catch {
  // A sandbox may forbid it. The thread then competes as any other does.
}
assert(parentPort !== null, "the disk thread is started as a thread");
serveDiskJobs(parentPort, fs);
