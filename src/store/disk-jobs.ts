/**
 * What a writing thread does, as plain synchronous functions over a narrow file system: there is nothing else for that
 * thread to do meanwhile, and a fault at any step can be put in its way by a test. One job at a time and in order is
 * also what makes the account exact: victims are gone before the bytes that take their place are written.
 */
import { basename, join } from "node:path";
import { type ChunkPlace, type ChunkWrite, commitChunk } from "./chunk-commit.ts";
import { chunkPathOfFileName, trailerLengthBytes } from "./chunk-file.ts";
import { type JobFileSystem, systemErrorCode, unlinkIfPresent, unlinkQuietly } from "./job-file-system.ts";
import { checkSharedDirectory, type SharedDirectoryCheck } from "./shared-directory.ts";
import type { StagedWrites } from "./staged-writes.ts";

/**
 * `evict`: unlinks files. `commit`: the same to make room, then writes a chunk. `append`: the same, then writes the next
 * bytes of a chunk that comes piece by piece; `finish` and `abandon` end that. `scan`: lists and sweeps a directory of
 * this replica's own. `check`: makes one that is shared ready.
 */
export type DiskJob =
  | { readonly kind: "evict"; readonly victims: readonly string[] }
  | { readonly kind: "commit"; readonly victims: readonly string[]; readonly write: ChunkWrite }
  | {
      readonly kind: "append";
      readonly victims: readonly string[];
      readonly stagingPath: string;
      /** Of the chunk; at 0 the file is made. */
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "finish"; readonly place: ChunkPlace; readonly expectedSha256: string | undefined }
  | { readonly kind: "abandon"; readonly stagingPath: string }
  | { readonly kind: "scan"; readonly directory: string }
  | { readonly kind: "check"; readonly root: string };

/** How a job ended. `victimsGone` counts from the front; those behind it are still on disk. */
export type DiskJobResult =
  | { readonly outcome: "done" }
  | { readonly outcome: "stored"; readonly sha256: string }
  | { readonly outcome: "present" }
  /** Of `append` and `finish`: what was written before is not known, because another thread has written it. */
  | { readonly outcome: "lost" }
  /** Of `finish`: the chunk is not the one with that SHA-256, and nothing of it is left. */
  | { readonly outcome: "mismatch" }
  | { readonly outcome: "scanned"; readonly foreignFilesRemoved: number; readonly stagedFilesRemoved: number }
  | SharedDirectoryCheck
  | { readonly outcome: "failed"; readonly code: string; readonly victimsGone: number };

/** What a scan found, in parallel arrays: ten thousand small objects cost more to post than two arrays. */
export interface ScanBatch {
  readonly keys: readonly string[];
  readonly sizesBytes: readonly number[];
}

const namesPerBatch = 512;

/** Whether bytes that are promised to nobody yet come free by it, or become known. */
export function runsAlone(job: DiskJob): boolean {
  if (job.kind === "finish" || job.kind === "abandon") return false;
  return !("victims" in job) || job.victims.length > 0;
}

/** Never throws for what a disk can do; whatever else is thrown is a bug and ends the thread. */
export function runDiskJob(
  fileSystem: JobFileSystem,
  job: DiskJob,
  staged: StagedWrites,
  onBatch: (batch: ScanBatch) => void,
): DiskJobResult {
  let victimsGone = 0;
  try {
    if (job.kind === "check") return checkSharedDirectory(fileSystem, job.root);
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
