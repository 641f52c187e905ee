/**
 * The tier of chunks on this replica's own disk. Reads run in a few threads (disk-reader.ts), and writes in one
 * (disk-writer.ts). The disk is never trusted and never needed: a fault of it causes a miss, a count and at most one
 * line a minute in the log.
 *
 * Invariants:
 * 1. The bytes of chunk files on disk, staging files included, never exceed maxBytes after the scan, and nothing is
 *    written before its end. (A file that is unlinked while it is read keeps its bytes until that read ends.)
 * 2. A chunk has an entry only if a commit linked its whole file, or the scan or a read found the file.
 * 3. At most one commit, one opening and one unlinking run for a chunk, and no commit while it is being unlinked.
 */
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import type { ChunkBytes } from "../../chunk/chunk-bytes.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import { storedKeyOf } from "../chunk-file/chunk-file.ts";
import { type DiskFault, type ReadFileSystem, transientErrors } from "../chunk-file/disk-file.ts";
import type { ChunkKey, MemoryHold, Presence, PutResult } from "../chunk-store.ts";
import { Superseder, supersedeSliceMax } from "../eviction/superseder.ts";
import type { ListedStore } from "../listed-store.ts";
import { DiskBlocks } from "./disk-blocks.ts";
import { DiskCalls } from "./disk-calls.ts";
import { DiskCommitter } from "./disk-committer.ts";
import { DiskDeletions } from "./disk-deletions.ts";
import { DiskIndex } from "./disk-index.ts";
import { DiskOpenFiles } from "./disk-open-files.ts";
import { DiskReader } from "./disk-reader.ts";
import { DiskRoot } from "./disk-root.ts";
import { DiskFaultLog, DiskStats } from "./disk-stats.ts";
import { DiskWriter } from "./disk-writer.ts";
import type { DiskEntry } from "./held-entries.ts";
import type { DiskPins } from "./pins/disk-pins.ts";
import type { DiskShares } from "./shares/disk-shares.ts";
import { type ProtectionOptions, protection } from "./shares/protection.ts";
import type { StagedChunk, StageResult, StagingStore } from "./staged-chunk.ts";
import { UseMarks } from "./use-marks.ts";

export interface DiskTierOptions extends ProtectionOptions {
  /** `disk.root`. Only this process may use it. */
  readonly root: string;
  /** Like the low one. A commit that would exceed it begins to evict down to the low one. */
  readonly highWatermark: number;
  /** `disk.call_timeout`: for one call of the file system. */
  readonly callTimeoutMs?: number;
  /** Whether a commit waits for the medium. Without it, a power failure loses chunks, but no chunk has wrong bytes. */
  readonly fsync: boolean;
  readonly replicaId?: string | undefined;
  /** How many files stay open for reading. */
  readonly openFilesMax?: number;
  /** @see DiskCallsOptions.sparesEventLoop */
  readonly sparesEventLoop?: boolean;
  /** The file system that blocks are read through; for tests. */
  readonly fileSystem?: ReadFileSystem;
  /** The module that the writing thread runs; for tests. */
  readonly threadModule?: URL;
  /** The module that the reading threads run; for tests. */
  readonly readThreadModule?: URL;
}

const openFilesMaxDefault = 512;
const callTimeoutMsDefault = 10_000;
/** A close gives up calls that hang after this time. */
const closeTimeoutMs = 1000;

const miss = Promise.resolve(false);

export class DiskTier implements StagingStore, ListedStore {
  readonly name = "disk";
  /** Called for each chunk that is found damaged or missing. A part that restores such chunks replaces it. */
  onLost: () => void = () => {};
  readonly stats = new DiskStats();
  /** Resolves when the scan has ended and the chunks over the limit are evicted. Reads need not wait for it. */
  readonly ready: Promise<void>;
  readonly maxBytes: number;
  readonly partial = new DiskBlocks(this);
  readonly pins: DiskPins;
  /** Undefined where none is configured. */
  readonly shares: DiskShares | undefined;
  readonly #root: DiskRoot;
  readonly #clock: Clock;
  readonly #calls: DiskCalls;
  readonly #writer: DiskWriter;
  readonly #faultLog: DiskFaultLog;
  readonly #index: DiskIndex;
  readonly #files: DiskOpenFiles;
  readonly #reader: DiskReader;
  readonly #committer: DiskCommitter;
  readonly #commits = new Map<string, Promise<PutResult>>();
  readonly #deletions: DiskDeletions;
  readonly #superseder: Superseder;
  readonly #marks: UseMarks;
  #closing: Promise<void> | undefined;
  #state: "open" | "draining" | "closed" = "open";

