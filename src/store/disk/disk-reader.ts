/**
 * Reads blocks from the files of the disk tier, on the event loop: one read into the caller's memory and one checksum
 * (block-tags.ts).
 * The first read of a chunk opens its file, which then stays open. A small file is read by a thread as a whole
 * (reads/small-file.ts). The tier handles the faults that a read finds.
 *
 * Invariants:
 * 1. A file stays open only while its chunk has an entry in the index.
 * 2. At most one opening runs for a chunk.
 */
import { assert } from "../../base/assert.ts";
import { ObjectVersion } from "../../chunk/object-version.ts";
import { chunkFilePath, chunkFileSize, storedKeyOf } from "../chunk-file/chunk-file.ts";
import { type DiskFault, DiskFile } from "../chunk-file/disk-file.ts";
import { readStoredKey } from "../chunk-file/stored-key.ts";
import type { ChunkKey, MemoryHold } from "../chunk-store.ts";
import type { DiskCalls } from "./disk-calls.ts";
import type { DiskIndex } from "./disk-index.ts";
import type { DiskOpenFiles } from "./disk-open-files.ts";
import type { DiskStats } from "./disk-stats.ts";
import { type SmallFileJob, type SmallFileReply, smallFileBytesMax } from "./reads/small-file.ts";

export interface DiskReaderOptions {
  /** The directory that holds the chunk files. */
  readonly directory: string;
  readonly calls: DiskCalls;
  readonly index: DiskIndex;
  readonly files: DiskOpenFiles;
  readonly stats: DiskStats;
  /** A read found a fault. `isCurrent`: in the file that the chunk still has, as far as the index knows. */
  readonly onFault: (path: string, isCurrent: boolean, fault: DiskFault) => Promise<void>;
}

const miss = Promise.resolve(false);

export class DiskReader {
  readonly #directory: string;
  readonly #calls: DiskCalls;
  readonly #index: DiskIndex;
  readonly #files: DiskOpenFiles;
  readonly #stats: DiskStats;
  readonly #onFault: DiskReaderOptions["onFault"];
  readonly #openings = new Map<string, Promise<DiskFile | undefined>>();
  #readsInProgress = 0;
  #closed = false;

  constructor(options: DiskReaderOptions) {
    this.#directory = options.directory;
    this.#calls = options.calls;
    this.#index = options.index;
    this.#files = options.files;
    this.#stats = options.stats;
    this.#onFault = options.onFault;
  }

  get readsInProgress(): number {
    return this.#readsInProgress;
  }

