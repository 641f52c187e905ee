/**
 * What a writing thread does, as plain synchronous functions over a narrow file system: there is nothing else for that
 * thread to do meanwhile, and a fault at any step can be put in its way by a test. One job at a time and in order is
 * also what makes the account exact: victims are gone before the bytes that take their place are written.
 */
import { basename, join } from "node:path";
import { checkCachestoreDirectory } from "../chunk-file/cachestore-directory.ts";
import { commitChunk } from "../chunk-file/chunk-commit.ts";
import { chunkPathOfFileName, trailerLengthBytes } from "../chunk-file/chunk-file.ts";
import type { DiskJob, DiskJobResult, ScanBatch } from "./disk-job.ts";
import { type JobFileSystem, systemErrorCode, unlinkIfPresent, unlinkQuietly } from "./job-file-system.ts";
import type { StagedWrites } from "./staged-writes.ts";

const namesPerBatch = 512;

/** Never throws for what a disk can do; whatever else is thrown is a bug and ends the thread. */
export function runDiskJob(
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
 * Lists the chunks below `directory` by name and size, and sweeps what no run left on purpose: staged files of a
 * killed process, names that are no chunk's, files too small to have a footer.
 */
function scan(
  fileSystem: JobFileSystem,
  directory: string,
  onBatch: (batch: ScanBatch) => void,
): DiskJobResult {
  let stagedFilesRemoved = 0;
  let foreignFilesRemoved = 0;
  let keys: string[] = [];
  let sizesBytes: number[] = [];
  const staging = join(directory, "staging");
  for (const name of fileSystem.readdirSync(staging)) {
    unlinkQuietly(fileSystem, join(staging, name));
    stagedFilesRemoved += 1;
  }
  for (const fanOut of fileSystem.readdirSync(directory)) {
    if (!/^[0-9a-f]{2}$/.test(fanOut)) continue;
    for (const name of fileSystem.readdirSync(join(directory, fanOut))) {
      const path = join(directory, fanOut, name);
      const found = inspect(fileSystem, path, fanOut);
      if (found === "foreign") {
        unlinkIfPresent(fileSystem, path);
        foreignFilesRemoved += 1;
      } else if (found !== "ignored") {
        keys.push(found.key);
        sizesBytes.push(found.sizeBytes);
      }
      if (keys.length < namesPerBatch) continue;
      onBatch({ keys, sizesBytes });
      keys = [];
      sizesBytes = [];
    }
  }
  onBatch({ keys, sizesBytes });
  return { outcome: "scanned", foreignFilesRemoved, stagedFilesRemoved };
}

type Inspected = { readonly key: string; readonly sizeBytes: number } | "foreign" | "ignored";

function inspect(fileSystem: JobFileSystem, path: string, fanOut: string): Inspected {
  const stat = fileSystem.statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile()) return "ignored";
  const key = chunkPathOfFileName(basename(path));
  if (key === undefined || stat.size <= trailerLengthBytes || key.split("/").at(-2)?.slice(0, 2) !== fanOut) {
    return "foreign";
  }
  return { key, sizeBytes: stat.size };
}