  private constructor(options: DiskTierOptions, root: DiskRoot) {
    this.maxBytes = options.maxBytes;
    this.#root = root;
    const { clock, logger, callTimeoutMs: deadlineMs = callTimeoutMsDefault } = options;
    const onThreadCrash = this.stats.countThreadCrash;
    this.#clock = clock;
    this.#faultLog = new DiskFaultLog(clock, logger, this.stats);
    const onHang = (): void => this.#faultLog.countSetAside(deadlineMs);
    const onMoved = (): void => {
      if (this.isSetAside) return;
      this.#faultLog.noteUsedAgain();
      this.#deletions.retry();
    };
    const calls = { deadlineMs, onThreadCrash, onLate: onHang, onReturned: onMoved };
    this.#calls = new DiskCalls({ ...options, ...calls });
    this.#writer = new DiskWriter({
      clock,
      logger,
      threadModule: options.threadModule,
      watch: { deadlineMs, onHang, onMoved },
      onThreadCrash,
    });
    this.#marks = new UseMarks(clock, (rows, done) => this.#committer.markUses(rows, done));
    const { pins, shares, policy } = protection(options, root.directory);
    this.pins = pins;
    this.shares = shares;
    this.#index = new DiskIndex({ ...options, policy, shares, marks: this.#marks });
    this.#superseder = new Superseder((version) =>
      this.#index.supersede(version) === supersedeSliceMax ? 0 : undefined,
    );
    this.#files = new DiskOpenFiles(options.openFilesMax ?? openFilesMaxDefault);
    const parts = {
      directory: root.directory,
      calls: this.#calls,
      index: this.#index,
      files: this.#files,
      faultLog: this.#faultLog,
    };
    this.#deletions = new DiskDeletions(parts);
    this.#reader = new DiskReader({
      ...parts,
      stats: this.stats,
      onFault: (path, isCurrent, fault) => this.#handleFault(path, isCurrent, fault),
    });
    this.#committer = new DiskCommitter({
      root,
      index: this.#index,
      files: this.#files,
      faultLog: this.#faultLog,
      stats: this.stats,
      fsync: options.fsync,
      clock,
      writer: this.#writer,
      onScanned: () => this.pins.restore(this.#index),
    });
    this.ready = this.#committer.scan();
  }

  /**
   * Locks the root and begins to scan it. The tier can be used at once.
   * @throws OrcaError `config_invalid` if another process uses the root, or it cannot be written.
   */
  static open(options: DiskTierOptions): DiskTier {
    return DiskRoot.open(options.root, options.replicaId).orClose((root) => new DiskTier(options, root));
  }

  get replicaId(): string {
    return this.#root.replicaId;
  }

  /** The directory of the chunk files: `<disk.root>/orca-disk.v1/<replica-id>`. */
  get directory(): string {
    return this.#root.directory;
  }

  /** Sizes of all chunk files, including those that are being written or unlinked. */
  get usedBytes(): number {
    return this.#index.usedBytes;
  }

  get spareBytes(): number {
    return this.#index.spareBytes;
  }

  /** Whole chunks. */
  get chunkCount(): number {
    return this.#index.count - this.#index.blockCount;
  }

  /** Blocks of partial chunks. */
  get blockCount(): number {
    return this.#index.blockCount;
  }

  get openFiles(): number {
    return this.#files.count;
  }

  /** Blocks that are being read for a waiting reader. */
  get readsInProgress(): number {
    return this.#reader.readsInProgress;
  }

  /** Chunk bytes in memory that commits hold. */
  get pendingBytes(): number {
    return this.#committer.pendingBytes;
  }

  pathsAfter(after: string, pathsMax: number, fromOrder?: number): readonly string[] {
    return this.#index.pathsAfter(after, pathsMax, fromOrder);
  }

  evictFirst(path: string, isFirst: boolean): void {
    if (!this.pins.has(path)) this.#index.evictFirst(path, isFirst);
  }

  chunkKeyOf(path: string): Promise<ChunkKey | undefined> {
    return this.#reader.chunkKeyOf(path);
  }

  /** A call of the file system has not returned in time. Until it does, the tier holds nothing and stores nothing. */
  get isSetAside(): boolean {
    return this.#calls.lateCalls > 0 || this.#writer.hangs;
  }

  presence(key: ChunkKey): Presence {
    return this.isSetAside ? "absent" : this.#index.presenceOf(key);
  }

  /** Hex SHA-256 of a held chunk, if it is known: since its commit, or since its file was first opened. */
  sha256(key: ChunkKey): string | undefined {
    return this.#index.sha256(key.version.chunkPath(key.index));
  }

  readBlock(key: ChunkKey, blockIndex: number, target: Buffer, hold?: MemoryHold): Promise<boolean> {
    if (this.isSetAside) return miss;
    return this.#reader.readBlock(key, blockIndex, target, hold);
  }

  put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    assert(chunk.lengthBytes === key.version.chunkLength(key.index), "a chunk is put whole");
    const path = key.version.chunkPath(key.index);
    const running = this.#commits.get(path);
    if (running !== undefined) return running.then((result) => (result === "stored" ? "present" : result));
    const deletion = this.#deletions.get(path);
    const commit =
      deletion === undefined
        ? this.#commit(path, key, chunk)
        : deletion.then(() => this.#commit(path, key, chunk));
    this.#commits.set(path, commit);
    return commit.then((result) => {
      this.#commits.delete(path);
      this.stats.countPut(result);
      return result;
    });
  }

  /** For a chunk that this replica copies from another. Undefined before the end of the scan: nothing is written then. */
  stage(key: ChunkKey): StagedChunk | undefined {
    const path = key.version.chunkPath(key.index);
    const isChanging = this.#commits.has(path) || this.#deletions.get(path) !== undefined;
    const isAbsent = this.#index.presence(path) === "absent" && this.#index.canName(path);
    if (this.#state !== "open" || this.isSetAside || isChanging || !isAbsent) return undefined;
    const stage = this.#committer.stage(path, storedKeyOf(key), () => this.#state === "open");
    return {
      get stagedBytes() {
        return stage.stagedBytes;
      },
      append: (bytes, hold) => stage.append(bytes, hold),
      commit: (expectedSha256) => this.#commitInTurn(path, () => stage.commit(expectedSha256)),
      discard: () => stage.discard(),
    };
  }

  async delete(key: ChunkKey): Promise<void> {
    const path = key.version.chunkPath(key.index);
    if (this.#state !== "closed" && this.#index.presence(path) !== "absent")
      await this.#deletions.delete(path);
  }

  /** The paths of all held chunks, in no order. */
  paths(): IterableIterator<string> {
    return this.#index.paths();
  }

  /** The entry of the chunk with this path, which the caller releases. */
  hold(path: string): DiskEntry | undefined {
    return this.#index.hold(path);
  }

  release(entry: DiskEntry): void {
    this.#index.release(entry);
  }

  /**
   * Handles a fault that another part found when it read the file of `entry` itself. Resolves with whether the chunk
   * was deleted. It is not if the entry is not held any more, or if the fault says nothing about the file.
   */
  async distrust(entry: DiskEntry, fault: DiskFault): Promise<boolean> {
    if (this.#state === "closed" || !entry.isHeld) return false;
    await this.#handleFault(entry.path, true, fault);
    return !entry.isHeld;
  }

  /**
   * Deletes the chunk with this path. Resolves with the size of its file; 0 if there is none, the disk is set aside, or the
   * deletion failed.
   */
  async discard(path: string): Promise<number> {
    const sizeBytes = this.#index.sizeOf(path);
    if (sizeBytes === 0 || this.#state === "closed" || this.isSetAside) return 0;
    return (await this.#deletions.delete(path)) ? sizeBytes : 0;
  }

  /** Makes the chunks of a version the first to be evicted, because its object has another ETag now. */
  supersede(version: ObjectVersion): void {
    this.#superseder.add(version);
    this.#superseder.add(version.blocks);
  }

  /** A reclaimer for the memory budget: drops commits that have not started, the newest first. */
  dropQueued(bytesWanted: number): void {
    this.#committer.dropQueued(bytesWanted);
  }

  /** Accepts no new commits, waits up to `deadlineMs` for those in the queue, and releases the root. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#close(deadlineMs);
    return this.#closing;
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#state = "draining";
    this.#marks.close();
    await this.#committer.close(deadlineMs);
    this.#state = "closed";
    this.#files.close();
    this.#superseder.close();
    const late = Promise.withResolvers<void>();
    const timer = this.#clock.timer(closeTimeoutMs, () => {
      void this.#calls.stop();
      late.resolve();
    });
    const pinned = Promise.race([this.pins.close(), late.promise]);
    await Promise.all([this.#reader.close(), this.#deletions.ended(), pinned]);
    await Promise.race([this.#calls.stop(), late.promise]);
    timer.cancel();
    this.#root.close();
  }

  /** Handles a fault of a chunk's file. If many readers found it, only the first call has an effect. */
  async #handleFault(path: string, isCurrent: boolean, fault: DiskFault): Promise<void> {
    if (!isCurrent) {
      await this.#deletions.get(path);
      return;
    }
    if (fault.reason === "ENOENT") {
      // Another read may have opened the file before, and a file is open only while it has an entry.
      this.#files.retire(path);
      // Without an entry this is an ordinary miss.
      if (!this.#index.remove(path)) return;
      this.stats.vanished += 1;
      this.onLost();
      return;
    }
    if (fault.kind === "damaged") {
      this.#faultLog.countDamaged(fault.reason, path);
    } else {
      this.#faultLog.countError(fault.reason, "read a chunk from disk");
      if (transientErrors.has(fault.reason)) return;
    }
    await this.#deletions.delete(path);
    this.onLost();
  }

  /** A stage and commits of one chunk may begin at the same time. Here they run one after the other. */
  async #commitInTurn(path: string, commit: () => Promise<StageResult>): Promise<StageResult> {
    for (;;) {
      const before = this.#commits.get(path) ?? this.#deletions.get(path);
      if (before === undefined) break;
      await before;
    }
    const running = commit();
    const asPut = running.then((result) => (result === "mismatch" ? "not_stored" : result));
    this.#commits.set(path, asPut);
    const result = await running;
    this.#commits.delete(path);
    this.stats.countPut(await asPut);
    return result;
  }

  #commit(path: string, key: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    if (this.#index.has(path)) return Promise.resolve("present");
    if (this.#state !== "open" || this.isSetAside) return Promise.resolve("not_stored");
    return this.#committer.commit(path, storedKeyOf(key), chunk);
  }
}
