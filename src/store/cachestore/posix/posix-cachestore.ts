/**
 * The cachestore as a directory that all replicas mount, over NFS or any file system with hard links. A chunk is a file
 * of the same format as on a replica's own disk, and checked as it is there: footer and identity when it is opened, a
 * checksum with every block. There is no index, since others write and delete as well; to look is to open.
 *
 *     <root>/orca-posixfs.v1/staging/<uuid>
 *     <root>/orca-posixfs.v1/<xx>/<origin id>.<hash>.<index>
 *
 * Invariants:
 * 1. Nothing waits longer for this file system than its deadlines: reading goes through timely-file-system.ts, writing
 *    through posix-committer.ts, and neither holds a thread that anything else of the process needs.
 * 2. A file stays open only after its footer was found to be the chunk's own. Paths name the bytes, so a file that
 *    somebody deleted or replaced meanwhile goes on being right.
 */
import { assert } from "../../../base/assert.ts";
import type { ByteSink } from "../../../base/byte-sink.ts";
import type { Clock } from "../../../base/clock.ts";
import { LogPace } from "../../../base/log-pace.ts";
import type { Logger } from "../../../base/logger.ts";
import { OrcaError } from "../../../base/orca-error.ts";
import type { ChunkBytes } from "../../../chunk/chunk-bytes.ts";
import { cachestoreDirectoryOf } from "../../chunk-file/cachestore-directory.ts";
import { blockSizeBytes, chunkFilePath } from "../../chunk-file/chunk-file.ts";
import { type DiskFault, DiskFile, type ReadFileSystem } from "../../chunk-file/disk-file.ts";
import type { ChunkKey } from "../../chunk-store.ts";
import { DiskOpenFiles } from "../../disk/disk-open-files.ts";
import type { CachestoreDriver } from "../cachestore-driver.ts";
import { PosixCommitter } from "./posix-committer.ts";
import { posixError } from "./posix-errors.ts";
import { PosixStats } from "./posix-stats.ts";
import { TimelyFileSystem } from "./timely-file-system.ts";

