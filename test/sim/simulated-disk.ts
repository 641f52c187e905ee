/**
 * The disk of a simulated replica. The medium outlives the process, and holds exactly what was committed before a crash:
 * a commit takes time by the clock of its process, and one that dies does not finish it. A chunk's bytes are compared
 * with its version's when it is committed, and again when the commit is over, for nobody may write to what a disk
 * borrows; after that it is enough to remember that they are there.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../../src/base/clock.ts";
import { sleep } from "../../src/base/clock.ts";
import { type Segment, segmentSizeBytes } from "../../src/base/memory-budget.ts";
import type { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import type { DigestStore } from "../../src/fill/chunk-server.ts";
import type { ReplicatedDisk } from "../../src/replica/replicated-disks.ts";
import type { ChunkKey, PartialBlocks, Presence, PutResult } from "../../src/store/chunk-store.ts";
import { orderOfPath } from "../../src/store/chunk-table/chunk-order.ts";
import type { StagedChunk, StageResult } from "../../src/store/disk/staged-chunk.ts";
import type { Chance } from "../support/chance.ts";
import type { SimulatedOrigin } from "./simulated-origin.ts";
import { assertVersionBytes, versionBytes } from "./version-bytes.ts";

/** What lies on the disk: by path, and for a block of a partial chunk by path and `#block`, whether it can still be read. */
export type DiskMedium = Map<string, "whole" | "damaged">;

export interface SimulatedDiskOptions {
  readonly medium: DiskMedium;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly origin: SimulatedOrigin;
  /** What each path names, of all disks: a file says so itself. */
  readonly names: Map<string, ChunkKey>;
  /** Told of bytes that are not the version's; the store itself never rejects. */
  readonly onFault: (thrown: unknown) => void;
}

export class SimulatedDisk implements DigestStore, ReplicatedDisk {
  readonly name = "disk";
  readonly ready = Promise.resolve();
  readonly spareBytes = Number.MAX_SAFE_INTEGER;
  onLost: () => void = () => {};
  refuses = false;
  readonly partial: PartialBlocks = {
    holds: (key, blockIndex) => this.#options.medium.has(`${pathOf(key)}#${blockIndex}`),
    holdsAny: (key) => this.#blocksOf(key).length > 0,
    readBlock: (key, blockIndex, target) =>
      this.#readBlock(key, `${pathOf(key)}#${blockIndex}`, blockIndex, target),
    putBlocks: (key, firstBlock, segments) => this.#putBlocks(key, firstBlock, segments),
    delete: async (key) => {
      for (const name of this.#blocksOf(key)) this.#options.medium.delete(name);
    },
  };
  readonly #options: SimulatedDiskOptions;

  constructor(options: SimulatedDiskOptions) {
    this.#options = options;
  }

  #blocksOf(key: ChunkKey): string[] {
    return [...this.#options.medium.keys()].filter((name) => name.startsWith(`${pathOf(key)}#`));
  }

  presence(key: ChunkKey): Presence {
    return this.#options.medium.has(pathOf(key)) ? "held" : "absent";
  }

  readBlock(key: ChunkKey, blockIndex: number, target: Buffer): Promise<boolean> {
    return this.#readBlock(key, pathOf(key), blockIndex, target);
  }

  async #readBlock(key: ChunkKey, name: string, blockIndex: number, target: Buffer): Promise<boolean> {
    const { medium } = this.#options;
    await this.#pass(0.2, 8);
    if (medium.get(name) !== "whole") {
      if (medium.delete(name)) this.onLost();
      return false;
    }
    const offset = key.index * key.version.chunkSizeBytes + blockIndex * segmentSizeBytes;
    versionBytes(this.#ordinalOf(key), offset, target.length).copy(target);
    return true;
  }

  async put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    const { medium } = this.#options;
    this.#check(key, chunk);
    await this.#pass(1, 80);
    this.#check(key, chunk);
    if (this.refuses) return "not_stored";
    if (medium.has(pathOf(key))) return "present";
    this.#keep(key);
    return "stored";
  }

  holds(path: string): boolean {
    return this.#options.medium.has(path);
  }

