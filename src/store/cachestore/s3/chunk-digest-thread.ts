/**
 * The thread that hashes chunks for the S3 cachestore, because their SHA-256 is sent before their first byte. Like the
 * disk's thread, it has a lower priority than the thread that serves clients.
 */
import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { assert } from "../../../base/assert.ts";
import { digestOf } from "./chunk-digest.ts";

const niceness = 10;

try {
  setPriority(0, niceness);
} catch {
  // A sandbox may forbid it. Then the thread runs at normal priority.
}
const port = parentPort;
assert(port !== null, "the digest thread is started as a thread");
port.on("message", (blocks: readonly Uint8Array[]) => port.postMessage(digestOf(blocks)));
