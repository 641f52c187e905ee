/**
 * An open chunk file whose footer matches its chunk. To open it costs four system calls and a check, to read a block
 * costs one call, so files stay open (disk-open-files.ts). An evicted or damaged file may be unlinked while reads run:
 * the descriptor keeps its bytes, and the last read closes it.
 *
 * Invariant: the descriptor is closed once, when the file is retired and no read runs. So no read uses a descriptor
 * number that the kernel has given to another file meanwhile.
 */
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { assert } from "../../base/assert.ts";
import type { ChunkKey } from "../chunk-store.ts";
import type { BlockSums, SumKind, SummedRead } from "./block-sums.ts";
import type { BlockTags, ChunkTags } from "./block-tags.ts";
import {
  blockSizeBytes,
  type ChunkFooter,
  chunkFileSize,
  decodeFooter,
  footerLength,
  storedKeyEquals,
  storedKeyOf,
} from "./chunk-file.ts";

/** Receives the result of a call of the read path. */
export type FileCallback<Value> = (error: NodeJS.ErrnoException | null, value: Value) => void;

/** The calls of the read path: node:fs, a file system with deadlines (timely-file-system.ts), or a test's that fails. */
export interface ReadFileSystem {
  readonly open: (path: string, flags: "r", done: FileCallback<number>) => void;
  readonly fstat: (fd: number, done: FileCallback<{ readonly size: number }>) => void;
  readonly read: (
    fd: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
    position: number,
    done: FileCallback<number>,
  ) => void;
  readonly close: (fd: number, done: (error: NodeJS.ErrnoException | null) => void) => void;
  readonly unlink: (path: string, done: (error: NodeJS.ErrnoException | null) => void) => void;
}

/** A file system that can sum what it reads, away from this thread. */
export interface SummingFileSystem extends ReadFileSystem {
  readonly readBlock?: (
    fd: number,
    target: Buffer,
    position: number,
    kind: SumKind,
    done: FileCallback<SummedRead>,
  ) => void;
}

/** Why a chunk file cannot be read: it does not match its name or its checksums, or the system returned an error. */
export interface DiskFault {
  readonly kind: "damaged" | "error";
  /** `size`, `magic`, `block-checksum` …, or the code of the system's error: `ENOENT`, `EIO` … */
  readonly reason: string;
}

/** Errors of this process, or of the disk as a whole, and not of the file: the chunk on disk is intact. */
export const transientErrors: ReadonlySet<string> = new Set([
  "EMFILE",
  "ENFILE",
  "ENOMEM",
  "EAGAIN",
  "ETIMEDOUT",
]);

export class DiskFile {
  /** Length of the chunk. */
  readonly lengthBytes: number;
  /**
   * Size of the chunk's object. A chunk path has no size, and an origin may give one ETag to bytes of two sizes. So a
   * reader that finds an open file by its path compares this with the size of its own object.
   */
  readonly objectSizeBytes: number;
  /** Hex SHA-256 of the chunk, from the footer. */
  readonly sha256: string;
  readonly #fileSystem: SummingFileSystem;
  readonly #fd: number;
  readonly #blockCrcs: Uint32Array;
  readonly #blockTags: BlockTags | undefined;
  readonly #tags: ChunkTags | undefined;
  #readsRunning = 0;
  #retired = false;

  private constructor(
    fileSystem: SummingFileSystem,
    fd: number,
    footer: ChunkFooter,
    blockTags: BlockTags | undefined,
  ) {
    this.#fileSystem = fileSystem;
    this.#fd = fd;
    this.#blockCrcs = footer.blockCrcs;
    this.lengthBytes = footer.lengthBytes;
    this.objectSizeBytes = footer.storedKey.objectSizeBytes;
    this.sha256 = footer.sha256.toString("hex");
    this.#blockTags = blockTags;
    this.#tags = blockTags?.of(this.sha256, footer.blockCrcs.length, footer.lengthBytes);
  }

