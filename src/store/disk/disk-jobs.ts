/**
 * The work of a writing thread, as synchronous functions over a narrow file system. The thread has nothing else to do
 * meanwhile, and a test can make any call of the file system fail. Jobs run one at a time and in order, which keeps the
 * account exact: victims are gone before the bytes that replace them are written.
 */
import { basename, join } from "node:path";
import type { MessagePort } from "node:worker_threads";
import { checkCachestoreDirectory } from "../chunk-file/cachestore-directory.ts";
import { commitChunk } from "../chunk-file/chunk-commit.ts";
import { chunkPathOfFileName, trailerLengthBytes } from "../chunk-file/chunk-file.ts";
import type { DiskJob, DiskJobReply, DiskJobResult, ScanBatch } from "./disk-job.ts";
import { type JobFileSystem, systemErrorCode, unlinkIfPresent, unlinkQuietly } from "./job-file-system.ts";
import { StagedWrites } from "./staged-writes.ts";

const namesPerBatch = 512;

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
    if (job.kind === "scan") return scan(fileSystem, job.directory, onBatch);
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

/**
 * Lists the chunks below `directory` by path and size. Deletes staging files of a killed process, files with foreign
 * names, and files that are too small to have a footer.
 */
function scan(
  fileSystem: JobFileSystem,
  directory: string,
  onBatch: (batch: ScanBatch) => void,
): DiskJobResult {
  let stagedFilesRemoved = 0;
  let foreignFilesRemoved = 0;
  let paths: string[] = [];
  let sizesBytes: number[] = [];
  const staging = join(directory, "staging");
  for (const name of fileSystem.readdirSync(staging)) {
    unlinkQuietly(fileSystem, join(staging, name));
    stagedFilesRemoved += 1;
  }
  for (const fanOut of fileSystem.readdirSync(directory)) {
    if (!/^[0-9a-f]{2}$/.test(fanOut)) continue;
    for (const name of fileSystem.readdirSync(join(directory, fanOut))) {
      const filePath = join(directory, fanOut, name);
      const found = inspect(fileSystem, filePath, fanOut);
      if (found === "foreign") {
        unlinkIfPresent(fileSystem, filePath);
        foreignFilesRemoved += 1;
      } else if (found !== "ignored") {
        paths.push(found.path);
        sizesBytes.push(found.sizeBytes);
      }
      if (paths.length < namesPerBatch) continue;
      onBatch({ paths, sizesBytes });
      paths = [];
      sizesBytes = [];
    }
  }
  onBatch({ paths, sizesBytes });
  return { outcome: "scanned", foreignFilesRemoved, stagedFilesRemoved };
}

type Inspected = { readonly path: string; readonly sizeBytes: number } | "foreign" | "ignored";

function inspect(fileSystem: JobFileSystem, filePath: string, fanOut: string): Inspected {
  const stat = fileSystem.statSync(filePath, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile()) return "ignored";
  const path = chunkPathOfFileName(basename(filePath));
  if (
    path === undefined ||
    stat.size <= trailerLengthBytes ||
    path.split("/").at(-2)?.slice(0, 2) !== fanOut
  ) {
    return "foreign";
  }
  return { path, sizeBytes: stat.size };
}
