/**
 * How a chunk becomes a file: written aside, hashed on the way, and linked into place. A reader sees the name only when
 * the file behind it is whole. link() never clobbers, so that of two who bring the same chunk one is simply late, be
 * they two flights of one process or two replicas on one shared directory.
 */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import {
  ioError,
  type JobFileSystem,
  syncDirectory,
  unlinkIfPresent,
  unlinkQuietly,
  writeAll,
} from "../disk/job-file-system.ts";
import { chunkFileSize, encodeFooter, type StoredChunkKey } from "./chunk-file.ts";

/** Where a chunk is written, and where it is linked to. */
export interface ChunkPlace {
  readonly stagingPath: string;
  readonly finalPath: string;
  readonly identity: StoredChunkKey;
  readonly fsync: boolean;
}

export interface ChunkWrite extends ChunkPlace {
  /** The chunk's blocks where they lie, in memory shared with the thread. */
  readonly blocks: readonly Uint8Array[];
}

const blocksPerWrite = 8;
/** The first finds a damaged file, which makes way; the others are for races with those who found it, too. */
const linkAttemptsMax = 3;

/** Hex SHA-256 of the chunk that was stored, or `present`. @throws the system's error; then nothing was stored. */
export function commitChunk(
  fileSystem: JobFileSystem,
  write: ChunkWrite,
): "present" | { readonly sha256: string } {
  const { stagingPath, finalPath } = write;
  const sizeBytes = chunkFileSize(write.identity);
  // One look, against writing a whole chunk only to find at the end that it is there.
  if (sizeOf(fileSystem, finalPath) === sizeBytes) return "present";
  try {
    const sha256 = stage(fileSystem, write);
    return linkChunk(fileSystem, write) ? { sha256: sha256.toString("hex") } : "present";
  } finally {
    unlinkQuietly(fileSystem, stagingPath);
  }
}

/** Gives a staged file its name; false where the chunk is there already. @throws the system's error; then it has not got it. */
export function linkChunk(fileSystem: JobFileSystem, place: ChunkPlace): boolean {
  const { stagingPath, finalPath, identity, fsync } = place;
  const directory = dirname(finalPath);
  fileSystem.mkdirSync(directory, { recursive: true });
  if (!link(fileSystem, stagingPath, finalPath, chunkFileSize(identity))) return false;
  try {
    if (fsync) syncDirectory(fileSystem, directory);
    return true;
  } catch (error) {
    unlinkQuietly(fileSystem, finalPath);
    throw error;
  }
}

/** Writes the whole file aside and closes it, so that an error the kernel kept for close() is met before the link. */
function stage(fileSystem: JobFileSystem, write: ChunkWrite): Buffer {
  const fd = fileSystem.openSync(write.stagingPath, "wx", 0o640);
  try {
    const sha256 = writeChunk(fileSystem, fd, write);
    settleStaged(fileSystem, fd, write);
    return sha256;
  } finally {
    fileSystem.closeSync(fd);
  }
}

/** All of a staged file is written: sees to it that it is all there. @throws the system's error. */
export function settleStaged(fileSystem: JobFileSystem, fd: number, { identity, fsync }: ChunkPlace): void {
  // Reading back would only read the page cache: every block is checked again whenever it is read.
  const { size } = fileSystem.fstatSync(fd);
  if (size !== chunkFileSize(identity)) throw ioError("EIO", `the staged file has ${size} bytes`);
  if (fsync) fileSystem.fsyncSync(fd);
}

/** Hashes and writes a few blocks at a time, while they are still in the processor's cache. Answers the SHA-256. */
function writeChunk(fileSystem: JobFileSystem, fd: number, write: ChunkWrite): Buffer {
  const { blocks, identity } = write;
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
  writeAll(fileSystem, fd, [encodeFooter({ identity, lengthBytes, blockCrcs, sha256 })]);
  return sha256;
}

/**
 * False where a file of the right size has the name already. One of another size is damaged and makes way. Two who find
 * it so may get into each other's way, and both end with a whole file under the name:
 * 1. A and B fail to link, and see that the file has the wrong size;
 * 2. A unlinks it and links its own;
 * 3. B unlinks A's and links its own, or finds A's when it links, and is late.
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
