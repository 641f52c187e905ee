/**
 * The cachestore as the rest of Orca sees it: a tier that never fails. It puts a breaker around a driver, so that Orca
 * stops using a store in trouble instead of waiting for it. It keeps the catalog, so that no request is needed to find
 * out whether the store holds a chunk. An error becomes a miss or a commit that stores nothing, and is counted.
 *
 * Invariants:
 * 1. Every operation that the breaker admits is reported to it once: succeeded, failed or withdrawn.
 * 2. A read that finds a hint wrong removes it. An error says nothing about which chunks the store holds, so hints
 *    outlive an outage.
 */

import type { ByteSink } from "../../base/byte-sink.ts";
import type { Clock } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { pages } from "../../base/pages.ts";
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

/** A single denial may be an accident of one request; this many in a row are not. */
const denialsToReport = 3;

/** Lines a minute for each state of the breaker. */
const stateLinesMax = 4;

const never = new AbortController().signal;

export class GuardedCachestore implements ChunkStore {
  readonly name = "cachestore";
  readonly stats = {
    /** Reads by result. */
    hits: 0,
    misses: 0,
    /** Of the misses, those that the open breaker turned away. */
    missesUnasked: 0,
    /** Bytes of hits. The bytes of a read that broke off do not count. */
    bytesRead: 0,
    /** Hints of the catalog that were wrong. */
    hintsWrong: 0,
    stored: 0,
    present: 0,
    /** Commits that stored nothing, whatever the reason. */
    notStored: 0,
    /** Of these, those that the open breaker turned away. */
    commitsDropped: 0,
    /** Failed operations by kind. */
    readsFailed: 0,
    commitsFailed: 0,
    deletesFailed: 0,
  };
  readonly #driver: CachestoreDriver;
  readonly #breaker: Breaker;
  readonly #catalog: Catalog;
  readonly #logger: Logger;
  readonly #pace: LogPace;
  readonly #statePace: LogPace;
  #isDenialReported = false;
  #closing: Promise<void> | undefined;

  constructor(options: GuardedCachestoreOptions) {
    this.#driver = options.driver;
    this.#breaker = options.breaker;
    this.#catalog = options.catalog;
    this.#logger = options.logger;
    this.#pace = new LogPace(options.clock);
    this.#statePace = new LogPace(options.clock, stateLinesMax);
    options.breaker.onChange((state) => this.#onBreakerChange(state));
  }

  get kind(): CachestoreDriver["kind"] {
    return this.#driver.kind;
  }

  get breakerState(): BreakerState["kind"] {
    return this.#breaker.state.kind;
  }

  /** Whether the store denies Orca access again and again. /readyz reports it, because only a person can correct it. */
  get denied(): boolean {
    return this.#breaker.deniedInARow >= denialsToReport;
  }

  /** @throws OrcaError `config_invalid`, with the reason why Orca cannot use this store. */
  check(): Promise<void> {
    return this.#driver.check();
  }

  /** `absent` while the breaker is open: no chunk can be read then, whatever the store holds. */
  presence(key: ChunkKey): Presence {
    return this.#breaker.admits ? this.#catalog.believes(key) : "absent";
  }

  /** Like {@link presence}, but does not count as a use in the catalog: for a look that no read follows. */
  peek(key: ChunkKey): Presence {
    return this.#breaker.admits ? this.#catalog.peek(key) : "absent";
  }

  async readBlock(key: ChunkKey, blockIndex: number, target: Buffer): Promise<boolean> {
    let filledBytes = 0;
    const sink: ByteSink = {
      space: () => target.subarray(filledBytes),
      advance: (lengthBytes) => {
        filledBytes += lengthBytes;
      },
    };
    return (await this.read(key, blockIndex * blockSizeBytes, target.length, sink, never)) === "hit";
  }

  /**
   * Reads a range of a chunk into `sink`, with one request to the store. After a miss the sink holds a true prefix of
   * the range and is no longer used; another source may continue from there. Never rejects. An aborted read is a miss.
   */
  async read(
    key: ChunkKey,
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
      outcome = await this.#driver.read(key, offset, lengthBytes, sink, signal);
      this.#succeeded();
      if (outcome === "hit") this.#catalog.learn(key);
      else if (this.#catalog.forget(key)) this.stats.hintsWrong += 1;
    } catch (thrown) {
      this.stats.readsFailed += 1;
      this.#failed(thrown, "read a chunk from the cachestore", signal, admission);
    }
    if (outcome === "miss") {
      this.stats.misses += 1;
      return "miss";
    }
    this.stats.hits += 1;
    this.stats.bytesRead += lengthBytes;
    return "hit";
  }

  async put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    const result = await this.#put(key, chunk);
    this.stats[result === "not_stored" ? "notStored" : result] += 1;
    return result;
  }

