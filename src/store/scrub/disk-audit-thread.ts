/**
 * The thread that reads what lies on the disk to check it. SHA-256 of a MiB takes 0.6 ms of processor time, and reading
 * it may take the disk's own time; like the thread that writes, it steps back behind the one that serves clients.
 */
import fs from "node:fs";
import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { assert } from "../../base/assert.ts";
import { serveAudit } from "./disk-audit-server.ts";

const niceness = 19;

try {
  setPriority(0, niceness);
} catch {
  // A sandbox may forbid it. The thread then competes as any other does.
}
assert(parentPort !== null, "the audit thread is started as a thread");
serveAudit(parentPort, fs);
