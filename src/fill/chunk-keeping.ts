/**
 * What becomes of the blocks that a flight of the filler has fetched. They go into memory, beside the blocks of their
 * chunk that are there already. The put that makes a chunk whole commits it to disk and into the cachestore, which hold
 * whole chunks only. Blocks that leave their chunk partial go to the disk's partial chunk.
 *
 * Interleavings that must not commit a chunk twice, or lose a block:
 * 1. Two flights of a chunk end at once. (a) The put of A leaves it partial, and A gives its blocks to the disk. (b) The
 *    put of B makes it whole, and B commits it. (c) B deletes the partial chunk on disk. (d) The disk has stored the
 *    blocks of A only now: A sees that the chunk is whole on disk, and deletes them again.
 * 2. Memory evicts between two puts. (a) The blocks of A are in memory and on their way to the disk. (b) Memory evicts
 *    them. (c) The put of B finds no chunk, so it does not make one whole. (d) Memory and disk together hold all blocks:
 *    whichever of A and B sees that reads those that memory lacks from the disk, and commits the chunk. Each looks after
 *    its own blocks are on disk, so the one that is last sees it.
 * 3. Both see it. Only one commit of a chunk runs at a time, and a chunk that is whole on disk is not committed again.
 * 4. A warm-up commits a chunk that memory holds whole and a store lacks (storeFromMemory). A clear may begin meanwhile:
 *    it marks the commit as forgotten and waits for its end, as it does with a flight.
 * 5. Memory has no free room for the blocks on disk. They are served from there, and a later flight or promotion of the
 *    chunk looks again.
 */
import { type MemoryBudget, type Segment, segmentSizeBytes } from "../base/memory-budget.ts";
import { ChunkBytes } from "../chunk/chunk-bytes.ts";
import { isBelow, type ObjectPrefix } from "../chunk/object-prefix.ts";
import type { ChunkKey, ChunkStore, PutResult } from "../store/chunk-store.ts";
import type { FetchTrace } from "../trace/fetch-trace.ts";
import { watched } from "../trace/stalls/stall-watch.ts";
import type { Flight } from "./flight.ts";
import type { Cachestore, MemoryChunks } from "./memory-chunks.ts";

export interface ChunkKeepingOptions {
  readonly memory: MemoryChunks;
  readonly disk: ChunkStore | undefined;
  readonly budget: MemoryBudget;
  readonly cachestore?: Cachestore | undefined;
  readonly onStoredInCachestore?: ((key: ChunkKey) => void) | undefined;
  readonly digests?: { sha256(key: ChunkKey): string | undefined } | undefined;
  readonly onStoredOnDisk?: ((key: ChunkKey) => void) | undefined;
}

export interface KeepingStats {
  commits: number;
  commitsNotStored: number;
  commitsMismatched: number;
  blockCommits: number;
  blockCommitsNotStored: number;
}

/** What a commit looks at while it runs: a flight, or a chunk that a warm-up commits. */
interface Committed {
  readonly key: ChunkKey;
  readonly isForgotten: boolean;
  readonly trace: FetchTrace | undefined;
}

/** A commit that no flight makes. */
interface MemoryCommit extends Committed {
  isForgotten: boolean;
}

export class ChunkKeeping {
  readonly #options: ChunkKeepingOptions;
  readonly #stats: KeepingStats;
  /** Commits in progress, by memory key. */
  readonly #committing = new Map<string, Promise<void>>();
  readonly #memoryCommits = new Map<MemoryCommit, Promise<void>>();

  constructor(options: ChunkKeepingOptions, stats: KeepingStats) {
    this.#options = options;
    this.#stats = stats;
  }

  /**
   * Resolves when the tiers have stored what they keep. Never rejects. `ahead`: no reader has asked for the blocks yet.
   * `isStored`: they came from the whole chunk on disk.
   */
  async keep(
    flight: Flight,
    chunk: ChunkBytes,
    { ahead, isStored }: { readonly ahead: boolean; readonly isStored: boolean },
  ): Promise<void> {
    const { memory } = this.#options;
    const { version, index } = flight.key;
    const madeWhole = memory.put(version.memoryKey(index), chunk, ahead, version);
    if (isStored) return;
    // Where memory has no room for an entry, the flight may still have the whole chunk in hand.
    let whole = (madeWhole ?? (chunk.isWhole ? chunk : undefined))?.share();
    whole ??= await this.#joinWithDisk(flight, chunk);
    if (!whole || whole.provenance.isUnverified) await this.#commitBlocks(flight, chunk);
    whole ??= await this.#joinWithDisk(flight, chunk);
    if (!whole) return;
    try {
      await this.#commit(flight, whole);
    } finally {
      whole.release();
    }
  }

