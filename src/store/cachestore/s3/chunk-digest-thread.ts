/**
 * The thread that hashes chunks on their way to the S3 cachestore, whose SHA-256 is sent before their first byte. Like
 * the disk thread it steps back behind the thread that serves clients.
 */
import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { assert } from "../../../base/assert.ts";
import { digestOf } from "./chunk-digest.ts";

const niceness = 10;

try {
  setPriority(0, niceness);
} catch {
  // A sandbox may forbid it. The thread then competes as any other does.
}
const port = parentPort;
assert(port !== null, "the digest thread is started as a thread");
port.on("message", (blocks: readonly Uint8Array[]) => port.postMessage(digestOf(blocks)));