  get chunkCount(): number {
    return this.#paths().length;
  }

  pathsAfter(after: string, pathsMax: number, fromOrder = 0): readonly string[] {
    return this.#paths()
      .filter((path) => (after === "" ? orderOfPath(path) >= fromOrder : inOrder(path, after) > 0))
      .sort(inOrder)
      .slice(0, pathsMax);
  }

  async chunkKeyOf(path: string): Promise<ChunkKey | undefined> {
    await this.#pass(0.2, 8);
    return this.#options.medium.get(path) === "whole" ? this.#options.names.get(path) : undefined;
  }

  evictFirst(): void {}

  /** Each piece is compared with the version when it is written. */
  stage(key: ChunkKey): StagedChunk | undefined {
    if (this.refuses || this.presence(key) !== "absent") return undefined;
    let stagedBytes = 0;
    return {
      get stagedBytes() {
        return stagedBytes;
      },
      append: async (bytes) => {
        this.#checkBytes(key, stagedBytes, [{ bytes }]);
        await this.#pass(1, 20);
        this.#checkBytes(key, stagedBytes, [{ bytes }]);
        if (this.refuses) return false;
        stagedBytes += bytes.length;
        return true;
      },
      commit: async (expected): Promise<StageResult> => {
        await this.#pass(1, 20);
        if (this.refuses) return "not_stored";
        if (expected !== undefined && expected !== digestOf(key)) return "mismatch";
        if (this.presence(key) === "held") return "present";
        this.#keep(key);
        return "stored";
      },
      discard: async () => {},
    };
  }

  #keep(key: ChunkKey): void {
    this.#options.medium.set(pathOf(key), "whole");
    this.#options.names.set(pathOf(key), key);
  }

  /** Of whole chunks. */
  #paths(): string[] {
    return [...this.#options.medium.keys()].filter((name) => !name.includes("#"));
  }

  async #putBlocks(key: ChunkKey, firstBlock: number, segments: readonly Segment[]): Promise<PutResult> {
    for (const [at, segment] of segments.entries()) {
      const blockIndex = firstBlock + at;
      this.#checkBytes(key, blockIndex * segmentSizeBytes, [segment]);
      await this.#pass(1, 20);
      this.#checkBytes(key, blockIndex * segmentSizeBytes, [segment]);
      if (this.refuses) return "not_stored";
      this.#options.medium.set(`${pathOf(key)}#${blockIndex}`, "whole");
    }
    return "stored";
  }

  async delete(key: ChunkKey): Promise<void> {
    this.#options.medium.delete(pathOf(key));
  }

  sha256(key: ChunkKey): string | undefined {
    return this.#options.medium.get(pathOf(key)) === "whole" ? digestOf(key) : undefined;
  }

  #check(key: ChunkKey, chunk: ChunkBytes): void {
    this.#checkBytes(key, 0, chunk.segments);
  }

  #checkBytes(key: ChunkKey, offsetInChunk: number, segments: readonly { readonly bytes: Buffer }[]): void {
    let offset = key.index * key.version.chunkSizeBytes + offsetInChunk;
    try {
      for (const { bytes } of segments) {
        assertVersionBytes(bytes, this.#ordinalOf(key), offset, "what is committed");
        offset += bytes.length;
      }
    } catch (thrown) {
      this.#options.onFault(thrown);
    }
  }

  #ordinalOf({ version }: ChunkKey): number {
    return this.#options.origin.object(version.objectKey).version(version.etag).ordinal;
  }

  #pass(minMs: number, maxMs: number): Promise<void> {
    return sleep(this.#options.clock, this.#options.chance.between(minMs, maxMs));
  }
}

/** Stands for that of the bytes, which are compared one by one. */
function digestOf({ version, index }: ChunkKey): string {
  return createHash("sha256").update(`${version.etag}/${index}`).digest("hex");
}

function inOrder(left: string, right: string): number {
  return orderOfPath(left) - orderOfPath(right) || (left < right ? -1 : left === right ? 0 : 1);
}

function pathOf(key: ChunkKey): string {
  return key.version.chunkPath(key.index);
}
