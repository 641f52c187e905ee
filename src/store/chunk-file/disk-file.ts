/**
 * A chunk's file, open and proven: its footer was read and is the chunk's own. Opening costs four system calls and a
 * check, reading a block one, so files stay open (disk-open-files.ts). A file that is evicted or found damaged may be
 * unlinked while reads run: the descriptor keeps its bytes, and the last read closes it.
 *
 * Invariant: the descriptor is closed once, when the file is retired and no read runs; so a number that the kernel
 * gave to another file meanwhile is never read from.
 */
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { assert } from "../../base/assert.ts";
import type { ChunkKey } from "../chunk-store.ts";
import {
  blockSizeBytes,
  type ChunkFooter,
  chunkFileSize,
  decodeFooter,
  footerLength,
  storedKeyEquals,
  storedKeyOf,
} from "./chunk-file.ts";

/** How a call of the read path ends. */
export type FileCallback<Value> = (error: NodeJS.ErrnoException | null, value: Value) => void;

/** The calls of the read path: node:fs, one whose calls have a deadline (timely-file-system.ts), or a test's that fails. */
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

/** Why a file cannot be read from: it is not what its name or its checksums say, or the code of the system's error. */
export interface DiskFault {
  readonly kind: "damaged" | "error";
  /** `size`, `magic`, `block-checksum` …, or `ENOENT`, `EIO` … */
  readonly reason: string;
}

/** Of this process, not of the file: the chunk is as good as before. */
export const passingErrors: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"]);

export class DiskFile {
  /** Length of the chunk. */
  readonly lengthBytes: number;
  /** Hex SHA-256 of the chunk, as its footer says. */
  readonly sha256: string;
  readonly #fileSystem: ReadFileSystem;
  readonly #fd: number;
  readonly #blockCrcs: Uint32Array;
  #readsRunning = 0;
  #retired = false;

  private constructor(fileSystem: ReadFileSystem, fd: number, footer: ChunkFooter) {
    this.#fileSystem = fileSystem;
    this.#fd = fd;
    this.#blockCrcs = footer.blockCrcs;
    this.lengthBytes = footer.lengthBytes;
    this.sha256 = footer.sha256.toString("hex");
  }

  /** Opens the file of `ref` and checks size, footer and identity. Never rejects. */
  static async open(fileSystem: ReadFileSystem, path: string, ref: ChunkKey): Promise<DiskFile | DiskFault> {
    let fd: number | undefined;
    let fault: DiskFault;
    try {
      fd = await promisify(fileSystem.open)(path, "r");
      const footer = await readFooter(fileSystem, fd, ref);
      if (typeof footer !== "string") return new DiskFile(fileSystem, fd, footer);
      fault = { kind: "damaged", reason: footer };
    } catch (error) {
      fault = { kind: "error", reason: (error as NodeJS.ErrnoException).code ?? "EUNKNOWN" };
    }
    if (fd !== undefined) fileSystem.close(fd, ignoreCloseError);
    return fault;
  }

  /**
   * Reads a block into `target`, as long as the block, and checks it; `done` gets undefined when it is right. The
   * check is CRC-32 on this thread: 0.2 ms a block, about what it costs to hand a block to another thread and back.
   */
  readBlock(blockIndex: number, target: Buffer, done: (fault: DiskFault | undefined) => void): void {
    assert(!this.#retired, "a retired file is not read from");
    this.#readsRunning += 1;
    const offset = blockIndex * blockSizeBytes;
    this.#fileSystem.read(this.#fd, target, 0, target.length, offset, (error, bytesRead) => {
      this.#readsRunning -= 1;
      if (this.#retired) this.#closeWhenUnused();
      if (error) done({ kind: "error", reason: error.code ?? "EUNKNOWN" });
      else if (bytesRead !== target.length) done({ kind: "damaged", reason: "size" });
      else if (crc32(target) !== this.#blockCrcs[blockIndex])
        done({ kind: "damaged", reason: "block-checksum" });
      else done(undefined);
    });
  }

  get retired(): boolean {
    return this.#retired;
  }

  /** No read begins after this; the descriptor is closed when those that run have ended. */
  retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#closeWhenUnused();
  }

  #closeWhenUnused(): void {
    if (this.#readsRunning === 0) this.#fileSystem.close(this.#fd, ignoreCloseError);
  }
}

/** The footer where it is the one that `ref` must have, else what is wrong with it. Rejects with a system error. */
async function readFooter(
  fileSystem: ReadFileSystem,
  fd: number,
  ref: ChunkKey,
): Promise<ChunkFooter | string> {
  const identity = storedKeyOf(ref);
  const sizeBytes = chunkFileSize(identity);
  const { size } = await promisify(fileSystem.fstat)(fd);
  if (size !== sizeBytes) return "size";
  const tail = Buffer.allocUnsafe(footerLength(identity));
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  fileSystem.read(fd, tail, 0, tail.length, sizeBytes - tail.length, (error, bytesRead) => {
    if (error) reject(error);
    else resolve(bytesRead);
  });
  if ((await promise) !== tail.length) return "size";
  const footer = decodeFooter(tail);
  if (typeof footer === "string") return footer;
  return storedKeyEquals(footer.identity, identity) ? footer : "identity";
}

/** close(2) of a file that was only read has nothing left to lose. */
function ignoreCloseError(): void {}
