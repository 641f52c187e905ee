/**
 * Chunks that are written in pieces: the writing thread's part of DiskStage. Each piece is hashed when it is written,
 * so a transfer that broke off continues at any byte, and no byte is read again. The state of an unfinished chunk
 * (hash, checksums, descriptor) exists only in this thread and dies with it.
 *
 * Invariants:
 * 1. The file of a write contains exactly its lengthBytes, all of them hashed. After a fault, a write is only
 *    abandoned.
 * 2. After `finish` or `abandon`, whatever its result, there is neither a write nor a staging file.
 */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { type ChunkPlace, linkChunk, sealStagedFile } from "../chunk-file/chunk-commit.ts";
import { blockSizeBytes, encodeFooter } from "../chunk-file/chunk-file.ts";
import type { DiskJobResult } from "./disk-job.ts";
import { type JobFileSystem, unlinkIfPresent, unlinkQuietly, writeAll } from "./job-file-system.ts";

interface StagedWrite {
  readonly fd: number;
  readonly hash: ReturnType<typeof createHash>;
  /** CRC-32 of each block that has begun; the last one covers the bytes so far. */
  readonly blockCrcs: number[];
  lengthBytes: number;
}

export class StagedWrites {
  readonly #fileSystem: JobFileSystem;
  readonly #writes = new Map<string, StagedWrite>();

  constructor(fileSystem: JobFileSystem) {
    this.#fileSystem = fileSystem;
  }

  /** Writes the next bytes, which are at `offset` of the chunk. @throws the system's error. */
  append(stagingPath: string, offset: number, bytes: Uint8Array): DiskJobResult {
    const write = offset === 0 ? this.#begin(stagingPath) : this.#writes.get(stagingPath);
    if (write === undefined || write.lengthBytes !== offset) return { outcome: "lost" };
    write.hash.update(bytes);
    for (let at = 0; at < bytes.length; ) {
      const begun = (offset + at) % blockSizeBytes;
      const piece = bytes.subarray(at, at + blockSizeBytes - begun);
      if (begun === 0) write.blockCrcs.push(crc32(piece));
      else write.blockCrcs.push(crc32(piece, write.blockCrcs.pop()));
      at += piece.length;
    }
    writeAll(this.#fileSystem, write.fd, [bytes]);
    write.lengthBytes += bytes.length;
    return { outcome: "done" };
  }

  /** Writes the footer and links the file, if the chunk has the expected SHA-256. @throws the system's error. */
  finish(place: ChunkPlace, expectedSha256: string | undefined): DiskJobResult {
    const { stagingPath } = place;
    const write = this.#writes.get(stagingPath);
    if (write === undefined) return { outcome: "lost" };
    try {
      const sha256 = this.#settle(write, place, expectedSha256);
      if (sha256 === undefined) return { outcome: "mismatch" };
      return linkChunk(this.#fileSystem, place) ? { outcome: "stored", sha256 } : { outcome: "present" };
    } finally {
      unlinkQuietly(this.#fileSystem, stagingPath);
    }
  }

  /** Closes and deletes the file. @throws the system's error. */
  abandon(stagingPath: string): DiskJobResult {
    const write = this.#writes.get(stagingPath);
    this.#writes.delete(stagingPath);
    try {
      if (write !== undefined) this.#fileSystem.closeSync(write.fd);
    } finally {
      unlinkIfPresent(this.#fileSystem, stagingPath);
    }
    return { outcome: "done" };
  }

  #begin(stagingPath: string): StagedWrite {
    const fd = this.#fileSystem.openSync(stagingPath, "wx", 0o640);
    const write = { fd, hash: createHash("sha256"), blockCrcs: [], lengthBytes: 0 };
    this.#writes.set(stagingPath, write);
    return write;
  }

  /** Completes and closes the file. Returns its SHA-256 in hex, or undefined if it is not the expected one. */
  #settle(write: StagedWrite, place: ChunkPlace, expectedSha256: string | undefined): string | undefined {
    const { fd, hash, lengthBytes } = write;
    this.#writes.delete(place.stagingPath);
    try {
      const sha256 = hash.digest();
      if (expectedSha256 !== undefined && sha256.toString("hex") !== expectedSha256) return undefined;
      const blockCrcs = Uint32Array.from(write.blockCrcs);
      const footer = encodeFooter({ storedKey: place.storedKey, lengthBytes, blockCrcs, sha256 });
      writeAll(this.#fileSystem, fd, [footer]);
      sealStagedFile(this.#fileSystem, fd, place);
      return sha256.toString("hex");
    } finally {
      this.#fileSystem.closeSync(fd);
    }
  }
}
