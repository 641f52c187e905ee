/**
 * The work of a writing thread, as synchronous functions over a narrow file system. The thread has nothing else to do
 * meanwhile, and a test can make any call of the file system fail. Jobs run one at a time and in order, which keeps the
 * account exact: victims are gone before the bytes that replace them are written.
 */
import type { MessagePort } from "node:worker_threads";
import { checkCachestoreDirectory } from "../chunk-file/cachestore-directory.ts";
import { commitChunk } from "../chunk-file/chunk-commit.ts";
import type { DiskJob, DiskJobReply, DiskJobResult, ScanBatch } from "./disk-job.ts";
import { DiskScan } from "./disk-scan.ts";
import { type JobFileSystem, systemErrorCode, unlinkIfPresent } from "./job-file-system.ts";
import { sortedRows } from "./scan-order.ts";
import { StagedWrites } from "./staged-writes.ts";

/** Runs the jobs that arrive at a port, one at a time, and answers each. In a test, the file system may fail. */
export function serveDiskJobs(port: MessagePort, fileSystem: JobFileSystem): void {
  const staged = new StagedWrites(fileSystem);
  const onBatch = (batch: ScanBatch): void => port.postMessage({ batch } satisfies DiskJobReply);
  port.on("message", (job: DiskJob) => {
    const result = runDiskJob(fileSystem, job, staged, onBatch);
    port.postMessage({ result } satisfies DiskJobReply);
  });
}

/** Never throws for an error of the file system. Any other error is a bug and ends the thread. */
function runDiskJob(
  fileSystem: JobFileSystem,
  job: DiskJob,
  staged: StagedWrites,
  onBatch: (batch: ScanBatch) => void,
): DiskJobResult {
  let victimsGone = 0;
  try {
    if (job.kind === "check") return checkCachestoreDirectory(fileSystem, job.root);
    if (job.kind === "scan") return new DiskScan({ ...job, fileSystem, onBatch }).run();
    if (job.kind === "rank") return { outcome: "ranked", rows: sortedRows(job.times) };
    if (job.kind === "turn") return { outcome: "done" };
    if (job.kind === "mark") return mark(fileSystem, job.files, job.usedAtS);
    if (job.kind === "finish") return staged.finish(job.place, job.expectedSha256);
    if (job.kind === "abandon") return staged.abandon(job.stagingPath);
    for (const victim of job.victims) {
      unlinkIfPresent(fileSystem, victim);
      victimsGone += 1;
    }
    if (job.kind === "evict") return { outcome: "done" };
    if (job.kind === "append") return staged.append(job.stagingPath, job.offset, job.bytes);
    const committed = commitChunk(fileSystem, job.write);
    return committed === "present" ? { outcome: "present" } : { outcome: "stored", ...committed };
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return { outcome: "failed", code, victimsGone };
  }
}

/** A mark is a hint. Without it, for example because the file was evicted meanwhile, an older time counts. */
function mark(fileSystem: JobFileSystem, files: readonly string[], usedAtS: number): DiskJobResult {
  for (const file of files) {
    try {
      fileSystem.utimesSync(file, usedAtS, usedAtS);
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error;
    }
  }
  return { outcome: "done" };
}
