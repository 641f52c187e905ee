/**
 * The jobs of the disk tier's writing thread: the scan at start, commits, and evictions to make room. It decides about
 * a job when its turn comes and not when it is queued. So a dropped commit has evicted nothing, and a chunk that was
 * stored meanwhile is not written again.
 */
import { randomUUID } from "node:crypto";
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import type { ChunkBytes } from "../../chunk/chunk-bytes.ts";
import type { ChunkPlace, ChunkWrite } from "../chunk-file/chunk-commit.ts";
import { chunkFilePath, chunkFileSize, type StoredChunkKey } from "../chunk-file/chunk-file.ts";
import type { PutResult } from "../chunk-store.ts";
import { sliceMax } from "./disk-limits.ts";
import { DiskRoom, type DiskRoomOptions, type Room } from "./disk-room.ts";
import { DiskStage } from "./disk-stage.ts";
import type { TaskResult } from "./disk-writer.ts";

export interface DiskCommitterOptions extends DiskRoomOptions {
  readonly fsync: boolean;
  readonly clock: Clock;
  /** Every chunk is known, and none has been evicted. */
  readonly onScanned: () => void;
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
   * Sweeps the directory and fills the index. Resolves when that is done and the bytes above the watermark are evicted.
   * If the scan fails, the free room is unknown: chunks are read as before, but none is stored until a restart.
   */
  scan(): Promise<void> {
    const { root, index, writer, faultLog, stats } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    writer.enqueue({
      bytes: 0,
      start: () => ({
        kind: "scan",
        directory: root.directory,
        chunksMax: index.maxChunks,
        places: index.shares?.places,
      }),
      onBatch: (batch) => index.addScanned(batch),
      settle: (result) => {
        if (result.outcome !== "scanned") {
          if (result.outcome === "failed") faultLog.countError(result.code, "scan the disk root");
          resolve();
          return;
        }
        stats.stagedFilesRemoved = result.stagedFilesRemoved;
        stats.foreignFilesRemoved = result.foreignFilesRemoved;
        stats.evictions += result.excessFilesRemoved;
        this.#rank(resolve);
      },
    });
    return promise;
  }

  /** Ranks the chunks that the scan has found, and ends the scan. */
  #rank(onEnd: () => void): void {
    const { index, writer } = this.#options;
    const times = index.timesOfUse();
    const settle = (result: TaskResult): void => {
      if (result.outcome === "dropped") onEnd();
      // If the thread has died, they keep the order of the directory.
      else
        this.#rankFrom(result.outcome === "ranked" ? result.rows : Uint32Array.from(times.keys()), 0, onEnd);
    };
    writer.enqueue({ bytes: 0, start: () => ({ kind: "rank", times }), settle }, "first");
  }

  /** Ranks a slice in each turn. The jobs in between keep commits from starting before the free room is known. */
  #rankFrom(rows: Uint32Array, from: number, onEnd: () => void): void {
    const { index, writer } = this.#options;
    index.rank(rows, from);
    const next = from + sliceMax;
    if (next >= rows.length) {
      index.endScan();
      this.#options.onScanned();
      this.#room.evictExcess(onEnd);
      return;
    }
    const settle = (result: TaskResult): void => {
      if (result.outcome === "dropped") onEnd();
      else this.#rankFrom(rows, next, onEnd);
    };
    writer.enqueue({ bytes: 0, start: () => ({ kind: "turn" }), settle }, "first");
  }

  /** Notes a use in the files of the rows. */
  markUses(rows: readonly number[], onEnd: () => void): void {
    const { index, writer, root, clock } = this.#options;
    const usedAtS = Math.floor(clock.now() / 1000);
    const files = index.pathsOf(rows).map((path) => chunkFilePath(root.directory, path));
    writer.enqueue({ bytes: 0, start: () => ({ kind: "mark", files, usedAtS }), settle: onEnd });
  }

  /** The tier ensures that one commit of a chunk runs at a time. */
  commit(path: string, storedKey: StoredChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    const { index, writer } = this.#options;
    const { promise, resolve } = Promise.withResolvers<PutResult>();
    const sizeBytes = chunkFileSize(storedKey);
    const write = this.#chunkWrite(path, storedKey, chunk);
    let room: Room | undefined;
    let hold: ChunkBytes | undefined;
    writer.enqueue({
      bytes: chunk.lengthBytes,
      start: () => {
        const isHeld = index.has(path);
        const isPossible = !isHeld && !index.isBeingDeleted(path) && index.canName(path);
        room = isPossible ? this.#room.reserve(sizeBytes) : undefined;
        if (room !== undefined) return { kind: "commit", victims: room.victimPaths, write };
        resolve(isHeld ? "present" : "not_stored");
        return undefined;
      },
      giveUp: () => {
        // The thread may still read the chunk.
        hold ??= chunk.share();
        resolve("not_stored");
      },
      settle: (result) => {
        hold?.release();
        this.#room.settleVictims(room?.victims ?? [], result);
        if (result.outcome === "crashed") {
          this.#room.sweep([write.stagingPath, write.finalPath], sizeBytes, () => resolve("not_stored"));
          return;
        }
        if (room !== undefined) this.#room.release(sizeBytes);
        resolve(this.#settleCommit(path, storedKey, result));
      },
    });
    return promise;
  }

  /** A stage for a chunk that arrives in pieces. `isOpen`: whether the thread still accepts jobs. */
  stage(path: string, storedKey: StoredChunkKey, isOpen: () => boolean): DiskStage {
    const { index, writer, stats } = this.#options;
    const place = this.#place(path, storedKey);
    return new DiskStage({ path, place, room: this.#room, index, writer, stats, isOpen });
  }

  #place(path: string, storedKey: StoredChunkKey): ChunkPlace {
    const { root, fsync } = this.#options;
    return {
      stagingPath: `${root.stagingDirectory}/${randomUUID()}`,
      finalPath: chunkFilePath(root.directory, path),
      storedKey,
      fsync,
    };
  }

  #chunkWrite(path: string, storedKey: StoredChunkKey, chunk: ChunkBytes): ChunkWrite {
    const blocks = chunk.segments.map((segment) => segment.bytes);
    for (const block of blocks) {
      assert(
        block.buffer instanceof SharedArrayBuffer,
        "a segment is shared with the disk thread, not copied to it",
      );
    }
    return { ...this.#place(path, storedKey), blocks };
  }

  #settleCommit(path: string, storedKey: StoredChunkKey, result: TaskResult): PutResult {
    const { index, stats } = this.#options;
    const sizeBytes = chunkFileSize(storedKey);
    const share = index.shares?.numberOf(storedKey);
    switch (result.outcome) {
      case "stored":
        index.add(path, sizeBytes, { sha256: result.sha256, share });
        return "stored";
      case "present":
        // The origin of this file is unknown. It has the right size, and is checked when it is opened, like any other.
        index.add(path, sizeBytes, { share });
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
