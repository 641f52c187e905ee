/** What the disk tier asks a writing thread to do, one job at a time, and what it answers. */

import type { CachestoreDirectoryCheck } from "../chunk-file/cachestore-directory.ts";
import type { ChunkPlace, ChunkWrite } from "../chunk-file/chunk-commit.ts";

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
  | CachestoreDirectoryCheck
  | { readonly outcome: "failed"; readonly code: string; readonly victimsGone: number };

/** What a scan found, in parallel arrays: ten thousand small objects cost more to post than two arrays. */
export interface ScanBatch {
  readonly keys: readonly string[];
  readonly sizesBytes: readonly number[];
}

/** Whether bytes that are promised to nobody yet come free by it, or become known. */
export function runsAlone(job: DiskJob): boolean {
  if (job.kind === "finish" || job.kind === "abandon") return false;
  return !("victims" in job) || job.victims.length > 0;
}