  async delete(key: ChunkKey): Promise<void> {
    await this.tryDelete(key);
  }

  /** Resolves with whether the store has answered, so that it does not hold the chunk any more. */
  async tryDelete(key: ChunkKey): Promise<boolean> {
    this.#catalog.forget(key);
    const admission = this.#breaker.admit();
    if (admission === undefined) return false;
    try {
      await this.#driver.delete(key);
      this.#succeeded();
      return true;
    } catch (thrown) {
      this.stats.deletesFailed += 1;
      this.#failed(thrown, "delete a chunk from the cachestore", never, admission);
      return false;
    }
  }

  /** A last resort of the memory budget: drops commits that have not started, the newest first. */
  dropQueued(bytesWanted: number): void {
    this.#driver.dropQueued(bytesWanted);
  }

  /** Closes the driver. Only the deadline of the first call counts; every call resolves when the driver is closed. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#driver.close(deadlineMs);
    return this.#closing;
  }

  async #put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult> {
    const admission = this.#breaker.admit();
    if (admission === undefined) {
      this.stats.commitsDropped += 1;
      return "not_stored";
    }
    try {
      const result = await this.#driver.put(key, chunk);
      this.#succeeded();
      if (result !== "not_stored") this.#catalog.learn(key);
      return result;
    } catch (thrown) {
      this.stats.commitsFailed += 1;
      this.#failed(thrown, "store a chunk in the cachestore", never, admission);
      return "not_stored";
    }
  }

  #succeeded(): void {
    this.#breaker.succeeded();
    this.#isDenialReported = false;
  }

  /** `action` completes "Cannot …". */
  #failed(thrown: unknown, action: string, signal: AbortSignal, admission: number): void {
    const error = OrcaError.from(thrown, "store_unavailable", "cachestore", `Cannot ${action}`);
    if (!signal.aborted && this.#pace.isDue(error.code)) {
      this.#logger.warn(
        { err: error, see: pages.cachestore },
        "An operation of the cachestore failed; Orca continues without it",
      );
    }
    if (signal.aborted || error.code === "overloaded") {
      this.#breaker.withdrawn(admission);
      return;
    }
    this.#breaker.failed(error);
    if (!this.denied || this.#isDenialReported) return;
    this.#isDenialReported = true;
    const suppressed = this.#statePace.take("denied");
    const message = "The cachestore denies Orca's credentials or rights again and again";
    if (suppressed) this.#logger.error({ err: error, see: pages.cachestore, ...suppressed }, message);
  }

  #onBreakerChange(state: BreakerState): void {
    // Otherwise the waiting commits would be sent one after the other, and hold their chunks in memory meanwhile.
    if (state.kind === "open") this.#driver.dropQueued(Number.POSITIVE_INFINITY);
    // A store that fails and answers in turn changes the breaker as often as `cachestore.breaker_open` allows.
    const suppressed = this.#statePace.take(state.kind);
    if (!suppressed) return;
    switch (state.kind) {
      case "open":
        this.#logger.error(
          { err: state.cause, see: pages.cachestore, ...suppressed },
          "The cachestore fails, so Orca stops using it for a while; reads go to peers and the origin",
        );
        return;
      case "half-open":
        this.#logger.info(suppressed, "The cachestore is tried again");
        return;
      case "closed":
        this.#logger.info(suppressed, "The cachestore answers again");
        return;
    }
  }
}