export interface PosixCachestoreOptions {
  /** `cachestore.posixfs.root`: must be there; what is missing may be a mount. */
  readonly root: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For one call of the file system; opening a file takes three, a block one. */
  readonly callTimeoutMs?: number;
  /** For one commit, and for the self-test. */
  readonly commitTimeoutMs?: number;
  /** How many calls of reading run at once, each in a thread. */
  readonly readsMax?: number;
  readonly openFilesMax?: number;
  /** What blocks are read through, what reads and what writes; for tests. */
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
    });
  }

  /** Chunk bytes in memory that commits still hold. */
  get pendingBytes(): number {
    return this.#committer.pendingBytes;
  }

  get openFiles(): number {
    return this.#files.count;
  }

  /** Threads that hang in a call whose deadline has passed. */
  get lateCalls(): number {
    return this.#timely.lateCalls;
  }

  check(): Promise<void> {
    return this.#committer.check();
  }

  /** As the interface says. An aborted read ends with the block at hand, which the deadline of a call bounds. */
  async read(
    ref: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss"> {
    const end = offset + lengthBytes;
    assert(offset >= 0 && end <= ref.version.chunkLength(ref.index), "a stretch lies inside its chunk");
    const key = ref.version.chunkPath(ref.index);
    let at = offset;
    while (at < end) {
      signal.throwIfAborted();
      const cached = this.#cached(key, ref);
      const file = cached ?? (await this.#open(key, ref));
      if (file === undefined || file.retired) return "miss";
      const blockEnd = Math.min(end, at - (at % blockSizeBytes) + blockSizeBytes);
      const fault = await this.#readBlock(file, at, blockEnd, sink, signal);
      if (fault === undefined) at = blockEnd;
      else if (fault.reason === "ESTALE" && cached) this.#dropStale(key, file);
      else return this.#lose(key, file, fault);
    }
    return "hit";
  }

  put(ref: ChunkKey, chunk: ChunkBytes): Promise<"stored" | "present"> {
    assert(chunk.lengthBytes === ref.version.chunkLength(ref.index), "a chunk is put whole");
    return this.#committer.commit(ref.version.chunkPath(ref.index), ref, chunk);
  }

  async delete(ref: ChunkKey): Promise<void> {
    const key = ref.version.chunkPath(ref.index);
    const code = await this.#unlink(key);
    if (code !== undefined) throw this.#error(code, `delete chunk "${key}" from the cachestore`);
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

  /** Reads one block, or the part of it from `at` to `end`, and hands it on once it is known to be right. */
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
    // Only a whole block can be checked. Where the sink has no room for it in one piece, it is read aside.
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

  /** The chunk's file, or undefined where there is none that is right. @throws OrcaError as {@link read}. */
  async #open(key: string, ref: ChunkKey): Promise<DiskFile | undefined> {
    if (this.#closed) {
      throw new OrcaError("overloaded", "cachestore", `Cannot read chunk "${key}": Orca is stopping`);
    }
    let opening = this.#openings.get(key);
    if (opening === undefined) {
      opening = this.#openOnce(key, ref);
      this.#openings.set(key, opening);
    }
    const opened = await opening;
    if (opened instanceof DiskFile) return opened;
    await this.#lose(key, undefined, opened);
    return undefined;
  }

  async #openOnce(key: string, ref: ChunkKey): Promise<DiskFile | DiskFault> {
    const opened = await DiskFile.open(this.#fileSystem, chunkFilePath(this.#directory, key), ref);
    this.#openings.delete(key);
    if (!(opened instanceof DiskFile)) {
      if (opened.kind === "damaged") this.#countDamaged(opened.reason, key);
    } else if (this.#closed) opened.retire();
    else this.#files.add(key, opened);
    return opened;
  }

  /** Draws the conclusion of a fault: a miss where it says something about the chunk, an error where about the store. */
  async #lose(key: string, file: DiskFile | undefined, fault: DiskFault): Promise<"miss"> {
    if (fault.reason === "ENOENT") return "miss";
    if (fault.kind === "error") {
      this.#retire(key, file);
      throw this.#error(fault.reason, `read chunk "${key}" from the cachestore`);
    }
    // Of many readers who met the damage, the first says so.
    if (file !== undefined && !file.retired) this.#countDamaged(fault.reason, key);
    this.#retire(key, file);
    await this.#unlink(key);
    return "miss";
  }

  /** Another replica deleted the file, and perhaps somebody has brought it again: it is opened anew. */
  /** The open file of a chunk. An origin may give one ETag to bytes of two sizes: a file of the other is no use. */
  #cached(key: string, ref: ChunkKey): DiskFile | undefined {
    const file = this.#files.get(key);
    if (file === undefined || file.lengthBytes === ref.version.chunkLength(ref.index)) return file;
    this.#files.retire(key);
    return undefined;
  }

  #dropStale(key: string, file: DiskFile): void {
    this.stats.stale += 1;
    this.#retire(key, file);
  }

  #retire(key: string, file: DiskFile | undefined): void {
    if (file !== undefined && !file.retired && this.#files.get(key) === file) this.#files.retire(key);
  }

  /** The code of the error, where the file may still be there. */
  #unlink(key: string): Promise<string | undefined> {
    this.#files.retire(key);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#fileSystem.unlink(chunkFilePath(this.#directory, key), (error) =>
      resolve(error === null || error.code === "ENOENT" ? undefined : (error.code ?? "EUNKNOWN")),
    );
    return promise;
  }

  #countDamaged(reason: string, key: string): void {
    this.stats.damaged += 1;
    if (this.#pace.isDue(reason)) {
      this.#logger.warn({ chunk: key, reason }, "A chunk in the cachestore is damaged; it is deleted");
    }
  }

  #error(systemCode: string, action: string): OrcaError {
    this.stats.countError(systemCode);
    return posixError(systemCode, action);
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