  readBlock(key: ChunkKey, blockIndex: number, target: Buffer, hold?: MemoryHold): Promise<boolean> {
    const path = key.version.chunkPath(key.index);
    const file = this.#files.get(path, key.version.sizeBytes);
    if (file !== undefined) return this.#read(path, key, file, blockIndex, target, hold);
    const presence = this.#index.presenceOf(key);
    if (this.#closed || presence === "absent") return miss;
    const isSmall =
      target.length <= smallFileBytesMax && target.length === key.version.chunkLength(key.index);
    if (isSmall && presence === "held") return this.#readSmall(path, key, target, hold);
    return this.#openAndRead(path, key, blockIndex, target, hold);
  }

  /** The chunk key in the file of a held chunk; undefined if the file is missing, damaged or another chunk's. */
  async chunkKeyOf(path: string): Promise<ChunkKey | undefined> {
    if (this.#closed || !this.#index.has(path)) return undefined;
    const storedKey = await readStoredKey(this.#calls, chunkFilePath(this.#directory, path));
    if (storedKey === undefined) return undefined;
    const { index, objectSizeBytes: sizeBytes, ...fields } = storedKey;
    const key = { version: new ObjectVersion({ ...fields, sizeBytes }), index };
    return key.version.chunkPath(index) === path ? key : undefined;
  }

  /** Opens no more files. Resolves when the running openings have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#openings.values());
  }

  #read(
    path: string,
    key: ChunkKey,
    file: DiskFile,
    blockIndex: number,
    target: Buffer,
    hold?: MemoryHold,
  ): Promise<boolean> {
    const hasEntry = this.#index.touch(key, blockIndex);
    assert(hasEntry, "a file is open only while it has an entry");
    this.#readsInProgress += 1;
    return new Promise((resolve) => {
      file.readBlock(blockIndex, target, (fault) => {
        this.#readsInProgress -= 1;
        if (fault === undefined) {
          this.#stats.blocksRead += 1;
          this.#stats.bytesRead += target.length;
          resolve(true);
        } else {
          if (fault.reason === "ETIMEDOUT" && hold) this.#holdUntilReturned(target, hold);
          // The file of a chunk that was removed is retired, and so is a file that was not read for long. Then the next
          // read finds out.
          void this.#onFault(path, !file.retired, fault).then(() => resolve(false));
        }
      });
    });
  }

  #holdUntilReturned(target: Buffer, hold: MemoryHold): void {
    hold.retain();
    this.#calls.whenReturned(target, () => hold.release());
  }

  /** Opens no file for long. As with {@link #open}, the entry may be removed meanwhile. */
  async #readSmall(path: string, key: ChunkKey, target: Buffer, hold?: MemoryHold): Promise<boolean> {
    const entry = this.#index.hold(path);
    assert(entry !== undefined, "a small chunk that is held has an entry");
    this.#readsInProgress += 1;
    const fileBytes = chunkFileSize(storedKeyOf(key));
    const file = chunkFilePath(this.#directory, path);
    const job: SmallFileJob = [file, target, fileBytes, key.version.sizeBytes];
    const reply = await new Promise<SmallFileReply | undefined>((resolve) => {
      this.#calls.readSmallFile(job, resolve);
    });
    this.#readsInProgress -= 1;
    const { isHeld } = entry;
    this.#index.release(entry);
    if (reply === undefined) return this.#openAndRead(path, key, 0, target, hold);
    if (typeof reply === "string") {
      // The bytes are right even if the chunk was evicted meanwhile.
      if (isHeld) {
        this.#index.touch(key, 0);
        this.#index.noteSha256(path, reply);
      }
      this.#stats.blocksRead += 1;
      this.#stats.bytesRead += target.length;
      return true;
    }
    if (reply.reason === "ETIMEDOUT" && hold) this.#holdUntilReturned(target, hold);
    await this.#onFault(path, isHeld, reply);
    return false;
  }

  async #openAndRead(
    path: string,
    key: ChunkKey,
    blockIndex: number,
    target: Buffer,
    hold?: MemoryHold,
  ): Promise<boolean> {
    let opening = this.#openings.get(path);
    if (opening === undefined) {
      opening = this.#open(path, key);
      this.#openings.set(path, opening);
    }
    await opening;
    // It may have been opened for an object of another size. That is a miss, and the next read opens it again.
    const file = this.#files.get(path, key.version.sizeBytes);
    return file !== undefined && this.#read(path, key, file, blockIndex, target, hold);
  }

  /**
   * While a file is being opened, its entry may be removed and even added again:
   * 1. a read finds the entry of the chunk and begins to open its file;
   * 2. a commit evicts the chunk, the thread unlinks the file, and a later commit stores the chunk again;
   * 3. the opening ends, with the old file or with none.
   * So the result says something about the chunk only if the entry is still the one of step 1.
   */
  async #open(path: string, key: ChunkKey): Promise<DiskFile | undefined> {
    const before = this.#index.hold(path);
    const opened = await DiskFile.open(
      this.#calls,
      chunkFilePath(this.#directory, path),
      key,
      this.#calls.tags,
    );
    this.#openings.delete(path);
    const overtaken = before !== undefined && !before.isHeld;
    if (before !== undefined) this.#index.release(before);
    if (!(opened instanceof DiskFile)) {
      const isCurrent = before === undefined ? !this.#index.has(path) : before.isHeld;
      if (!overtaken) await this.#onFault(path, isCurrent, opened);
      return undefined;
    }
    const isKnown = this.#index.has(path);
    // A file that the scan has not found yet gets an entry now, if there is a row left for it.
    const isUsable = isKnown || (this.#index.presence(path) === "unknown" && this.#index.canAdd(path));
    if (overtaken || this.#closed || !isUsable) {
      opened.retire();
      return undefined;
    }
    if (!isKnown) {
      const storedKey = storedKeyOf(key);
      this.#index.add(path, chunkFileSize(storedKey), { share: this.#index.shares?.numberOf(storedKey) });
    }
    this.#index.noteSha256(path, opened.sha256);
    this.#files.add(path, opened);
    return opened;
  }
}
