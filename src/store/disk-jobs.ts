/**
 * What the disk thread does, as plain synchronous functions over a narrow file system: there is nothing else for that
 * thread to do meanwhile, and a fault at any step can be put in its way by a test. One job at a time and in order is
 * also what makes the account exact: victims are gone before the bytes that take their place are written.
 */
import { createHash } from "node:crypto";
import type fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import {
  type ChunkIdentity,
  chunkFileSize,
  chunkPathOfFileName,
  encodeFooter,
  trailerLengthBytes,
} from "./chunk-file.ts";

/** The calls a job makes: node:fs, or a test's file system that fails. */
export type JobFileSystem = Pick<
  typeof fs,
  | "openSync"
  | "writevSync"
  | "fstatSync"
  | "fsyncSync"
  | "closeSync"
  | "linkSync"
  | "unlinkSync"
  | "mkdirSync"
  | "readdirSync"
  | "statSync"
>;

export interface ChunkWrite {
  readonly stagingPath: string;
  readonly finalPath: string;
  readonly identity: ChunkIdentity;
  /** The chunk's blocks where they lie, in memory shared with the thread. */
  readonly blocks: readonly Uint8Array[];
  readonly fsync: boolean;
}

/** `evict`: unlinks files. `commit`: the same to make room, then writes a chunk. `scan`: lists and sweeps. */
export type DiskJob =
  | { readonly kind: "evict"; readonly victims: readonly string[] }
  | { readonly kind: "commit"; readonly victims: readonly string[]; readonly write: ChunkWrite }
  | { readonly kind: "scan"; readonly directory: string };

/** How a job ended. `victimsGone` counts from the front; those behind it are still on disk. */
export type DiskJobResult =
  | { readonly outcome: "done" }
  | { readonly outcome: "stored"; readonly sha256: string }
  | { readonly outcome: "present" }
  | { readonly outcome: "scanned"; readonly foreignFilesRemoved: number; readonly stagedFilesRemoved: number }
  | { readonly outcome: "failed"; readonly code: string; readonly victimsGone: number };

/** What a scan found, in parallel arrays: ten thousand small objects cost more to post than two arrays. */
export interface ScanBatch {
  readonly keys: readonly string[];
  readonly sizesBytes: readonly number[];
}

const blocksPerWrite = 8;
const namesPerBatch = 512;

/** Never throws for what a disk can do; whatever else is thrown is a bug and ends the thread. */
export function runDiskJob(
  fileSystem: JobFileSystem,
  job: DiskJob,
  onBatch: (batch: ScanBatch) => void,
): DiskJobResult {
  let victimsGone = 0;
  try {
    if (job.kind === "scan") return scan(fileSystem, job.directory, onBatch);
    for (const victim of job.victims) {
      unlinkIfPresent(fileSystem, victim);
      victimsGone += 1;
    }
    return job.kind === "commit" ? commit(fileSystem, job.write) : { outcome: "done" };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) throw error;
    return { outcome: "failed", code, victimsGone };
  }
}

/**
 * Writes aside, verifies, links into place. A reader sees the name only when the file behind it is whole; link()
 * never clobbers, so that of two that bring the same chunk one is simply late.
 */
function commit(fileSystem: JobFileSystem, write: ChunkWrite): DiskJobResult {
  const { stagingPath, finalPath } = write;
  let linked = false;
  try {
    const sha256 = stage(fileSystem, write);
    fileSystem.mkdirSync(dirname(finalPath), { recursive: true });
    linked = link(fileSystem, stagingPath, finalPath, chunkFileSize(write.identity));
    if (!linked) return { outcome: "present" };
    if (write.fsync) syncDirectory(fileSystem, dirname(finalPath));
    return { outcome: "stored", sha256: sha256.toString("hex") };
  } catch (error) {
    if (linked) unlinkQuietly(fileSystem, finalPath);
    throw error;
  } finally {
    unlinkQuietly(fileSystem, stagingPath);
  }
}

