/**
 * The cachestore as a directory that all replicas mount, over NFS or any other file system with hard links. A chunk is
 * a file of the same format as on a replica's own disk, with the same checks: the footer and the stored key when it is
 * opened, a checksum for every block. There is no index, because other replicas store and delete chunks, too. To look
 * for a chunk, the cachestore opens its file.
 *
 *     <root>/orca-posixfs.v1/staging/<uuid>
 *     <root>/orca-posixfs.v1/<xx>/<origin id>.<hash>.<index>
 *
 * Invariants:
 * 1. No caller waits longer for this file system than its deadlines. Reads go through timely-file-system.ts and writes
 *    through posix-committer.ts. Neither occupies a thread that another part of the process needs.
 * 2. A file stays open only after its footer has matched the chunk. A path determines the bytes, so an open file stays
 *    right even if another replica has deleted or replaced it.
 */

import { assert } from "../../../base/assert.ts";
import type { ByteSink } from "../../../base/byte-sink.ts";
import type { Clock } from "../../../base/clock.ts";
import { LogPace } from "../../../base/log-pace.ts";
import type { Logger } from "../../../base/logger.ts";
import { OrcaError } from "../../../base/orca-error.ts";
import { pages } from "../../../base/pages.ts";
import type { ChunkBytes } from "../../../chunk/chunk-bytes.ts";
import { cachestoreDirectoryOf } from "../../chunk-file/cachestore-directory.ts";
import { blockSizeBytes, chunkFilePath } from "../../chunk-file/chunk-file.ts";
import { type DiskFault, DiskFile, type ReadFileSystem } from "../../chunk-file/disk-file.ts";
import type { ChunkKey, PutResult } from "../../chunk-store.ts";
import { DiskOpenFiles } from "../../disk/disk-open-files.ts";
import type { CachestoreDriver } from "../cachestore-driver.ts";
import { PosixCommitter } from "./posix-committer.ts";
import { PosixStats } from "./posix-stats.ts";
import { TimelyFileSystem } from "./timely-file-system.ts";

export interface PosixCachestoreOptions {
  /** `cachestore.posixfs.root`. It must exist: a missing root may be a missing mount. */
  readonly root: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For one call of the file system. To open a file takes three calls, to read a block takes one. */
  readonly callTimeoutMs?: number;
  /** For one commit, and for the self-test. */
  readonly commitTimeoutMs?: number;
  /** Calls of the read path that run at once, each in a thread. */
  readonly readsMax?: number;
  readonly openFilesMax?: number;
  /** The file system that blocks are read through, and the modules of both threads; for tests. */
  readonly fileSystem?: ReadFileSystem;
  readonly readThreadModule?: URL;
  readonly writeThreadModule?: URL;
}

const callTimeoutMsDefault = 5_000;
const commitTimeoutMsDefault = 30_000;
const readsMaxDefault = 2;
const openFilesMaxDefault = 512;

export class PosixCachestore implements CachestoreDriver {
  readonly kind = "posixfs";
  readonly stats = new PosixStats();
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #pace: LogPace;
  readonly #timely: TimelyFileSystem;
  readonly #fileSystem: ReadFileSystem;
  readonly #committer: PosixCommitter;
  readonly #files: DiskOpenFiles;
  readonly #openings = new Map<string, Promise<DiskFile | DiskFault>>();
  #closed = false;

