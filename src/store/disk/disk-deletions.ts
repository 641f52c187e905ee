/**
 * Deletes chunks of the disk tier one by one, for a reason that lies in the chunk: it is damaged, or the cache is cleared
 * of it. (Evictions are jobs of the writing thread.)
 *
 * The file system may not answer in time. Then the file may be there or not, and the bytes count. If they counted forever,
 * a few such moments, or a clear in one of them, would leave no room. So the tier unlinks these files once more when the
 * disk answers again.
 *
 * Invariants:
 * 1. At most one unlinking runs for a chunk.
 * 2. A path in #unanswered has no entry and gets none: the index knows that it is being deleted.
 */
import { chunkFilePath } from "../chunk-file/chunk-file.ts";
import type { DiskCalls } from "./disk-calls.ts";
import type { DiskIndex } from "./disk-index.ts";
import type { DiskOpenFiles } from "./disk-open-files.ts";
import type { DiskFaultLog } from "./disk-stats.ts";

export interface DiskDeletionsOptions {
  /** The directory that holds the chunk files. */
  readonly directory: string;
  readonly calls: DiskCalls;
  readonly index: DiskIndex;
  readonly files: DiskOpenFiles;
  readonly faultLog: DiskFaultLog;
}

export class DiskDeletions {
  readonly #options: DiskDeletionsOptions;
  /** By chunk path. Each resolves with whether the file is gone. */
  readonly #running = new Map<string, Promise<boolean>>();
  /** Sizes of the files of which it is unknown whether they are gone, by chunk path. */
  readonly #unanswered = new Map<string, number>();

  constructor(options: DiskDeletionsOptions) {
    this.#options = options;
  }

  /** The deletion of a chunk, if one runs. */
  get(path: string): Promise<boolean> | undefined {
    return this.#running.get(path);
  }

  /**
   * Removes a chunk from the index and unlinks its file. The bytes of the file count until that is done, and forever if
   * it fails. Resolves with whether the file is gone.
   */
  delete(path: string): Promise<boolean> {
    const running = this.#running.get(path);
    if (running !== undefined) return running;
    const sizeBytes = this.#options.index.startDeletion(path);
    this.#options.files.retire(path);
    return this.#unlink(path, sizeBytes);
  }

  /** The disk answers again. */
  retry(): void {
    const unanswered = [...this.#unanswered];
    this.#unanswered.clear();
    for (const [path, sizeBytes] of unanswered) void this.#unlink(path, sizeBytes);
  }

  /** Resolves when the running deletions have ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  #unlink(path: string, sizeBytes: number): Promise<boolean> {
    const { directory, calls, index, faultLog } = this.#options;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#running.set(path, promise);
    calls.unlink(chunkFilePath(directory, path), (error) => {
      this.#running.delete(path);
      const gone = error === null || error.code === "ENOENT";
      // While a call is late, none is made, and this one was given up.
      if (calls.lateCalls > 0 && error?.code === "ETIMEDOUT") this.#unanswered.set(path, sizeBytes);
      else index.endDeletion(path, sizeBytes, gone);
      if (!gone) faultLog.countError(error.code ?? "EUNKNOWN", "delete a chunk from disk");
      resolve(gone);
    });
    return promise;
  }
}
