/** A thread that takes the one permit of a semaphore, says so, and releases it at the next message. */
import { parentPort, workerData } from "node:worker_threads";
import { SystemClock } from "../../../src/base/clock.ts";
import { ProcessLimits } from "../../../src/edge/threads/process-limits.ts";

const limits = new ProcessLimits(workerData as Int32Array<SharedArrayBuffer>);
const permit = await limits.semaphore("listings", "a test", 1, new SystemClock(), 10).acquire(1000);
parentPort?.once("message", () => permit.release());
parentPort?.postMessage("held");