/** Writes the whole file aside and closes it, so that an error the kernel kept for close() is met before the link. */
function stage(fileSystem: JobFileSystem, write: ChunkWrite): Buffer {
  const fd = fileSystem.openSync(write.stagingPath, "wx", 0o640);
  try {
    const sha256 = writeChunk(fileSystem, fd, write);
    // Reading back would only read the page cache: every block is checked again whenever it is read.
    const { size } = fileSystem.fstatSync(fd);
    if (size !== chunkFileSize(write.identity)) throw ioError("EIO", `the staged file has ${size} bytes`);
    if (write.fsync) fileSystem.fsyncSync(fd);
    return sha256;
  } finally {
    fileSystem.closeSync(fd);
  }
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

/** writev(2) may write less than it was given, as at the edge of a quota, and says why only at the next call. */
function writeAll(fileSystem: JobFileSystem, fd: number, buffers: readonly Uint8Array[]): void {
  let rest = [...buffers];
  while (rest.length > 0) {
    let written = fileSystem.writevSync(fd, rest);
    if (written === 0) throw ioError("EIO", "nothing was written");
    const unwritten: Uint8Array[] = [];
    for (const buffer of rest) {
      const taken = Math.min(written, buffer.length);
      written -= taken;
      if (taken < buffer.length) unwritten.push(buffer.subarray(taken));
    }
    rest = unwritten;
  }
}

/** False where a file of the right size has the name already. One of another size is damaged and makes way. */
function link(fileSystem: JobFileSystem, from: string, to: string, sizeBytes: number): boolean {
  for (let attempt = 0; ; attempt += 1) {
    try {
      fileSystem.linkSync(from, to);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || attempt > 0) throw error;
    }
    if (fileSystem.statSync(to).size === sizeBytes) return false;
    unlinkIfPresent(fileSystem, to);
  }
}

function syncDirectory(fileSystem: JobFileSystem, directory: string): void {
  const fd = fileSystem.openSync(directory, "r");
  try {
    fileSystem.fsyncSync(fd);
  } finally {
    fileSystem.closeSync(fd);
  }
}

/**
 * Lists the chunks below `directory` by name and size, and sweeps what no run left on purpose: staged files of a
 * killed process, names that are no chunk's, files too small to have a footer.
 */
function scan(
  fileSystem: JobFileSystem,
  directory: string,
  onBatch: (batch: ScanBatch) => void,
): DiskJobResult {
  let stagedFilesRemoved = 0;
  let foreignFilesRemoved = 0;
  let keys: string[] = [];
  let sizesBytes: number[] = [];
  const staging = join(directory, "staging");
  for (const name of fileSystem.readdirSync(staging)) {
    unlinkQuietly(fileSystem, join(staging, name));
    stagedFilesRemoved += 1;
  }
  for (const fanOut of fileSystem.readdirSync(directory)) {
    if (!/^[0-9a-f]{2}$/.test(fanOut)) continue;
    for (const name of fileSystem.readdirSync(join(directory, fanOut))) {
      const path = join(directory, fanOut, name);
      const found = inspect(fileSystem, path, fanOut);
      if (found === "foreign") {
        unlinkIfPresent(fileSystem, path);
        foreignFilesRemoved += 1;
      } else if (found !== "ignored") {
        keys.push(found.key);
        sizesBytes.push(found.sizeBytes);
      }
      if (keys.length < namesPerBatch) continue;
      onBatch({ keys, sizesBytes });
      keys = [];
      sizesBytes = [];
    }
  }
  onBatch({ keys, sizesBytes });
  return { outcome: "scanned", foreignFilesRemoved, stagedFilesRemoved };
}

type Inspected = { readonly key: string; readonly sizeBytes: number } | "foreign" | "ignored";

function inspect(fileSystem: JobFileSystem, path: string, fanOut: string): Inspected {
  const stat = fileSystem.statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile()) return "ignored";
  const key = chunkPathOfFileName(basename(path));
  if (key === undefined || stat.size <= trailerLengthBytes || key.split("/").at(-2)?.slice(0, 2) !== fanOut) {
    return "foreign";
  }
  return { key, sizeBytes: stat.size };
}

function unlinkIfPresent(fileSystem: JobFileSystem, path: string): void {
  try {
    fileSystem.unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** For clean-up on the way out: what stays behind in staging is swept at the next start. */
function unlinkQuietly(fileSystem: JobFileSystem, path: string): void {
  try {
    fileSystem.unlinkSync(path);
  } catch {
    // The fault that led here is the one worth reporting.
  }
}

function ioError(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code });
}
