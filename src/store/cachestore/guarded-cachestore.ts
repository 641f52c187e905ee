/**
 * The cachestore as the rest of Orca sees it: a tier that never fails. Around a driver stand a breaker, so that a store in
 * trouble is left alone instead of waited for, and the catalog, so that what the store is believed to hold is read
 * without asking. Every error becomes a miss or a refused commit here, and is counted.
 *
 * Invariants:
 * 1. Every operation that the breaker admits is told to it once: succeeded, failed or withdrawn.
 * 2. A hint is forgotten by whoever finds it wrong. An error says nothing about what the store holds, so hints outlive
 *    an outage.
 */
import type { ByteSink } from "../../base/byte-sink.ts";
import type { Clock } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { ChunkBytes } from "../../chunk/chunk-bytes.ts";
import { blockSizeBytes } from "../chunk-file/chunk-file.ts";
import type { ChunkKey, ChunkStore, Presence, PutResult } from "../chunk-store.ts";
import type { Breaker, BreakerState } from "./breaker.ts";
import type { CachestoreDriver } from "./cachestore-driver.ts";
import type { Catalog } from "./catalog.ts";

export interface GuardedCachestoreOptions {
  readonly driver: CachestoreDriver;
  readonly breaker: Breaker;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** So many denials in a row are no accident of one request. */
const denialsToTell = 3;

const never = new AbortController().signal;

export class GuardedCachestore implements ChunkStore {
  readonly name = "cachestore";
  readonly stats = {
    /** Reads by how they ended; of the misses, those that were not asked for because the breaker was open. */
    hits: 0,
    misses: 0,
    missesUnasked: 0,
    /** By hits alone; what a read brought that broke off is not counted. */
    bytesRead: 0,
    /** Hints of the catalog that proved wrong. */
    hintsWrong: 0,
    stored: 0,
    present: 0,
    /** Commits not kept, whatever the reason; of these, those that the open breaker turned away. */
    refused: 0,
    commitsDropped: 0,
    /** Operations that failed, by what failed. */
    readsFailed: 0,
    commitsFailed: 0,
    deletesFailed: 0,
  };
  readonly #driver: CachestoreDriver;
  readonly #breaker: Breaker;
  readonly #catalog: Catalog;
  readonly #logger: Logger;
  readonly #pace: LogPace;
  #denialTold = false;
  #closing: Promise<void> | undefined;

