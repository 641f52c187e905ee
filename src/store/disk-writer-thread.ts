/**
 * The thread that writes to disk: it takes one job at a time from its port and answers each. Hashing and writing a
 * chunk takes about 1.5 ms per MiB of processor time, which on the event loop would be time that every response
 * waits. On Linux a priority belongs to a thread (setpriority(2), "C library/kernel differences"), so this one steps
 * back behind the thread that serves clients, and behind nothing else.
 */
import fs from "node:fs";
import { setPriority } from "node:os";
import { type MessagePort, parentPort } from "node:worker_threads";
import {
  type DiskJob,
  type DiskJobResult,
  type JobFileSystem,
  runDiskJob,
  type ScanBatch,
} from "./disk-jobs.ts";

/** Several scan batches, then the result of the same job. */
export type ThreadReply = { readonly batch: ScanBatch } | { readonly result: DiskJobResult };

const niceness = 10;

export function serveDiskJobs(port: MessagePort, fileSystem: JobFileSystem): void {
  try {
    setPriority(0, niceness);
  } catch {
    // A sandbox may forbid it. The thread then competes as any other does.
  }
  port.on("message", (job: DiskJob) => {
    const result = runDiskJob(fileSystem, job, (batch) => port.postMessage({ batch } satisfies ThreadReply));
    port.postMessage({ result } satisfies ThreadReply);
  });
}

// A test brings a thread module of its own, which calls serveDiskJobs with a file system that fails.
if (parentPort && import.meta.main) serveDiskJobs(parentPort, fs);
