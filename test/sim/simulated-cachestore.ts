/**
 * The cachestore that all simulated replicas share: whole chunks by path. What is put is compared with its version before
 * and after the time that it takes. The store may fail, be slow, and lose or damage chunks, and the rest of Orca sees it
 * through the real guard, breaker and catalog of each replica.
 */
import type { ByteSink } from "../../src/base/byte-sink.ts";
import { sleep } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { KiB } from "../../src/base/units.ts";
import type { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import type { CachestoreDriver } from "../../src/store/cachestore/cachestore-driver.ts";
import type { ChunkKey, PutResult } from "../../src/store/chunk-store.ts";
import type { Chance } from "../support/chance.ts";
import type { StallableClock } from "../support/stallable-clock.ts";
import { deliver, type SimulatedOrigin } from "./simulated-origin.ts";
import { assertVersionBytes, versionBytes } from "./version-bytes.ts";

export interface SimulatedCachestoreOptions {
  readonly chance: Chance;
  readonly origin: SimulatedOrigin;
  /** Told of bytes that are not the version's. */
  readonly onFault: (thrown: unknown) => void;
}

/** How long a driver waits for the store. */
const timeoutMs = 1000;

export class SimulatedCachestore {
  readonly medium = new Map<string, "whole" | "damaged">();
  readonly stats = { reads: 0, puts: 0 };
  /** Share of operations that fail: half of them at once, the others after their timeout. */
  failing = 0;
  readonly #options: SimulatedCachestoreOptions;

  constructor(options: SimulatedCachestoreOptions) {
    this.#options = options;
  }

  /** The driver of one replica. */
  connect(clock: StallableClock): CachestoreDriver {
    return {
      kind: "s3",
      check: async () => {},
      read: (key, offset, lengthBytes, sink, signal) =>
        this.#read(clock, key, [offset, lengthBytes], sink, signal),
      put: (key, chunk) => this.#put(clock, key, chunk),
      delete: async (key) => {
        await this.#pass(clock);
        this.medium.delete(pathOf(key));
      },
      dropQueued: () => {},
      close: async () => {},
    };
  }

  async #read(
    clock: StallableClock,
    key: ChunkKey,
    [offset, lengthBytes]: readonly [number, number],
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss"> {
    this.stats.reads += 1;
    await this.#pass(clock, signal);
    const held = this.medium.get(pathOf(key));
    if (held === undefined) return "miss";
    const start = key.index * key.version.chunkSizeBytes + offset;
    // A damaged chunk is found so somewhere on the way.
    const sentBytes = held === "whole" ? lengthBytes : this.#options.chance.below(lengthBytes);
    for (let at = 0; at < sentBytes; ) {
      const takeBytes = Math.min(sentBytes - at, 256 * KiB);
      await this.#pass(clock, signal);
      at += deliver(versionBytes(this.#ordinalOf(key), start + at, takeBytes), sink, signal);
      signal.throwIfAborted();
    }
    if (held === "whole") return "hit";
    this.medium.delete(pathOf(key));
    return "miss";
  }

  async #put(clock: StallableClock, key: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    this.stats.puts += 1;
    this.#check(key, chunk);
    await this.#pass(clock);
    await this.#pass(clock);
    this.#check(key, chunk);
    if (this.medium.has(pathOf(key))) return "present";
    this.medium.set(pathOf(key), "whole");
    return "stored";
  }

  #check(key: ChunkKey, chunk: ChunkBytes): void {
    let offset = key.index * key.version.chunkSizeBytes;
    try {
      for (const { bytes } of chunk.segments) {
        assertVersionBytes(bytes, this.#ordinalOf(key), offset, "what is put into the cachestore");
        offset += bytes.length;
      }
    } catch (thrown) {
      this.#options.onFault(thrown);
    }
  }

  #ordinalOf({ version }: ChunkKey): number {
    return this.#options.origin.object(version.objectKey).version(version.etag).ordinal;
  }

  /** @throws OrcaError store_unavailable; the reason of the signal. */
  async #pass(clock: StallableClock, signal?: AbortSignal): Promise<void> {
    const { chance } = this.#options;
    const fails = chance.happens(this.failing);
    await sleep(clock, fails && chance.happens(0.5) ? timeoutMs : chance.between(1, 15), signal);
    if (fails) throw new OrcaError("store_unavailable", "cachestore", "Cannot ask the cachestore: it fails");
  }
}

function pathOf({ version, index }: ChunkKey): string {
  return version.chunkPath(index);
}
