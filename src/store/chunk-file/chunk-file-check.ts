/**
 * Checks the whole file of a chunk: its size, its footer, whether it holds the chunk that its name stands for, the
 * CRC-32 of every block and the SHA-256 of all of them. The check is a generator, so that its caller decides when to
 * read the next block. A check that is abandoned early closes its file all the same.
 */
import { createHash } from "node:crypto";
import type fs from "node:fs";
import { crc32 } from "node:zlib";
import { versionHash } from "../../chunk/object-version.ts";
import { systemErrorCode } from "../disk/job-file-system.ts";
import {
  blockSizeBytes,
  type ChunkFooter,
  chunkFileSize,
  decodeFooter,
  type StoredChunkKey,
} from "./chunk-file.ts";
import type { DiskFault } from "./disk-file.ts";

/** The calls of a check: node:fs, or a test's file system that fails. */
export type CheckFileSystem = Pick<typeof fs, "openSync" | "fstatSync" | "readSync" | "closeSync">;

/** Longer than any footer: 1,024 checksums of a chunk of 1 GiB, and names of up to 6 KiB. */
const tailBytesMax = 64 * 1024;

/**
 * Checks the file at `path`, whose name stands for the chunk at `chunkPath`. Yields the length of each block that is
 * right, and returns the fault of the file, if it has one. `scratch` has room for a block and is overwritten.
 */
export function* checkChunkFile(
  fileSystem: CheckFileSystem,
  path: string,
  chunkPath: string,
  scratch: Buffer,
): Generator<number, DiskFault | undefined, void> {
  let fd: number | undefined;
  try {
    fd = fileSystem.openSync(path, "r");
    const footer = readFooter(fileSystem, fd);
    if (typeof footer === "string") return damaged(footer);
    if (chunkPathOf(footer.storedKey) !== chunkPath) return damaged("stored-key");
    const hash = createHash("sha256");
    for (const [index, blockCrc] of footer.blockCrcs.entries()) {
      const offset = index * blockSizeBytes;
      const block = scratch.subarray(0, Math.min(blockSizeBytes, footer.lengthBytes - offset));
      if (readAt(fileSystem, fd, block, offset) !== block.length) return damaged("size");
      if (crc32(block) !== blockCrc) return damaged("block-checksum");
      hash.update(block);
      yield block.length;
    }
    return hash.digest().equals(footer.sha256) ? undefined : damaged("sha256");
  } catch (error) {
    return faultOf(error);
  } finally {
    if (fd !== undefined) closeQuietly(fileSystem, fd);
  }
}

/** The stored key in the footer of the file at `path`; undefined if the file has no footer or cannot be read. */
export function identifyChunkFile(fileSystem: CheckFileSystem, path: string): StoredChunkKey | undefined {
  let fd: number | undefined;
  try {
    fd = fileSystem.openSync(path, "r");
    const footer = readFooter(fileSystem, fd);
    return typeof footer === "string" ? undefined : footer.storedKey;
  } catch (error) {
    faultOf(error);
    return undefined;
  } finally {
    if (fd !== undefined) closeQuietly(fileSystem, fd);
  }
}

function chunkPathOf(storedKey: StoredChunkKey): string {
  return `${storedKey.originId}/${versionHash(storedKey)}/${storedKey.index}`;
}

/** The footer, if the file is as long as it says; else the fault. */
function readFooter(fileSystem: CheckFileSystem, fd: number): ChunkFooter | string {
  const { size } = fileSystem.fstatSync(fd);
  const tail = Buffer.alloc(Math.min(size, tailBytesMax));
  if (readAt(fileSystem, fd, tail, size - tail.length) !== tail.length) return "size";
  const footer = decodeFooter(tail);
  if (typeof footer === "string") return footer;
  return chunkFileSize(footer.storedKey) === size ? footer : "size";
}

/** pread(2) may read less than requested. It reads nothing only at the end of the file. */
function readAt(fileSystem: CheckFileSystem, fd: number, target: Buffer, offset: number): number {
  let filled = 0;
  while (filled < target.length) {
    const read = fileSystem.readSync(fd, target, filled, target.length - filled, offset + filled);
    if (read === 0) break;
    filled += read;
  }
  return filled;
}

function damaged(reason: string): DiskFault {
  return { kind: "damaged", reason };
}

/** @throws any error that is not the system's: it is a bug. */
function faultOf(error: unknown): DiskFault {
  const code = systemErrorCode(error);
  if (code === undefined) throw error;
  return { kind: "error", reason: code };
}

function closeQuietly(fileSystem: CheckFileSystem, fd: number): void {
  try {
    fileSystem.closeSync(fd);
  } catch {
    // The file was only read, so an error of close(2) loses nothing.
  }
}
