/**
 * Fills chunks into the stores of this replica for a warm-up, on behalf of the replica that leads it. A warm-up ranks
 * below clients: its fills are read-ahead (Filler.readAhead). So they begin only while fewer than half of the origin's
 * permits are in use and no request waits for one, and take only memory that no reader needs. A client that comes finds a
 * permit, and joins a fill of its own chunk like any other flight.
 *
 * A chunk is held when every store that outlives the process has it: the disk, the cachestore, or both. Without either,
 * memory must have it. No belief counts: the footer of a chunk file is read from the disk, and a block from the
 * cachestore. Both are looks: a file whose footer cannot be read is read as by a client, which finds out whether the file
 * is damaged, and deletes it only then.
 *
 * With replicated disks, a keeper that is not the coordinator pulls the chunk as after any announcement. The announcement
 * of the coordinator may come before or after the question of the warm-up: the puller queues a chunk once.
 *
 * 1. A call ends soon after its signal has aborted: its flight is cut after a block, or finished where more than half of
 *    the chunk is here.
 * 2. At most {@link warmingMax} calls run at once; a further one is `busy` at once, as is one that had to wait for long.
 */
import { type Clock, sleep } from "../../base/clock.ts";
import { type MemoryBudget, segmentSizeBytes } from "../../base/memory-budget.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { GuardedCachestore } from "../../store/cachestore/guarded-cachestore.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { DiskTier } from "../../store/disk/disk-tier.ts";
import type { Filler } from "../filler.ts";
import type { Flight } from "../flight.ts";
import type { MemoryChunks } from "../memory-chunks.ts";
import type { Puller } from "../replication/puller.ts";
import type { WarmAnswers, WarmResult } from "./warm-peers.ts";

export interface ChunkWarmerOptions {
  readonly filler: Filler;
  readonly memory: MemoryChunks;
  readonly budget: Pick<MemoryBudget, "maxBytes">;
  readonly disk: Pick<DiskTier, "presence" | "chunkKeyOf" | "readBlock" | "ready" | "pins"> | undefined;
  readonly cachestore: Pick<GuardedCachestore, "readBlock"> | undefined;
  /** Undefined where disks are not replicated. */
  readonly puller: Pick<Puller, "enqueue" | "isPending"> | undefined;
  /** Whether this replica fetches the chunk from the origin, where disks are replicated. */
  readonly coordinates: (key: ChunkKey) => boolean;
  readonly clock: Clock;
}

/** Each may hold a block of memory for a look, and a chunk for a fill. */
const warmingMax = 8;
/** Between two looks whether clients have left room. */
const pauseMs = 20;
/** A call that waited so long for room ends as busy, so that no call lasts without end. */
const busyAfterMs = 10_000;
/** What a chunk may need beside a flight for each of its blocks: a commit from memory, a promotion. */
const extraStepsMax = 4;

/** `worked`: the chunk may be held now. `waiting`: for clients. */
type Step = "worked" | "waiting";

export class ChunkWarmer implements WarmAnswers {
  readonly stats = { held: 0, filled: 0, missing: 0, busy: 0, unpinned: 0 };
  readonly #options: ChunkWarmerOptions;
  #running = 0;

  constructor(options: ChunkWarmerOptions) {
    this.#options = options;
  }

  async warm(key: ChunkKey, fills: boolean, signal: AbortSignal, pinUntilMs = 0): Promise<WarmResult> {
    let result: WarmResult = "busy";
    if (this.#running < warmingMax) {
      this.#running += 1;
      try {
        result = await this.#warm(key, fills, signal);
        const isHeld = result === "held" || result === "filled";
        const isPinned = isHeld && pinUntilMs > 0 && this.#options.disk?.pins.pin(key, pinUntilMs) === true;
        if (isHeld && pinUntilMs > 0 && !isPinned && !fills) result = "unpinned";
      } finally {
        this.#running -= 1;
      }
    }
    this.stats[result] += 1;
    return result;
  }

