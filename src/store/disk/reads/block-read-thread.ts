/** A thread of block-threads.ts. It has the priority of the event loop, because a client waits for what it reads. */
import fs from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../../../base/assert.ts";
import { serveBlockReads } from "./block-read.ts";

assert(parentPort !== null, "a reading thread is started as a thread");
serveBlockReads(parentPort, workerData as Uint8Array, fs);
