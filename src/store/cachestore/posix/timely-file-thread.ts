/** A thread that makes one call of the file system at a time, and may be left hanging in it (timely-file-system.ts). */
import fs from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../../../base/assert.ts";
import { serveFileCalls } from "./file-calls.ts";

assert(parentPort !== null, "a file thread is started as a thread");
serveFileCalls(parentPort, workerData as SharedArrayBuffer, fs);