  /**
   * Commits a chunk that memory holds whole to the stores that lack it, for a warm-up: no flight would. Where a commit of
   * the chunk runs already, it waits for that one. False where memory does not hold it whole and verified, or there is no
   * store. Never rejects.
   */
  async storeFromMemory(key: ChunkKey): Promise<boolean> {
    const { memory, disk, cachestore } = this.#options;
    const memoryKey = key.version.memoryKey(key.index);
    const held = memory.peek(memoryKey);
    if (!held?.isWhole || held.provenance.isUnverified || !(disk ?? cachestore)) return false;
    const running = this.#committing.get(memoryKey);
    if (running) {
      await running;
      return true;
    }
    const whole = held.share();
    const commit: MemoryCommit = { key, isForgotten: false, trace: undefined };
    const run = this.#commit(commit, whole, true).finally(() => {
      whole.release();
      this.#memoryCommits.delete(commit);
    });
    this.#memoryCommits.set(commit, run);
    await run;
    return true;
  }

  /** Resolves when all of {@link storeFromMemory} that run have ended. */
  async stored(): Promise<void> {
    await Promise.all(this.#memoryCommits.values());
  }

  /** For a clear: resolves when no {@link storeFromMemory} for a chunk below `prefix` runs that began before. */
  async forget(prefix: ObjectPrefix | undefined): Promise<void> {
    const ending: Promise<void>[] = [];
    for (const [commit, run] of this.#memoryCommits) {
      if (!isBelow(prefix, commit.key.version)) continue;
      commit.isForgotten = true;
      ending.push(run);
    }
    await Promise.all(ending);
  }

  /**
   * The whole chunk, where memory and the partial chunk on disk hold all its blocks together, and memory has free room.
   * The caller releases it.
   */
  async #joinWithDisk(flight: Flight, chunk: ChunkBytes): Promise<ChunkBytes | undefined> {
    const { memory, disk, budget } = this.#options;
    const { key } = flight;
    const partial = disk?.partial;
    // A chunk that is whole on disk, or on its way there, needs no commit. Nor is it known before the end of a scan.
    if (!partial || flight.isForgotten || disk.presence(key) !== "absent") return undefined;
    if (this.#committing.has(key.version.memoryKey(key.index))) return undefined;
    const memoryKey = key.version.memoryKey(key.index);
    const joined = (memory.peek(memoryKey) ?? chunk).share();
    joined.add(chunk);
    const missing = missingBlocks(joined);
    const isComplete = !joined.provenance.isUnverified && missing.every((block) => partial.holds(key, block));
    const lengths = missing.map((block) => blockBytes(joined.lengthBytes, block));
    const reservation = isComplete && budget.tryReserve(lengths.reduce((sum, each) => sum + each, 0));
    if (!reservation) {
      joined.release();
      return undefined;
    }
    const read = new Array<Segment | undefined>(joined.blockCount).fill(undefined);
    let isRead = true;
    for (const [at, block] of missing.entries()) {
      const segment = reservation.takeSegment(lengths[at] as number);
      read[block] = segment;
      isRead = await partial.readBlock(key, block, segment.bytes, segment);
      if (!isRead) break;
    }
    reservation.release();
    const provenance = { isUnverified: false, isFromOrigin: true, sentSha256: undefined };
    const fromDisk = new ChunkBytes(read, joined.lengthBytes, provenance);
    if (isRead) joined.add(fromDisk);
    fromDisk.release();
    if (isRead && !flight.isForgotten) {
      memory.put(memoryKey, joined, false, key.version);
      return joined;
    }
    joined.release();
    return undefined;
  }

  /** Gives the blocks of a chunk that is not whole to the disk. Those of a peer are not checked yet, so they are not stored. */
  async #commitBlocks(flight: Flight, chunk: ChunkBytes): Promise<void> {
    const { key, from, to } = flight;
    const { disk } = this.#options;
    const partial = disk?.partial;
    if (!partial || flight.isForgotten || !flight.hasVerifiedBlocks || flight.source === "disk") return;
    if (disk.presence(key) === "held") return;
    const [first, end] = [from / segmentSizeBytes, Math.ceil(to / segmentSizeBytes)];
    const segments: Segment[] = [];
    for (let block = first; block < end; block += 1) segments.push(chunk.block(block) as Segment);
    const result = await traced(flight, "disk", () => partial.putBlocks(key, first, segments));
    if (result === "stored") this.#stats.blockCommits += segments.length;
    if (result === "not_stored") this.#stats.blockCommitsNotStored += segments.length;
    if (disk.presence(key) === "held") await partial.delete(key);
  }

  /**
   * Bytes of a peer that sent no SHA-256 for them came over mutual TLS. They are served, but not stored.
   */
  async #commit(flight: Committed, whole: ChunkBytes, isWarming = false): Promise<void> {
    const memoryKey = flight.key.version.memoryKey(flight.key.index);
    if (whole.provenance.isUnverified || flight.isForgotten || this.#committing.has(memoryKey)) return;
    const run = this.#commitToStores(flight, whole, isWarming).finally(() =>
      this.#committing.delete(memoryKey),
    );
    this.#committing.set(memoryKey, run);
    await run;
  }

  async #commitToStores(flight: Committed, whole: ChunkBytes, isWarming: boolean): Promise<void> {
    const { disk } = this.#options;
    const { key } = flight;
    await Promise.all([
      this.#commitToDisk(flight, whole),
      this.#commitToCachestore(flight, whole, isWarming),
    ]);
    if (disk?.partial && disk.presence(key) === "held") await disk.partial.delete(key);
  }

  /** Bytes from the origin go into the cachestore. Bytes that came from the cachestore do not go back, unless it lost them. */
  async #commitToCachestore(flight: Committed, whole: ChunkBytes, isWarming: boolean): Promise<void> {
    const { cachestore, onStoredInCachestore } = this.#options;
    const { key } = flight;
    // Where presence is still "held" after the read, the read failed with an error and not because the chunk is absent.
    if (!cachestore || cachestore.presence(key) === "held") return;
    if (!whole.provenance.isFromOrigin && !isWarming) return;
    const result = await traced(flight, "cachestore", () => cachestore.put(key, whole));
    if (result === "stored") onStoredInCachestore?.(key);
  }

  /** A failed commit is counted and never fails a read. */
  async #commitToDisk(flight: Committed, whole: ChunkBytes): Promise<void> {
    const { key } = flight;
    const { memory, disk, digests, onStoredOnDisk } = this.#options;
    const { sentSha256 } = whole.provenance;
    if (!disk || disk.presence(key) === "held") return;
    const result = await traced(flight, "disk", () => disk.put(key, whole));
    if (result === "not_stored") this.#stats.commitsNotStored += 1;
    if (result !== "stored") return;
    // The disk's thread has hashed what it wrote.
    const sha256 = digests?.sha256(key);
    if (sentSha256 !== undefined && sha256 !== undefined && sha256 !== sentSha256) {
      this.#stats.commitsMismatched += 1;
      memory.delete(key.version.memoryKey(key.index));
      await disk.delete(key);
      return;
    }
    this.#stats.commits += 1;
    onStoredOnDisk?.(key);
  }
}

function missingBlocks(chunk: ChunkBytes): number[] {
  const missing: number[] = [];
  for (let block = 0; block < chunk.blockCount; block += 1) if (!chunk.block(block)) missing.push(block);
  return missing;
}

function blockBytes(lengthBytes: number, block: number): number {
  return Math.min(segmentSizeBytes, lengthBytes - block * segmentSizeBytes);
}

async function traced(
  { trace }: Committed,
  store: "disk" | "cachestore",
  put: () => Promise<PutResult>,
): Promise<PutResult> {
  if (trace?.isOn) trace.step("commit", { store });
  const result = await watched(trace, store, "put", trace?.about ?? {}, put);
  if (trace?.isOn) trace.step("commit_result", { store, result });
  return result;
}