  /**
   * Opens the file of `key` and checks its size, footer and stored key. Never rejects. Without `blockTags`, each read is
   * checked by the CRC-32.
   */
  static async open(
    fileSystem: SummingFileSystem,
    path: string,
    key: ChunkKey,
    blockTags?: BlockTags,
  ): Promise<DiskFile | DiskFault> {
    let fd: number | undefined;
    let fault: DiskFault;
    try {
      fd = await promisify(fileSystem.open)(path, "r");
      const footer = await readFooter(fileSystem, fd, key);
      if (typeof footer !== "string") return new DiskFile(fileSystem, fd, footer, blockTags);
      fault = { kind: "damaged", reason: footer };
    } catch (error) {
      fault = { kind: "error", reason: (error as NodeJS.ErrnoException).code ?? "EUNKNOWN" };
    }
    if (fd !== undefined) fileSystem.close(fd, ignoreCloseError);
    return fault;
  }

  /**
   * Reads a block into `target`, which is as long as the block, and checks it. `done` receives undefined if it is
   * right.
   */
  readBlock(blockIndex: number, target: Buffer, done: (fault: DiskFault | undefined) => void): void {
    assert(!this.#retired, "a retired file is not read");
    this.#readsRunning += 1;
    const position = blockIndex * blockSizeBytes;
    const kind = this.#tags?.sumKind(blockIndex) ?? "crc";
    const tag = this.#tags?.tag(blockIndex);
    this.#read(target, position, kind, (error, { bytesRead, sums }) => {
      this.#readsRunning -= 1;
      if (this.#retired) this.#closeWhenUnused();
      if (error) done({ kind: "error", reason: error.code ?? "EUNKNOWN" });
      else if (bytesRead !== target.length) done({ kind: "damaged", reason: "size" });
      else if (!this.#isRight(blockIndex, kind, tag, sums ?? this.#sums(kind, target)))
        done({ kind: "damaged", reason: "block-checksum" });
      else done(undefined);
    });
  }

  #read(target: Buffer, position: number, kind: SumKind, done: FileCallback<SummedRead>): void {
    const fileSystem = this.#fileSystem;
    if (fileSystem.readBlock) return fileSystem.readBlock(this.#fd, target, position, kind, done);
    fileSystem.read(this.#fd, target, 0, target.length, position, (error, bytesRead) =>
      done(error, { bytesRead, sums: undefined }),
    );
  }

  #sums(kind: SumKind, bytes: Buffer): BlockSums {
    return this.#blockTags?.summer.sums(kind, bytes) ?? { crc: crc32(bytes), tag: 0n };
  }

  /** `tag`: what the block had when the read began. */
  #isRight(blockIndex: number, kind: SumKind, tag: bigint | undefined, sums: BlockSums): boolean {
    const isRight = kind === "tag" ? sums.tag === tag : sums.crc === this.#blockCrcs[blockIndex];
    if (!isRight) this.#tags?.forget(blockIndex);
    else if (kind !== "tag") this.#tags?.noteRight(blockIndex, kind, sums.tag);
    return isRight;
  }

  get retired(): boolean {
    return this.#retired;
  }

  /** No read begins after this. The descriptor is closed when the running reads have ended. */
  retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#closeWhenUnused();
  }

  #closeWhenUnused(): void {
    if (this.#readsRunning === 0) this.#fileSystem.close(this.#fd, ignoreCloseError);
  }
}

/** The footer, if it is the one that `key` requires; else the fault. Rejects with a system error. */
async function readFooter(
  fileSystem: ReadFileSystem,
  fd: number,
  key: ChunkKey,
): Promise<ChunkFooter | string> {
  const storedKey = storedKeyOf(key);
  const sizeBytes = chunkFileSize(storedKey);
  const { size } = await promisify(fileSystem.fstat)(fd);
  if (size !== sizeBytes) return "size";
  const tail = Buffer.allocUnsafe(footerLength(storedKey));
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  fileSystem.read(fd, tail, 0, tail.length, sizeBytes - tail.length, (error, bytesRead) => {
    if (error) reject(error);
    else resolve(bytesRead);
  });
  if ((await promise) !== tail.length) return "size";
  const footer = decodeFooter(tail);
  if (typeof footer === "string") return footer;
  return storedKeyEquals(footer.storedKey, storedKey) ? footer : "stored-key";
}

/** The file was only read, so an error of close(2) loses nothing. */
function ignoreCloseError(): void {}
