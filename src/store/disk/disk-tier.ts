/**
 * The tier of chunks on this replica's own disk. Reading is done here, on the event loop: one read into the caller's
 * memory and one checksum. Writing is done by a thread (disk-writer.ts). The disk is never trusted and never needed:
 * whatever is wrong with it makes a miss, a counter and at most one line a minute in the log.
 *
 * Invariants:
 * 1. Bytes of chunk files on disk, staging included, never pass maxBytes once the scan has ended, and nothing is written
 *    before. (A file that is unlinked while it is read from keeps its bytes until that read ends.)
 * 2. A chunk has an entry only when its file was linked whole by a commit, or found by the scan or a read.
 * 3. One commit, one opening and one unlinking at most run for a chunk, and no commit while it is being unlinked.
 */
import nodeFileSystem from "node:fs";
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { ChunkBytes } from "../../chunk/chunk-bytes.ts";
import { ObjectVersion } from "../../chunk/object-version.ts";
import { chunkFilePath, chunkFileSize, storedKeyOf } from "../chunk-file/chunk-file.ts";
import { type DiskFault, DiskFile, type ReadFileSystem, transientErrors } from "../chunk-file/disk-file.ts";
import { readStoredKey } from "../chunk-file/stored-key.ts";
import type { ChunkKey, Presence, PutResult } from "../chunk-store.ts";
import type { EvictionPolicy } from "../eviction/eviction-policy.ts";
import type { ListedStore } from "../listed-store.ts";
import { DiskCommitter } from "./disk-committer.ts";
import { type DiskEntry, DiskIndex } from "./disk-index.ts";
import { DiskOpenFiles } from "./disk-open-files.ts";
import { DiskRoot } from "./disk-root.ts";
import { DiskFaultLog, DiskStats } from "./disk-stats.ts";
import { DiskWriter } from "./disk-writer.ts";
import type { StagedChunk, StageResult, StagingStore } from "./staged-chunk.ts";

export interface DiskTierOptions {
  /** `disk.root`; held by this process alone. */
  readonly root: string;
  /** `disk.max_bytes`: sizes of all chunk files, footers included. */
  readonly maxBytes: number;
  /** Parts of maxBytes: a commit that would pass the high one evicts down to the low one. */
  readonly highWatermark: number;
  readonly lowWatermark: number;
  /** Whether a commit waits for the medium. Without it a power cut costs chunks, never wrong bytes. */
  readonly fsync: boolean;
  readonly replicaId?: string | undefined;
  readonly policy: EvictionPolicy<DiskEntry>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How many files stay open for reading. */
  readonly openFilesMax?: number;
  /** What blocks are read through; for tests. */
  readonly fileSystem?: ReadFileSystem;
  /** What the writing thread runs; for tests. */
  readonly threadModule?: URL;
}

const openFilesMaxDefault = 512;

const miss = Promise.resolve(false);

export class DiskTier implements StagingStore, ListedStore {
  readonly name = "disk";
  /** Called for each chunk that is found damaged or gone; replaced by whoever brings it back. */
  onLost: () => void = () => {};
  readonly stats = new DiskStats();
  /** Resolves when the scan has ended and what was too much is evicted. Nobody has to wait for it to read. */
  readonly ready: Promise<void>;
  readonly maxBytes: number;
  readonly #root: DiskRoot;
  readonly #fileSystem: ReadFileSystem;
  readonly #faultLog: DiskFaultLog;
  readonly #index: DiskIndex;
  readonly #files: DiskOpenFiles;
  readonly #committer: DiskCommitter;
  readonly #commits = new Map<string, Promise<PutResult>>();
  readonly #openings = new Map<string, Promise<DiskFile | undefined>>();
  /** Each resolves with whether the file is gone. */
  readonly #leaving = new Map<string, Promise<boolean>>();
  #readsInProgress = 0;
  #closing: Promise<void> | undefined;
  #state: "open" | "draining" | "closed" = "open";