  constructor(options: PosixCachestoreOptions) {
    const { root, clock, logger } = options;
    this.#directory = cachestoreDirectoryOf(root).directory;
    this.#logger = logger;
    this.#pace = new LogPace(clock);
    this.#timely = new TimelyFileSystem({
      clock,
      logger,
      deadlineMs: options.callTimeoutMs ?? callTimeoutMsDefault,
      threadsMax: options.readsMax ?? readsMaxDefault,
      threadModule: options.readThreadModule,
    });
    this.#fileSystem = options.fileSystem ?? this.#timely;
    this.#files = new DiskOpenFiles(options.openFilesMax ?? openFilesMaxDefault);
    this.#committer = new PosixCommitter({
      root,
      clock,
      logger,
      stats: this.stats,
      timeoutMs: options.commitTimeoutMs ?? commitTimeoutMsDefault,
      threadModule: options.writeThreadModule,
      onLasting: (path, code) => this.#warnOfLasting(path, code),
    });
  }

  /** Chunk bytes in memory that commits hold. */
  get pendingBytes(): number {
    return this.#committer.pendingBytes;
  }

  get openFiles(): number {
    return this.#files.count;
  }

  /** Threads that hang in a call after its deadline. */
  get lateCalls(): number {
    return this.#timely.lateCalls;
  }

  check(): Promise<void> {
    return this.#committer.check();
  }

  /** See the interface. An aborted read ends after the current block, which takes at most the deadline of a call. */
  async read(
    key: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss"> {
    const end = offset + lengthBytes;
    assert(offset >= 0 && end <= key.version.chunkLength(key.index), "a range lies inside its chunk");
    const path = key.version.chunkPath(key.index);
    let at = offset;
    while (at < end) {
      signal.throwIfAborted();
      const cached = this.#files.get(path, key.version.sizeBytes);
      const file = cached ?? (await this.#open(path, key));
      if (file === undefined || file.retired) return "miss";
      const blockEnd = Math.min(end, at - (at % blockSizeBytes) + blockSizeBytes);
      const fault = await this.#readBlock(file, at, blockEnd, sink, signal);
      if (fault === undefined) at = blockEnd;
      else if (fault.reason === "ESTALE" && cached) this.#dropStale(path, file);
      else return this.#handleFault(path, file, fault);
    }
    return "hit";
  }

  put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    assert(chunk.lengthBytes === key.version.chunkLength(key.index), "a chunk is put whole");
    return this.#committer.commit(key.version.chunkPath(key.index), key, chunk);
  }

  async delete(key: ChunkKey): Promise<void> {
    const path = key.version.chunkPath(key.index);
    const code = await this.#unlink(path);
    // Whatever has the chunk's name is no chunk, so the chunk is not held.
    if (code === undefined || this.#isLasting(path, code)) return;
    throw this.stats.countError(code, `delete chunk "${path}" from the cachestore`);
  }

  dropQueued(bytesWanted: number): void {
    this.#committer.dropQueued(bytesWanted);
  }

  async close(deadlineMs: number): Promise<void> {
    await this.#committer.close(deadlineMs);
    this.#closed = true;
    this.#files.close();
    await this.#timely.stop(deadlineMs);
  }

  /** Reads one block, or the part of it from `at` to `end`, and passes it to the sink after the check. */
  async #readBlock(
    file: DiskFile,
    at: number,
    end: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<DiskFault | undefined> {
    const begin = at - (at % blockSizeBytes);
    const blockBytes = Math.min(blockSizeBytes, file.lengthBytes - begin);
    const space = sink.space();
    // Only a whole block can be checked. If the sink has no room for it in one piece, it is read into other memory.
    const isWhole = end - at === blockBytes && space.length >= blockBytes;
    const block = isWhole ? space.subarray(0, blockBytes) : Buffer.allocUnsafe(blockBytes);
    const fault = await readBlock(file, begin / blockSizeBytes, block);
    signal.throwIfAborted();
    if (fault !== undefined) return fault;
    this.stats.blocksRead += 1;
    this.stats.bytesRead += end - at;
    if (isWhole) sink.advance(blockBytes);
    else pour(block.subarray(at - begin, end - begin), sink);
    return undefined;
  }

  /** The chunk's file; undefined if there is no right one. @throws OrcaError like {@link read}. */
  async #open(path: string, key: ChunkKey): Promise<DiskFile | undefined> {
    if (this.#closed) {
      throw new OrcaError("overloaded", "cachestore", `Cannot read chunk "${path}": Orca is stopping`);
    }
    let opening = this.#openings.get(path);
    if (opening === undefined) {
      opening = this.#openOnce(path, key);
      this.#openings.set(path, opening);
    }
    const opened = await opening;
    if (opened instanceof DiskFile) {
      if (opened.objectSizeBytes === key.version.sizeBytes) return opened;
      // A reader of an object of another size has opened it.
      await this.#handleFault(path, opened, { kind: "damaged", reason: "stored-key" });
      return undefined;
    }
    await this.#handleFault(path, undefined, opened);
    return undefined;
  }

  async #openOnce(path: string, key: ChunkKey): Promise<DiskFile | DiskFault> {
    const opened = await DiskFile.open(this.#fileSystem, chunkFilePath(this.#directory, path), key);
    this.#openings.delete(path);
    if (!(opened instanceof DiskFile)) {
      if (opened.kind === "damaged") this.#countDamaged(opened.reason, path);
    } else if (this.#closed) opened.retire();
    else this.#files.add(path, opened);
    return opened;
  }

  /** A fault of the chunk is a miss, and a damaged chunk is deleted. A fault of the store is an error. */
  async #handleFault(path: string, file: DiskFile | undefined, fault: DiskFault): Promise<"miss"> {
    if (fault.reason === "ENOENT") return "miss";
    if (fault.kind === "error") {
      this.#retire(path, file);
      if (this.#isLasting(path, fault.reason)) return "miss";
      throw this.stats.countError(fault.reason, `read chunk "${path}" from the cachestore`);
    }
    // Many readers may find the damage. The first one counts it.
    if (file !== undefined && !file.retired) this.#countDamaged(fault.reason, path);
    this.#retire(path, file);
    const code = await this.#unlink(path);
    if (code !== undefined) this.#isLasting(path, code);
    return "miss";
  }

  /** Another replica has deleted the file. The chunk may have been stored again, so its file is opened again. */
  #dropStale(path: string, file: DiskFile): void {
    this.stats.stale += 1;
    this.#retire(path, file);
  }

  #retire(path: string, file: DiskFile | undefined): void {
    if (file !== undefined) this.#files.retire(path, file);
  }

  /** The code of the error, if the file may still exist. */
  #unlink(path: string): Promise<string | undefined> {
    this.#files.retire(path);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#fileSystem.unlink(chunkFilePath(this.#directory, path), (error) =>
      resolve(error === null || error.code === "ENOENT" ? undefined : (error.code ?? "EUNKNOWN")),
    );
    return promise;
  }

  /** Whether an error is a fact about this chunk and not about the store; then it is counted and logged. */
  #isLasting(path: string, code: string): boolean {
    if (!this.stats.countLasting(code)) return false;
    this.#warnOfLasting(path, code);
    return true;
  }

  #warnOfLasting(path: string, code: string): void {
    if (!this.#pace.isDue(code)) return;
    const message =
      "The cachestore cannot hold a chunk: another thing has its name, or the name is not possible; Orca goes on without it";
    this.#logger.warn({ chunk: path, code, see: pages.cachestore }, message);
  }

  #countDamaged(reason: string, path: string): void {
    this.stats.damaged += 1;
    if (this.#pace.isDue(reason)) {
      this.#logger.warn(
        { chunk: path, reason, see: pages.cachestore },
        "A chunk in the cachestore is damaged; Orca deletes it",
      );
    }
  }
}

function readBlock(file: DiskFile, blockIndex: number, target: Buffer): Promise<DiskFault | undefined> {
  const { promise, resolve } = Promise.withResolvers<DiskFault | undefined>();
  file.readBlock(blockIndex, target, resolve);
  return promise;
}

/** Copies `bytes` into the sink, which may have room for them in several pieces. */
function pour(bytes: Buffer, sink: ByteSink): void {
  for (let offset = 0; offset < bytes.length; ) {
    const space = sink.space();
    const taken = bytes.copy(space, 0, offset);
    sink.advance(taken);
    offset += taken;
  }
}