  constructor(options: GuardedCachestoreOptions) {
    this.#driver = options.driver;
    this.#breaker = options.breaker;
    this.#catalog = options.catalog;
    this.#logger = options.logger;
    this.#pace = new LogPace(options.clock);
    options.breaker.onChange((state) => this.#tellChange(state));
  }

  get kind(): CachestoreDriver["kind"] {
    return this.#driver.kind;
  }

  get breakerState(): BreakerState["kind"] {
    return this.#breaker.state.kind;
  }

  /** Whether the store refuses Orca's credentials again and again: something for /readyz, and for a person. */
  get denied(): boolean {
    return this.#breaker.deniedInARow >= denialsToTell;
  }

  /** @throws OrcaError `config_invalid`, with the reason why this store cannot be used. */
  check(): Promise<void> {
    return this.#driver.check();
  }

  /** `absent` while the breaker is open: nothing can be had from there, whatever it holds. */
  presence(ref: ChunkKey): Presence {
    return this.#breaker.admits ? this.#catalog.believes(ref) : "absent";
  }

  /** As {@link presence}, and no use of what the catalog knows: for looks that nobody reads behind. */
  peek(ref: ChunkKey): Presence {
    return this.#breaker.admits ? this.#catalog.peek(ref) : "absent";
  }

  async readBlock(ref: ChunkKey, blockIndex: number, target: Buffer): Promise<boolean> {
    let filledBytes = 0;
    const sink: ByteSink = {
      space: () => target.subarray(filledBytes),
      advance: (lengthBytes) => {
        filledBytes += lengthBytes;
      },
    };
    return (await this.read(ref, blockIndex * blockSizeBytes, target.length, sink, never)) === "hit";
  }

  /**
   * Brings a stretch of a chunk into `sink`, in one question to the store. After a miss the sink holds a true prefix of the
   * stretch and is not touched any more; somebody else may go on from there. Never rejects, and a read that is
   * aborted is a miss.
   */
  async read(
    ref: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss"> {
    const admission = this.#breaker.admit();
    if (admission === undefined) {
      this.stats.missesUnasked += 1;
      this.stats.misses += 1;
      return "miss";
    }
    let outcome: "hit" | "miss" = "miss";
    try {
      outcome = await this.#driver.read(ref, offset, lengthBytes, sink, signal);
      this.#succeeded();
      if (outcome === "hit") this.#catalog.learn(ref);
      else if (this.#catalog.forget(ref)) this.stats.hintsWrong += 1;
    } catch (thrown) {
      this.stats.readsFailed += 1;
      this.#failed(thrown, "read from the cachestore", signal, admission);
    }
    if (outcome === "miss") {
      this.stats.misses += 1;
      return "miss";
    }
    this.stats.hits += 1;
    this.stats.bytesRead += lengthBytes;
    return "hit";
  }

  async put(ref: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    const result = await this.#put(ref, chunk);
    this.stats[result] += 1;
    return result;
  }

  async delete(ref: ChunkKey): Promise<void> {
    this.#catalog.forget(ref);
    const admission = this.#breaker.admit();
    if (admission === undefined) return;
    try {
      await this.#driver.delete(ref);
      this.#succeeded();
    } catch (thrown) {
      this.stats.deletesFailed += 1;
      this.#failed(thrown, "delete from the cachestore", never, admission);
    }
  }

  /** A last resort for the memory budget: lets go of commits that have not started, the newest first. */
  dropQueued(bytesWanted: number): void {
    this.#driver.dropQueued(bytesWanted);
  }

  /** Closes the driver. Only the deadline of the first call counts; every call resolves when the driver is closed. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#driver.close(deadlineMs);
    return this.#closing;
  }

  async #put(ref: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    const admission = this.#breaker.admit();
    if (admission === undefined) {
      this.stats.commitsDropped += 1;
      return "refused";
    }
    try {
      const result = await this.#driver.put(ref, chunk);
      this.#succeeded();
      this.#catalog.learn(ref);
      return result;
    } catch (thrown) {
      this.stats.commitsFailed += 1;
      this.#failed(thrown, "store in the cachestore", never, admission);
      return "refused";
    }
  }

  #succeeded(): void {
    this.#breaker.succeeded();
    this.#denialTold = false;
  }

  /** `action` completes "Cannot …". */
  #failed(thrown: unknown, action: string, signal: AbortSignal, admission: number): void {
    const error = OrcaError.from(thrown, "store_unavailable", "cachestore", `Cannot ${action}`);
    if (!signal.aborted && this.#pace.isDue(error.code)) {
      this.#logger.warn(
        { err: error },
        "The cachestore did not do what it was asked; Orca goes on without it",
      );
    }
    if (signal.aborted || error.code === "overloaded") {
      this.#breaker.withdrawn(admission);
      return;
    }
    this.#breaker.failed(error);
    if (!this.denied || this.#denialTold) return;
    this.#denialTold = true;
    this.#logger.error({ err: error }, "The cachestore refuses Orca's credentials or rights again and again");
  }

  #tellChange(state: BreakerState): void {
    switch (state.kind) {
      case "open":
        // Commits that wait would else be sent to it one after the other, with their chunks in memory all the while.
        this.#driver.dropQueued(Number.POSITIVE_INFINITY);
        this.#logger.error(
          { err: state.cause },
          "The cachestore fails and is left alone for a while; reads go to peers and the origin",
        );
        return;
      case "half-open":
        this.#logger.info({}, "The cachestore is tried again");
        return;
      case "closed":
        this.#logger.info({}, "The cachestore answers again");
        return;
    }
  }
}
