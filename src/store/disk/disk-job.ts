/** The messages between the disk tier and its writing thread: jobs, one at a time, and their results. */

import type { CachestoreDirectoryCheck } from "../chunk-file/cachestore-directory.ts";
import type { ChunkPlace, ChunkWrite } from "../chunk-file/chunk-commit.ts";
import type { SharePlace } from "./shares/disk-share.ts";

/**
 * `evict`: unlinks files. `commit`: unlinks files to make room, then writes a chunk. `append`: unlinks files to make
 * room, then writes the next bytes of a chunk that arrives in pieces; `finish` and `abandon` end such a chunk. `scan`:
 * lists and sweeps the directory of a disk tier, and `rank` sorts its rows by their last use. `turn`:
 * does nothing while the event loop takes a turn and no other job starts. `mark`: notes the time of a
 * use in files. `check`: prepares and checks the directory of a cachestore.
 */
export type DiskJob =
  | { readonly kind: "evict"; readonly victims: readonly string[] }
  | { readonly kind: "commit"; readonly victims: readonly string[]; readonly write: ChunkWrite }
  | {
      readonly kind: "append";
      readonly victims: readonly string[];
      readonly stagingPath: string;
      /** The offset in the chunk. At 0 the file is created. */
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "finish"; readonly place: ChunkPlace; readonly expectedSha256: string | undefined }
  | { readonly kind: "abandon"; readonly stagingPath: string }
  | {
      readonly kind: "scan";
      readonly directory: string;
      readonly chunksMax: number;
      /** Of the shares of the disk; undefined where there are none. */
      readonly places?: readonly SharePlace[] | undefined;
    }
  | { readonly kind: "rank"; readonly times: Uint32Array }
  | { readonly kind: "turn" }
  | { readonly kind: "mark"; readonly files: readonly string[]; readonly usedAtS: number }
  | { readonly kind: "check"; readonly root: string };

/** The result of a job. `victimsGone`: the number of unlinked victims, from the first; later ones are still on disk. */
export type DiskJobResult =
  | { readonly outcome: "done" }
  | { readonly outcome: "stored"; readonly sha256: string }
  | { readonly outcome: "present" }
  /** Of `append` and `finish`: the state of the chunk is lost, because another thread wrote its earlier bytes. */
  | { readonly outcome: "lost" }
  /** Of `finish`: the chunk does not have the expected SHA-256, and is deleted. */
  | { readonly outcome: "mismatch" }
  | {
      readonly outcome: "scanned";
      readonly foreignFilesRemoved: number;
      readonly stagedFilesRemoved: number;
      /** Chunks beyond the limit, which were used least recently. */
      readonly excessFilesRemoved: number;
    }
  | { readonly outcome: "ranked"; readonly rows: Uint32Array }
  | CachestoreDirectoryCheck
  | { readonly outcome: "failed"; readonly code: string; readonly victimsGone: number };

/** Any number of batches of a scan, then the result of the same job. */
export type DiskJobReply = { readonly batch: ScanBatch } | { readonly result: DiskJobResult };

/** Files that a scan found, in parallel arrays: to post ten thousand small objects costs more than three arrays. */
export interface ScanBatch {
  readonly paths: readonly string[];
  readonly sizesBytes: readonly number[];
  /** The time of the last use, in milliseconds since the epoch. */
  readonly usedAtMs: readonly number[];
  /** The numbers of their shares; undefined where there are none. */
  readonly shares?: readonly number[] | undefined;
}

/** Whether the job frees or finds bytes that are not reserved yet. No other job may start before it ends. */
export function runsAlone(job: DiskJob): boolean {
  if (job.kind === "finish" || job.kind === "abandon" || job.kind === "mark") return false;
  return !("victims" in job) || job.victims.length > 0;
}
