/**
 * Everything the disk tier asks of its writing thread: the scan at start, commits, and evictions to make room. It
 * decides when a job's turn comes and not when it is queued, so a commit that is dropped has evicted nothing, and
 * what was already stored meanwhile is not written again.
 */
import { randomUUID } from "node:crypto";
import { assert } from "../../base/assert.ts";
import type { ChunkBytes } from "../../chunk/chunk-bytes.ts";
import type { ChunkPlace, ChunkWrite } from "../chunk-file/chunk-commit.ts";
import { chunkFilePath, chunkFileSize, type StoredChunkKey } from "../chunk-file/chunk-file.ts";
import type { PutResult } from "../chunk-store.ts";
import { DiskRoom, type DiskRoomOptions, type Room } from "./disk-room.ts";
import { DiskStage } from "./disk-stage.ts";
import type { TaskResult } from "./disk-writer.ts";

export interface DiskCommitterOptions extends DiskRoomOptions {
  readonly fsync: boolean;
}

export class DiskCommitter {
  readonly #options: DiskCommitterOptions;
  readonly #room: DiskRoom;

  constructor(options: DiskCommitterOptions) {
    this.#options = options;
    this.#room = new DiskRoom(options);
  }

  get pendingBytes(): number {
    return this.#options.writer.pendingBytes;
  }

  dropQueued(bytesWanted: number): void {
    this.#options.writer.dropQueued(bytesWanted);
  }

  close(deadlineMs: number): Promise<void> {
    return this.#options.writer.close(deadlineMs);
  }

  /**
   * Sweeps the directory and fills the index; resolves when that is done and what passes the watermark is gone. Where
   * the scan fails nobody knows what there is room for: chunks are read as before, and none is kept until a restart.
   */
  scan(): Promise<void> {
    const { root, index, writer, faultLog, stats } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    writer.enqueue({
      bytes: 0,
      start: () => ({ kind: "scan", directory: root.directory }),
      onBatch: (batch) => index.addScanned(batch),
      settle: (result) => {
        if (result.outcome !== "scanned") {
          if (result.outcome === "failed") faultLog.countError(result.code, "scan the disk root");
          resolve();
          return;
        }
        stats.stagedFilesRemoved = result.stagedFilesRemoved;
        stats.foreignFilesRemoved = result.foreignFilesRemoved;
        index.endScan();
        this.#room.evictSurplus(resolve);
      },
    });
    return promise;
  }

  /** The tier sees to it that one commit of a chunk runs at a time. */
  commit(key: string, storedKey: StoredChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    const { index, writer } = this.#options;
    const { promise, resolve } = Promise.withResolvers<PutResult>();
    const sizeBytes = chunkFileSize(storedKey);
    const write = this.#chunkWrite(key, storedKey, chunk);
    let room: Room | undefined;
    writer.enqueue({
      bytes: chunk.lengthBytes,
      start: () => {
        const isHeld = index.get(key) !== undefined;
        room = isHeld || index.isLeaving(key) ? undefined : this.#room.reserve(sizeBytes);
        if (room !== undefined) return { kind: "commit", victims: room.victimPaths, write };
        resolve(isHeld ? "present" : "not_stored");
        return undefined;
      },
      settle: (result) => {
        this.#room.settleVictims(room?.victims ?? [], result);
        if (result.outcome === "crashed") {
          this.#room.sweep([write.stagingPath, write.finalPath], sizeBytes, () => resolve("not_stored"));
          return;
        }
        if (room !== undefined) this.#room.release(sizeBytes);
        resolve(this.#settleCommit(key, sizeBytes, result));
      },
    });
    return promise;
  }

  /** A chunk that is to come piece by piece. `isOpen`: whether the thread may still be given jobs. */
  stage(key: string, storedKey: StoredChunkKey, isOpen: () => boolean): DiskStage {
    const { index, writer, stats } = this.#options;
    const place = this.#place(key, storedKey);
    return new DiskStage({ key, place, room: this.#room, index, writer, stats, isOpen });
  }

  #place(key: string, storedKey: StoredChunkKey): ChunkPlace {
    const { root, fsync } = this.#options;
    return {
      stagingPath: `${root.stagingDirectory}/${randomUUID()}`,
      finalPath: chunkFilePath(root.directory, key),
      storedKey,
      fsync,
    };
  }

  #chunkWrite(key: string, storedKey: StoredChunkKey, chunk: ChunkBytes): ChunkWrite {
    const blocks = chunk.segments.map((segment) => segment.bytes);
    for (const block of blocks) {
      assert(
        block.buffer instanceof SharedArrayBuffer,
        "a segment is shared with the disk thread, not copied to it",
      );
    }
    return { ...this.#place(key, storedKey), blocks };
  }

  #settleCommit(key: string, sizeBytes: number, result: TaskResult): PutResult {
    const { index, stats } = this.#options;
    switch (result.outcome) {
      case "stored":
        index.add(key, sizeBytes, result.sha256);
        return "stored";
      case "present":
        // Put there by nobody we know, of the right size, and checked when it is opened, as any other.
        index.add(key, sizeBytes);
        return "present";
      case "failed":
        this.#room.countFailure(result.code);
        return "not_stored";
      case "dropped":
        stats.commitsDropped += 1;
        return "not_stored";
      default:
        return "not_stored";
    }
  }
}
