/**
 * The far end of DiskWriter's queue: takes jobs from a port one at a time and answers each, over whatever file system
 * it is given. It is apart from the thread's own module so that a test's thread can serve with one that fails.
 */
import type { MessagePort } from "node:worker_threads";
import type { DiskJob, DiskJobResult, ScanBatch } from "./disk-job.ts";
import { runDiskJob } from "./disk-jobs.ts";
import type { JobFileSystem } from "./job-file-system.ts";
import { StagedWrites } from "./staged-writes.ts";

/** Any number of batches of a scan, then the result of the same job. */
export type DiskJobReply = { readonly batch: ScanBatch } | { readonly result: DiskJobResult };

export function serveDiskJobs(port: MessagePort, fileSystem: JobFileSystem): void {
  const staged = new StagedWrites(fileSystem);
  const onBatch = (batch: ScanBatch): void => port.postMessage({ batch } satisfies DiskJobReply);
  port.on("message", (job: DiskJob) => {
    const result = runDiskJob(fileSystem, job, staged, onBatch);
    port.postMessage({ result } satisfies DiskJobReply);
  });
}
