/** The thread of timely-file-system.ts: it makes one call of the file system at a time, and may hang in it. */
import fs from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../../../base/assert.ts";
import { serveFileCalls } from "./file-calls.ts";

assert(parentPort !== null, "a file thread is started as a thread");
serveFileCalls(parentPort, workerData as SharedArrayBuffer, fs);
