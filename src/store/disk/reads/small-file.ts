/**
 * Reads a chunk file of one short block as a whole, in a thread: opens it, reads block and footer by one call, checks both
 * and closes it. An open file would save the thread a few microseconds of system calls. But of many small files few are
 * open when they are read, and to open one, read its footer and close another one are four calls of the event loop.
 *
 * The name of the file holds the hash of the version, so it is enough to compare that with the hash of the footer's stored
 * key, and the size of the object, which no hash covers.
 */
import { basename } from "node:path";
import { crc32 } from "node:zlib";
import { versionHash } from "../../../chunk/object-version.ts";
import { chunkPathOfFileName, decodeFooter } from "../../chunk-file/chunk-file.ts";
import type { DiskFault } from "../../chunk-file/disk-file.ts";
import { systemErrorCode } from "../job-file-system.ts";

/** A longer block is cheaper to check by its tag (block-tags.ts), in a file that stays open. */
export const smallFileBytesMax = 128 * 1024;

/** A list, as the job of a block is. The target is as long as the block, in shared memory. */
export type SmallFileJob = readonly [
  path: string,
  target: Buffer,
  /** The size that the file must have, footer included. */
  fileBytes: number,
  objectSizeBytes: number,
];

/** Hex SHA-256 of the chunk, from the footer, where all is right. */
export type SmallFileReply = string | DiskFault;

export interface SmallFileSystem {
  readonly openSync: (path: string, flags: "r") => number;
  readonly fstatSync: (fd: number) => { readonly size: number };
  readonly readvSync: (fd: number, targets: readonly NodeJS.ArrayBufferView[], position: number) => number;
  readonly closeSync: (fd: number) => void;
}

export class SmallFileReader {
  readonly #fileSystem: SmallFileSystem;
  /** For footers: as long as the longest until now, which the length of keys bounds. */
  #footer = Buffer.alloc(1024);

  constructor(fileSystem: SmallFileSystem) {
    this.#fileSystem = fileSystem;
  }

  /** Never throws for an error of the file system. Any other error is a bug and ends the thread. */
  read(job: SmallFileJob): SmallFileReply {
    let fd: number | undefined;
    try {
      fd = this.#fileSystem.openSync(job[0], "r");
      return this.#readAndCheck(fd, job);
    } catch (error) {
      const reason = systemErrorCode(error);
      if (reason === undefined) throw error;
      return { kind: "error", reason };
    } finally {
      if (fd !== undefined) this.#close(fd);
    }
  }

  #readAndCheck(fd: number, [path, target, fileBytes, objectSizeBytes]: SmallFileJob): SmallFileReply {
    if (this.#fileSystem.fstatSync(fd).size !== fileBytes) return damaged("size");
    const footerBytes = fileBytes - target.length;
    if (this.#footer.length < footerBytes) this.#footer = Buffer.alloc(footerBytes);
    const tail = this.#footer.subarray(0, footerBytes);
    if (this.#fileSystem.readvSync(fd, [target, tail], 0) !== fileBytes) return damaged("size");
    const footer = decodeFooter(tail);
    if (typeof footer === "string") return damaged(footer);
    const { storedKey, blockCrcs, lengthBytes, sha256 } = footer;
    const chunkPath = `${storedKey.originId}/${versionHash(storedKey)}/${storedKey.index}`;
    const isChunk =
      chunkPathOfFileName(basename(path)) === chunkPath &&
      storedKey.objectSizeBytes === objectSizeBytes &&
      lengthBytes === target.length;
    if (!isChunk) return damaged("stored-key");
    return crc32(target) === blockCrcs[0] ? sha256.toString("hex") : damaged("block-checksum");
  }

  /** The file was only read, so an error loses nothing. */
  #close(fd: number): void {
    try {
      this.#fileSystem.closeSync(fd);
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error;
    }
  }
}

function damaged(reason: string): DiskFault {
  return { kind: "damaged", reason };
}
