/**
 * A chunk that is written to disk in pieces. This class keeps the account; the writing thread (staged-writes.ts) keeps
 * the file and its hash. Room for the whole file is reserved when the turn of its first piece comes, so a chunk that
 * has begun fits.
 *
 * Invariants:
 * 1. From the first piece to the end the whole size is reserved. It stays reserved while the file may be on disk.
 * 2. A stage ends once: it is committed, discarded or not stored. After that the thread gets no job of it.
 */
import { assert } from "../../base/assert.ts";
import { chunkLength } from "../../chunk/chunk-layout.ts";
import type { ChunkPlace } from "../chunk-file/chunk-commit.ts";
import { chunkFileSize } from "../chunk-file/chunk-file.ts";
import type { MemoryHold } from "../chunk-store.ts";
import type { DiskIndex } from "./disk-index.ts";
import type { DiskRoom, Room } from "./disk-room.ts";
import type { DiskStats } from "./disk-stats.ts";
import type { DiskWriter, TaskResult } from "./disk-writer.ts";
import type { StagedChunk, StageResult } from "./staged-chunk.ts";

export interface DiskStageOptions {
  readonly path: string;
  readonly place: ChunkPlace;
  readonly room: DiskRoom;
  readonly index: DiskIndex;
  readonly writer: DiskWriter;
  readonly stats: DiskStats;
  /** False when the tier is closing: then the thread gets no more jobs, and the next start sweeps the staging file. */
  readonly isOpen: () => boolean;
}

export class DiskStage implements StagedChunk {
  readonly #options: DiskStageOptions;
  readonly #sizeBytes: number;
  #stagedBytes = 0;
  #reserved = false;
  #busy = false;
  #over = false;

  constructor(options: DiskStageOptions) {
    this.#options = options;
    this.#sizeBytes = chunkFileSize(options.place.storedKey);
  }

  get stagedBytes(): number {
    return this.#stagedBytes;
  }

  append(bytes: Buffer, hold?: MemoryHold): Promise<boolean> {
    assert(!this.#busy, "a stage takes one piece at a time");
    assert(bytes.buffer instanceof SharedArrayBuffer, "a segment is shared with the disk thread");
    if (this.#over || !this.#options.isOpen()) return Promise.resolve(false);
    const { room, writer, place } = this.#options;
    const { stagingPath } = place;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    let made: Room | undefined;
    let isGivenUp = false;
    const giveUp = (): void => {
      if (isGivenUp) return;
      isGivenUp = true;
      // The thread may still read the bytes.
      hold?.retain();
      this.#over = true;
      resolve(false);
    };
    this.#busy = true;
    writer.enqueue({
      bytes: bytes.length,
      start: () => {
        if (!this.#reserved) {
          made = room.reserve(this.#sizeBytes);
          if (made === undefined) {
            this.#busy = false;
            this.#over = true;
            resolve(false);
            return undefined;
          }
          this.#reserved = true;
        }
        const victims = made?.victimPaths ?? [];
        return { kind: "append", victims, stagingPath, offset: this.#stagedBytes, bytes };
      },
      ...(hold && { giveUp }),
      settle: (result) => {
        room.settleVictims(made?.victims ?? [], result);
        this.#busy = false;
        if (isGivenUp) {
          hold?.release();
          this.#over = false;
          void this.discard();
          return;
        }
        if (result.outcome === "done") {
          this.#stagedBytes += bytes.length;
          resolve(true);
          return;
        }
        this.#countLoss(result);
        void this.discard().then(() => resolve(false));
      },
    });
    return promise;
  }

  /** The tier ensures that this and other commits of the chunk run one after the other. */
  commit(expectedSha256: string | undefined): Promise<StageResult> {
    const { index, path, room, writer, place, isOpen } = this.#options;
    if (this.#over || !isOpen()) return Promise.resolve("not_stored");
    const { storedKey, stagingPath, finalPath } = place;
    const lengthBytes = chunkLength(storedKey.objectSizeBytes, storedKey.chunkSizeBytes, storedKey.index);
    assert(
      !this.#busy && this.#stagedBytes === lengthBytes,
      "a chunk is committed when all of it is written",
    );
    if (index.has(path)) return this.discard().then(() => "present");
    if (index.isBeingDeleted(path)) return this.discard().then(() => "not_stored");
    const { promise, resolve } = Promise.withResolvers<StageResult>();
    this.#over = true;
    writer.enqueue({
      bytes: 0,
      start: () => ({ kind: "finish", place, expectedSha256 }),
      giveUp: () => resolve("not_stored"),
      settle: (result) => {
        if (result.outcome === "crashed" || result.outcome === "lost") {
          // A thread that died may have linked the file before. A thread that lost the state has not linked it.
          const paths = result.outcome === "crashed" ? [stagingPath, finalPath] : [stagingPath];
          room.sweep(paths, this.#sizeBytes, () => resolve("not_stored"));
          return;
        }
        room.release(this.#sizeBytes);
        resolve(this.#settleCommit(result));
      },
    });
    return promise;
  }

  discard(): Promise<void> {
    const { room, writer, place, isOpen } = this.#options;
    if (this.#over) return Promise.resolve();
    assert(!this.#busy, "a stage is not discarded while it writes a piece");
    this.#over = true;
    if (!this.#reserved || !isOpen()) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    writer.enqueue(
      {
        bytes: 0,
        start: () => ({ kind: "abandon", stagingPath: place.stagingPath }),
        giveUp: resolve,
        settle: (result) => {
          // If the file could not be unlinked, its bytes stay on disk and reserved until the next start.
          if (result.outcome === "done") room.release(this.#sizeBytes);
          else if (result.outcome === "crashed")
            return room.sweep([place.stagingPath], this.#sizeBytes, resolve);
          resolve();
        },
      },
      "first",
    );
    return promise;
  }

  #settleCommit(result: TaskResult): StageResult {
    const { index, path, room, place } = this.#options;
    const share = index.shares?.numberOf(place.storedKey);
    switch (result.outcome) {
      case "stored":
        index.add(path, this.#sizeBytes, { sha256: result.sha256, share });
        return "stored";
      case "present":
        index.add(path, this.#sizeBytes, { share });
        return "present";
      case "mismatch":
        return "mismatch";
      case "failed":
        room.countFailure(result.code);
        return "not_stored";
      default:
        return "not_stored";
    }
  }

  #countLoss(result: TaskResult): void {
    const { room, stats } = this.#options;
    if (result.outcome === "failed") room.countFailure(result.code);
    else if (result.outcome === "dropped") stats.commitsDropped += 1;
  }
}
