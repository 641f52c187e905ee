/**
 * Writes a chunk to a file: first to a staging file, hashed on the way, which is then linked to the final path. A
 * reader sees the final path only when the file is whole. link() never replaces a file. So of two writers of one chunk
 * the later one finds it present, whether they are two flights of one process or two replicas on one cachestore.
 */

import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { makeDirectories } from "../../base/make-directories.ts";
import {
  ioError,
  type JobFileSystem,
  syncDirectory,
  unlinkIfPresent,
  unlinkQuietly,
  writeAll,
} from "../disk/job-file-system.ts";
import { chunkFileSize, encodeFooter, type StoredChunkKey } from "./chunk-file.ts";

/** The paths of a chunk file: where it is written, and where it is linked to. */
export interface ChunkPlace {
  readonly stagingPath: string;
  readonly finalPath: string;
  readonly storedKey: StoredChunkKey;
  readonly fsync: boolean;
}

export interface ChunkWrite extends ChunkPlace {
  /** The chunk's blocks, in memory that the thread shares. They are not copied. */
  readonly blocks: readonly Uint8Array[];
}

const blocksPerWrite = 8;
/**
 * The first attempt may find a damaged file, which is deleted. The others are for races with writers that found it,
 * too.
 */
const linkAttemptsMax = 3;

/** Returns the hex SHA-256 of the stored chunk, or `present`. @throws the system's error; then nothing was stored. */
export function commitChunk(
  fileSystem: JobFileSystem,
  write: ChunkWrite,
): "present" | { readonly sha256: string } {
  const { stagingPath, finalPath } = write;
  const sizeBytes = chunkFileSize(write.storedKey);
  // Without this check, a whole chunk is written before link() finds that it is there already.
  if (sizeOf(fileSystem, finalPath) === sizeBytes) return "present";
  try {
    const sha256 = stage(fileSystem, write);
    return linkChunk(fileSystem, write) ? { sha256: sha256.toString("hex") } : "present";
  } finally {
    unlinkQuietly(fileSystem, stagingPath);
  }
}

/**
 * Links a staged file to its final path. False if the chunk is there already. @throws the system's error; then it is
 * not linked.
 */
export function linkChunk(fileSystem: JobFileSystem, place: ChunkPlace): boolean {
  const { stagingPath, finalPath, storedKey, fsync } = place;
  const directory = dirname(finalPath);
  makeDirectories(fileSystem, directory);
  if (!link(fileSystem, stagingPath, finalPath, chunkFileSize(storedKey))) return false;
  try {
    if (fsync) syncDirectory(fileSystem, directory);
    return true;
  } catch (error) {
    unlinkQuietly(fileSystem, finalPath);
    throw error;
  }
}

/**
 * Writes and closes the whole staging file, so that an error that the kernel reports at close() comes before the link.
 */
function stage(fileSystem: JobFileSystem, write: ChunkWrite): Buffer {
  const fd = fileSystem.openSync(write.stagingPath, "wx", 0o640);
  try {
    const sha256 = writeChunk(fileSystem, fd, write);
    sealStagedFile(fileSystem, fd, write);
    return sha256;
  } finally {
    fileSystem.closeSync(fd);
  }
}

/** Checks the size of a completely written staging file, and syncs it if required. @throws the system's error. */
export function sealStagedFile(
  fileSystem: JobFileSystem,
  fd: number,
  { storedKey, fsync }: ChunkPlace,
): void {
  // To read the bytes back would only read the page cache. Every block is checked whenever it is read.
  const { size } = fileSystem.fstatSync(fd);
  if (size !== chunkFileSize(storedKey)) throw ioError("EIO", `the staging file has ${size} bytes`);
  if (fsync) fileSystem.fsyncSync(fd);
}

/** Hashes and writes a few blocks at a time, while they are in the processor's cache. Returns the SHA-256. */
function writeChunk(fileSystem: JobFileSystem, fd: number, write: ChunkWrite): Buffer {
  const { blocks, storedKey } = write;
  const hash = createHash("sha256");
  const blockCrcs = new Uint32Array(blocks.length);
  let lengthBytes = 0;
  for (let first = 0; first < blocks.length; first += blocksPerWrite) {
    const batch = blocks.slice(first, first + blocksPerWrite);
    for (const [index, block] of batch.entries()) {
      blockCrcs[first + index] = crc32(block);
      hash.update(block);
      lengthBytes += block.length;
    }
    writeAll(fileSystem, fd, batch);
  }
  const sha256 = hash.digest();
  writeAll(fileSystem, fd, [encodeFooter({ storedKey, lengthBytes, blockCrcs, sha256 })]);
  return sha256;
}

/**
 * False if a file of the right size has the name already. A file of another size is damaged and is deleted. Two writers
 * that find such a file may interfere, and both end with a whole file under the name:
 * 1. A and B fail to link, and see that the file has the wrong size;
 * 2. A unlinks it and links its own file;
 * 3. B unlinks A's file and links its own, or fails to link and finds that A's file has the right size.
 */
function link(fileSystem: JobFileSystem, from: string, to: string, sizeBytes: number): boolean {
  for (let attempt = 1; ; attempt += 1) {
    try {
      fileSystem.linkSync(from, to);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      if (sizeOf(fileSystem, to) === sizeBytes) return false;
      if (attempt === linkAttemptsMax) throw error;
    }
    unlinkIfPresent(fileSystem, to);
  }
}

function sizeOf(fileSystem: JobFileSystem, path: string): number | undefined {
  return fileSystem.statSync(path, { throwIfNoEntry: false })?.size;
}