  private constructor(options: DiskTierOptions, root: DiskRoot) {
    this.maxBytes = options.maxBytes;
    this.#root = root;
    this.#fileSystem = options.fileSystem ?? nodeFileSystem;
    this.#faultLog = new DiskFaultLog(options.clock, options.logger, this.stats);
    this.#index = new DiskIndex(options);
    this.#files = new DiskOpenFiles(options.openFilesMax ?? openFilesMaxDefault);
    this.#committer = new DiskCommitter({
      root,
      index: this.#index,
      files: this.#files,
      faultLog: this.#faultLog,
      stats: this.stats,
      fsync: options.fsync,
      writer: new DiskWriter({
        clock: options.clock,
        logger: options.logger,
        threadModule: options.threadModule,
        onThreadCrash: () => {
          this.stats.threadCrashes += 1;
        },
      }),
    });
    this.ready = this.#committer.scan();
  }

  /**
   * Takes the root and begins to scan it; the tier can be used at once.
   * @throws OrcaError `config_invalid` where the root is another process's or cannot be written.
   */
  static open(options: DiskTierOptions): DiskTier {
    return DiskRoot.open(options.root, options.replicaId).orClose((root) => new DiskTier(options, root));
  }

  get replicaId(): string {
    return this.#root.replicaId;
  }

  /** Where the files of chunks lie: `<disk.root>/orca-disk.v1/<replica-id>`. */
  get directory(): string {
    return this.#root.directory;
  }

  /** Sizes of the chunk files, of those being written and of those being unlinked. */
  get usedBytes(): number {
    return this.#index.usedBytes;
  }

  get spareBytes(): number {
    return this.#index.spareBytes;
  }

  get chunkCount(): number {
    return this.#index.count;
  }

  get openFiles(): number {
    return this.#files.count;
  }

  /** Blocks being read for somebody who waits. */
  get readsInProgress(): number {
    return this.#readsInProgress;
  }

  /** Chunk bytes in memory that commits still hold. */
  get pendingBytes(): number {
    return this.#committer.pendingBytes;
  }

  pathsAfter(after: string, pathsMax: number): readonly string[] {
    return this.#index.keysAfter(after, pathsMax);
  }

  evictFirst(path: string, isFirst: boolean): void {
    this.#index.evictFirst(path, isFirst);
  }

  async chunkKeyOf(path: string): Promise<ChunkKey | undefined> {
    if (this.#state === "closed" || this.#index.get(path) === undefined) return undefined;
    const storedKey = await readStoredKey(this.#fileSystem, chunkFilePath(this.#root.directory, path));
    if (storedKey === undefined) return undefined;
    const { index, objectSizeBytes: sizeBytes, ...fields } = storedKey;
    const ref = { version: new ObjectVersion({ ...fields, sizeBytes }), index };
    return ref.version.chunkPath(index) === path ? ref : undefined;
  }

  presence(ref: ChunkKey): Presence {
    return this.#index.presence(ref.version.chunkPath(ref.index));
  }

  /** Hex SHA-256 of a held chunk, where it is known: from its commit, or since its file was first opened. */
  sha256(ref: ChunkKey): string | undefined {
    return this.#index.get(ref.version.chunkPath(ref.index))?.sha256;
  }

  readBlock(ref: ChunkKey, blockIndex: number, target: Buffer): Promise<boolean> {
    const key = ref.version.chunkPath(ref.index);
    const file = this.#files.get(key);
    if (file !== undefined) return this.#read(key, file, blockIndex, target);
    if (this.#state === "closed" || this.#index.presence(key) === "absent") return miss;
    return this.#openAndRead(key, ref, blockIndex, target);
  }

  put(ref: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    assert(chunk.lengthBytes === ref.version.chunkLength(ref.index), "a chunk is put whole");
    const key = ref.version.chunkPath(ref.index);
    const running = this.#commits.get(key);
    if (running !== undefined) return running.then((result) => (result === "stored" ? "present" : result));
    const leaving = this.#leaving.get(key);
    const commit =
      leaving === undefined
        ? this.#commit(key, ref, chunk)
        : leaving.then(() => this.#commit(key, ref, chunk));
    this.#commits.set(key, commit);
    return commit.then((result) => {
      this.#commits.delete(key);
      this.stats.countPut(result);
      return result;
    });
  }

  /** A chunk of which another replica has a copy. Not before the scan has ended: until then nothing is written. */
  stage(ref: ChunkKey): StagedChunk | undefined {
    const key = ref.version.chunkPath(ref.index);
    const comesOrGoes = this.#commits.has(key) || this.#leaving.has(key);
    if (this.#state !== "open" || comesOrGoes || this.#index.presence(key) !== "absent") return undefined;
    const stage = this.#committer.stage(key, storedKeyOf(ref), () => this.#state === "open");
    return {
      get stagedBytes() {
        return stage.stagedBytes;
      },
      append: (bytes) => stage.append(bytes),
      commit: (expectedSha256) => this.#commitInTurn(key, () => stage.commit(expectedSha256)),
      discard: () => stage.discard(),
    };
  }

  async delete(ref: ChunkKey): Promise<void> {
    const key = ref.version.chunkPath(ref.index);
    if (this.#state !== "closed" && this.#index.presence(key) !== "absent") await this.#discard(key);
  }

  /** Chunk paths of what is held, in no order. */
  keys(): IterableIterator<string> {
    return this.#index.keys();
  }

  /** What is believed of the chunk with this path. It is another entry after the chunk has been away. */
  entry(key: string): DiskEntry | undefined {
    return this.#index.get(key);
  }

  /**
   * Somebody who read the file of `entry` past this tier found a fault. Resolves with whether the chunk was let go of:
   * not where it has been away meanwhile, nor where the fault says nothing about the file.
   */
  async distrust(entry: DiskEntry, fault: DiskFault): Promise<boolean> {
    if (this.#state === "closed" || this.#index.get(entry.key) !== entry) return false;
    await this.#lose(entry.key, entry, fault);
    return this.#index.get(entry.key) !== entry;
  }

  /** Lets go of the chunk with this path. Resolves with the size of its file, 0 where there is none or it would not go. */
  async discard(key: string): Promise<number> {
    const entry = this.#index.get(key);
    if (entry === undefined || this.#state === "closed") return 0;
    return (await this.#discard(key)) ? entry.sizeBytes : 0;
  }

  /** Lets the chunks of a version be the first to go: its object is known by another ETag. */
  supersede(version: ObjectVersion): void {
    for (let index = 0; index < version.chunkCount; index += 1) {
      this.#index.supersede(version.chunkPath(index));
    }
  }

  /** A reclaimer for the memory budget: lets go of commits that have not started, the newest first. */
  dropQueued(bytesWanted: number): void {
    this.#committer.dropQueued(bytesWanted);
  }

  /** Refuses new commits, waits up to `deadlineMs` for those in the queue, and gives the root back. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#close(deadlineMs);
    return this.#closing;
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#state = "draining";
    await this.#committer.close(deadlineMs);
    this.#state = "closed";
    this.#files.close();
    await Promise.all([...this.#openings.values(), ...this.#leaving.values()]);
    this.#root.close();
  }

  #read(key: string, file: DiskFile, blockIndex: number, target: Buffer): Promise<boolean> {
    const entry = this.#index.get(key);
    assert(entry !== undefined, "a file is open only while it has an entry");
    this.#index.touch(entry, blockIndex);
    this.#readsInProgress += 1;
    return new Promise((resolve) => {
      file.readBlock(blockIndex, target, (fault) => {
        this.#readsInProgress -= 1;
        if (fault === undefined) {
          this.stats.blocksRead += 1;
          this.stats.bytesRead += target.length;
          resolve(true);
        } else {
          void this.#lose(key, entry, fault).then(() => resolve(false));
        }
      });
    });
  }

  async #openAndRead(key: string, ref: ChunkKey, blockIndex: number, target: Buffer): Promise<boolean> {
    let opening = this.#openings.get(key);
    if (opening === undefined) {
      opening = this.#open(key, ref);
      this.#openings.set(key, opening);
    }
    const file = await opening;
    return file !== undefined && !file.retired && this.#read(key, file, blockIndex, target);
  }

  /**
   * While a file is being opened its entry may go, and even come back:
   * 1. a read finds the entry of the chunk and begins to open its file;
   * 2. a commit evicts the chunk, the thread unlinks the file, and a later commit brings the chunk again;
   * 3. the opening ends, with the old file or with none.
   * So what it found says something about the chunk only where the entry is still the one of step 1.
   */
  async #open(key: string, ref: ChunkKey): Promise<DiskFile | undefined> {
    const before = this.#index.get(key);
    const opened = await DiskFile.open(this.#fileSystem, chunkFilePath(this.#root.directory, key), ref);
    this.#openings.delete(key);
    const overtaken = before !== undefined && this.#index.get(key) !== before;
    if (!(opened instanceof DiskFile)) {
      if (!overtaken) await this.#lose(key, before, opened);
      return undefined;
    }
    if (overtaken || this.#state === "closed" || this.#index.presence(key) === "absent") {
      opened.retire();
      return undefined;
    }
    const entry = this.#index.get(key) ?? this.#index.add(key, chunkFileSize(storedKeyOf(ref)));
    entry.sha256 = opened.sha256;
    this.#files.add(key, opened);
    return opened;
  }

  /** Draws the conclusion of a fault that the file of `entry` had; of many readers who met it, for the first alone. */
  async #lose(key: string, entry: DiskEntry | undefined, fault: DiskFault): Promise<void> {
    if (this.#index.get(key) !== entry) {
      await this.#leaving.get(key);
      return;
    }
    if (fault.reason === "ENOENT") {
      // Somebody else may have found it open, and a file is open only while it has an entry.
      this.#files.retire(key);
      // Where nothing was known of the chunk, that is a plain miss.
      if (this.#index.remove(key) === undefined) return;
      this.stats.vanished += 1;
      this.onLost();
      return;
    }
    if (fault.kind === "damaged") {
      this.#faultLog.countDamaged(fault.reason, key);
    } else {
      this.#faultLog.countError(fault.reason, "read a chunk from disk");
      if (transientErrors.has(fault.reason)) return;
    }
    await this.#discard(key);
    this.onLost();
  }

  /**
   * Takes a chunk out and unlinks its file, whose bytes count until that is done, and for good where it fails. Resolves
   * with whether it is gone.
   */
  #discard(key: string): Promise<boolean> {
    const running = this.#leaving.get(key);
    if (running !== undefined) return running;
    const sizeBytes = this.#index.startLeaving(key);
    this.#files.retire(key);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#leaving.set(key, promise);
    this.#fileSystem.unlink(chunkFilePath(this.#root.directory, key), (error) => {
      this.#leaving.delete(key);
      const gone = error === null || error.code === "ENOENT";
      this.#index.endLeaving(key, sizeBytes, gone);
      if (!gone) this.#faultLog.countError(error.code ?? "EUNKNOWN", "delete a chunk from disk");
      resolve(gone);
    });
    return promise;
  }

  /** A stage and commits of the same chunk may have been begun side by side; here they come one after the other. */
  async #commitInTurn(key: string, commit: () => Promise<StageResult>): Promise<StageResult> {
    for (;;) {
      const before = this.#commits.get(key) ?? this.#leaving.get(key);
      if (before === undefined) break;
      await before;
    }
    const running = commit();
    const asPut = running.then((result) => (result === "mismatch" ? "not_stored" : result));
    this.#commits.set(key, asPut);
    const result = await running;
    this.#commits.delete(key);
    this.stats.countPut(await asPut);
    return result;
  }

  #commit(key: string, ref: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    if (this.#index.get(key) !== undefined) return Promise.resolve("present");
    if (this.#state !== "open") return Promise.resolve("not_stored");
    return this.#committer.commit(key, storedKeyOf(ref), chunk);
  }
}
