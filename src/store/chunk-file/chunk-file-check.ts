/**
 * Reads the whole file of a chunk and believes nothing: its size, its footer, that it is the chunk its name says, the
 * CRC-32 of every block and the SHA-256 of all of them. It is a generator, so that whoever runs it goes on when there is
 * time for the next block and not before; one that is left early closes its file all the same.
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
 * Checks the file at `path`, which is named for the chunk `key`. Yields the bytes of each block that proved right, and
 * returns what is wrong with the file, if anything is. `scratch` is overwritten, and holds a block.
 */
export function* checkChunkFile(
  fileSystem: CheckFileSystem,
  path: string,
  key: string,
  scratch: Buffer,
): Generator<number, DiskFault | undefined, void> {
  let fd: number | undefined;
  try {
    fd = fileSystem.openSync(path, "r");
    const footer = readFooter(fileSystem, fd);
    if (typeof footer === "string") return damaged(footer);
    if (chunkPathOf(footer.identity) !== key) return damaged("identity");
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

/** Which chunk the file at `path` holds, by its footer; undefined where that cannot be read or is no chunk's. */
export function identifyChunkFile(fileSystem: CheckFileSystem, path: string): StoredChunkKey | undefined {
  let fd: number | undefined;
  try {
    fd = fileSystem.openSync(path, "r");
    const footer = readFooter(fileSystem, fd);
    return typeof footer === "string" ? undefined : footer.identity;
  } catch (error) {
    faultOf(error);
    return undefined;
  } finally {
    if (fd !== undefined) closeQuietly(fileSystem, fd);
  }
}

function chunkPathOf(identity: StoredChunkKey): string {
  return `${identity.originId}/${versionHash(identity)}/${identity.index}`;
}

/** The footer of a file that is as long as it says, else what is wrong with it. */
function readFooter(fileSystem: CheckFileSystem, fd: number): ChunkFooter | string {
  const { size } = fileSystem.fstatSync(fd);
  const tail = Buffer.alloc(Math.min(size, tailBytesMax));
  if (readAt(fileSystem, fd, tail, size - tail.length) !== tail.length) return "size";
  const footer = decodeFooter(tail);
  if (typeof footer === "string") return footer;
  return chunkFileSize(footer.identity) === size ? footer : "size";
}

/** pread(2) may read less than it was asked for, and nothing only at the end of the file. */
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

/** @throws what is no error of the system: a bug. */
function faultOf(error: unknown): DiskFault {
  const code = systemErrorCode(error);
  if (code === undefined) throw error;
  return { kind: "error", reason: code };
}

function closeQuietly(fileSystem: CheckFileSystem, fd: number): void {
  try {
    fileSystem.closeSync(fd);
  } catch {
    // close(2) of a file that was only read has nothing left to lose.
  }
}