  async #warm(key: ChunkKey, fills: boolean, signal: AbortSignal): Promise<WarmResult> {
    const { disk, clock } = this.#options;
    if (disk) await stoppable(disk.ready, signal);
    if (await this.#isHeld(key)) return "held";
    if (!fills) return "missing";
    let steps = blockCount(key) + extraStepsMax;
    let waitUntilMs = clock.monotonic() + busyAfterMs;
    while (steps > 0) {
      signal.throwIfAborted();
      if ((await this.#step(key, signal)) === "waiting") {
        if (clock.monotonic() >= waitUntilMs) return "busy";
        await sleep(clock, pauseMs, signal);
        continue;
      }
      if (await this.#isHeld(key)) return "filled";
      waitUntilMs = clock.monotonic() + busyAfterMs;
      steps -= 1;
    }
    return "missing";
  }

  async #isHeld(key: ChunkKey): Promise<boolean> {
    const { memory, disk, cachestore } = this.#options;
    if (disk && !(await this.#isOnDisk(key))) return false;
    if (cachestore) {
      const last = blockCount(key) - 1;
      return cachestore.readBlock(key, last, Buffer.allocUnsafe(blockBytes(key, last)));
    }
    return disk !== undefined || memory.peek(memoryKeyOf(key))?.isWhole === true;
  }

  async #isOnDisk(key: ChunkKey): Promise<boolean> {
    const { disk } = this.#options;
    if (disk?.presence(key) !== "held") return false;
    const inFile = await disk.chunkKeyOf(key.version.chunkPath(key.index));
    if (inFile?.version.sizeBytes === key.version.sizeBytes) return true;
    return disk.readBlock(key, 0, Buffer.allocUnsafe(blockBytes(key, 0)));
  }

  /** One thing that brings the chunk nearer to being held. */
  async #step(key: ChunkKey, signal: AbortSignal): Promise<Step> {
    const { filler, memory, disk, puller, coordinates } = this.#options;
    const whole = { offset: 0, end: key.version.chunkLength(key.index) };
    if (puller && !coordinates(key) && disk?.presence(key) !== "held") return this.#pull(key, puller, signal);
    // Nothing has verified it, so no store may have it.
    if (memory.peek(memoryKeyOf(key))?.provenance.isUnverified) memory.delete(memoryKeyOf(key));
    if (await filler.keeping.storeFromMemory(key)) return "worked";
    const running = filler.findAny(key);
    // Somebody else's flight need not fetch the whole chunk: the next look tells what is missing.
    if (running) await stoppable(filler.ended(running), signal);
    if (running) return "worked";
    const isMissing = filler.runAhead(key, whole) !== undefined;
    const flight = isMissing ? filler.readAhead(key, whole) : this.#promote(key);
    if (flight) await this.#follow(flight, signal);
    else if (whole.end > this.#options.budget.maxBytes / 2) throw tooLarge(key);
    return flight ? "worked" : "waiting";
  }

  async #pull(
    key: ChunkKey,
    puller: Pick<Puller, "enqueue" | "isPending">,
    signal: AbortSignal,
  ): Promise<Step> {
    const { clock } = this.#options;
    if (!puller.enqueue(key)) return "waiting";
    const untilMs = clock.monotonic() + busyAfterMs;
    while (puller.isPending(key)) {
      if (clock.monotonic() >= untilMs) return "waiting";
      await sleep(clock, pauseMs, signal);
    }
    return "worked";
  }

  /** The blocks are all here, some of them on disk alone: memory needs them to make the chunk whole, or to commit it. */
  #promote(key: ChunkKey): Flight | undefined {
    const { filler, memory } = this.#options;
    const chunk = memory.peek(memoryKeyOf(key));
    let block = 0;
    while (block < blockCount(key) && chunk?.block(block)) block += 1;
    if (block === blockCount(key)) return undefined;
    return filler.promote(key, { offset: block * segmentSizeBytes, end: key.version.chunkLength(key.index) });
  }

  async #follow(flight: Flight, signal: AbortSignal): Promise<void> {
    flight.join();
    try {
      await stoppable(this.#options.filler.ended(flight), signal);
    } finally {
      flight.leave();
    }
    if (flight.state.kind === "failed") throw flight.state.error;
  }
}

function memoryKeyOf({ version, index }: ChunkKey): string {
  return version.memoryKey(index);
}

function blockCount({ version, index }: ChunkKey): number {
  return Math.ceil(version.chunkLength(index) / segmentSizeBytes);
}

function blockBytes({ version, index }: ChunkKey, block: number): number {
  return Math.min(segmentSizeBytes, version.chunkLength(index) - block * segmentSizeBytes);
}

function tooLarge({ version, index }: ChunkKey): OrcaError {
  const reason = `it has ${version.chunkLength(index)} bytes, more than half of memory.max_bytes`;
  return new OrcaError(
    "overloaded",
    "fill",
    `Cannot warm chunk ${index} of "${version.objectKey}": ${reason}`,
  );
}

/** Rejects with the signal's reason when it aborts before `work` has ended. */
async function stoppable(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
