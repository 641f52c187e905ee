/**
 * The counters of the POSIX cachestore, and the errors that it throws for the error codes of its file system. The
 * cachestore and its committer share one of these; metrics read it.
 */
import { type ErrorCode, OrcaError } from "../../../base/orca-error.ts";

const errorBySystemCode: Readonly<Record<string, ErrorCode>> = {
  EACCES: "store_denied",
  EPERM: "store_denied",
  EROFS: "store_denied",
  // Limits of this process, not of the store.
  EMFILE: "overloaded",
  ENFILE: "overloaded",
  ENOMEM: "overloaded",
  EAGAIN: "overloaded",
  // A full store can still be read from.
  ENOSPC: "overloaded",
  EDQUOT: "overloaded",
};

/**
 * Another thing than a file has the name of a chunk or of its directory, or the file system takes no such name. That is
 * a fact about this chunk and lasts, so it says nothing against the store.
 */
const lastingSystemCodes: ReadonlySet<string> = new Set([
  "EISDIR",
  "ENOTDIR",
  "EEXIST",
  "ELOOP",
  "ENAMETOOLONG",
]);

export class PosixStats {
  blocksRead = 0;
  bytesRead = 0;
  stored = 0;
  present = 0;
  /** Puts that were dropped before they had started. */
  commitsDropped = 0;
  /** Files whose size, footer, stored key or block checksum was wrong; deleted. */
  damaged = 0;
  /** Open files that were deleted on the server (ESTALE). */
  stale = 0;
  /** Swept at start: staging files of writers that have been dead for an hour. */
  stagedFilesRemoved = 0;
  threadCrashes = 0;
  /** Errors of the file system by code (`ENOSPC`, `EIO`, `ETIMEDOUT`, …). */
  readonly errorsByCode: Record<string, number> = {};

  /** Counts an error of the file system if it is a fact about one chunk. False: the caller treats it as an error. */
  countLasting(systemCode: string): boolean {
    if (!lastingSystemCodes.has(systemCode)) return false;
    this.#count(systemCode);
    return true;
  }

  /** Counts an error of the file system, and returns it as an OrcaError. `action` completes "Cannot …". */
  countError(systemCode: string, action: string): OrcaError {
    this.#count(systemCode);
    const code = errorBySystemCode[systemCode] ?? "store_unavailable";
    return new OrcaError(code, "cachestore", `Cannot ${action}: ${systemCode}`);
  }

  #count(systemCode: string): void {
    this.errorsByCode[systemCode] = (this.errorsByCode[systemCode] ?? 0) + 1;
  }
}
