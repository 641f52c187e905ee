/**
 * An S3 bucket that all replicas share, as a driver of the cachestore. Reads stream into the reader's own memory, checked
 * block by block. A put is conditional where the store honours that, and else looks first; both are safe, because the key
 * names the bytes: of two that write a chunk, either may win.
 *
 * A put reads the chunk where it lies. Its SHA-256 must be known before the first byte is sent, for it is in the headers
 * twice: as metadata, and as the payload's signature, so that the store itself refuses what the network has changed.
 */
import { assert } from "../../../base/assert.ts";
import type { ByteSink } from "../../../base/byte-sink.ts";
import type { Clock } from "../../../base/clock.ts";
import { LogPace } from "../../../base/log-pace.ts";
import type { Logger } from "../../../base/logger.ts";
import { OrcaError } from "../../../base/orca-error.ts";
import { Semaphore } from "../../../base/semaphore.ts";
import type { ChunkBytes } from "../../../chunk/chunk-bytes.ts";
import { SignedRequests, type SignedRequestsOptions } from "../../../s3-client/signed-requests.ts";
import type { ChunkKey } from "../../chunk-store.ts";
import type { CachestoreDriver } from "../cachestore-driver.ts";
import { ChunkBucket } from "./chunk-bucket.ts";
import type { ChunkDigest } from "./chunk-digest.ts";
import { ChunkDigester } from "./chunk-digester.ts";
import { PutQueue } from "./put-queue.ts";
import { checkCachestoreBucket, type PutPolicy } from "./s3-cachestore-check.ts";
import { S3CachestoreStats } from "./s3-cachestore-stats.ts";
import { storeFaults } from "./store-faults.ts";

export interface S3CachestoreOptions extends Omit<SignedRequestsOptions, "faults"> {
  readonly bucket: string;
  /** `cachestore.s3.commit`. `auto` finds out whether the store honours conditions. */
  readonly commit: PutPolicy | "auto";
  /** Reads in flight at once, bodies included, and how long one waits for its turn. */
  readonly readsInFlightMax: number;
  readonly queueTimeoutMs: number;
  readonly putsInFlightMax: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Reads that wait for their turn at once; each waits no longer than `queueTimeoutMs`. */
const readsQueuedMax = 10_000;

/** A put that loses looks at who has won, and tries once more where it finds nobody. */
const putAttemptsMax = 2;

export class S3Cachestore implements CachestoreDriver {
  readonly kind = "s3";
  readonly stats = new S3CachestoreStats();
  readonly #options: S3CachestoreOptions;
  readonly #wire: SignedRequests;
  readonly #bucket: ChunkBucket;
  readonly #reads: Semaphore;
  readonly #puts: PutQueue;
  readonly #digester: ChunkDigester;
  readonly #pace: LogPace;
  readonly #closing = new AbortController();
  /** What was found damaged and is being deleted, by key. No reader waits for it; a put of the same key does. */
  readonly #removals = new Map<string, Promise<void>>();
  #putPolicy: PutPolicy | undefined;

  constructor(options: S3CachestoreOptions) {
    const { clock, logger } = options;
    this.#options = options;
    this.#wire = new SignedRequests({ ...options, faults: storeFaults });
    this.#bucket = new ChunkBucket({
      wire: this.#wire,
      name: options.bucket,
      blockTimeoutMs: options.stallTimeoutMs,
      clock,
    });
    this.#reads = new Semaphore(
      "the cachestore",
      options.readsInFlightMax,
      clock,
      readsQueuedMax,
      "cachestore",
    );
    this.#puts = new PutQueue(options.putsInFlightMax);
    this.#digester = new ChunkDigester(logger);
    this.#pace = new LogPace(clock);
  }

  /** How puts are kept from overwriting each other; undefined before {@link check}. */
  get putPolicy(): PutPolicy | undefined {
    return this.#putPolicy;
  }

  get readsInFlight(): number {
    return this.#reads.inUse;
  }

  get putsInFlight(): number {
    return this.#puts.running;
  }

  get putsWaiting(): number {
    return this.#puts.waiting;
  }

  /** Chunk bytes in memory that puts still hold. */
  get pendingBytes(): number {
    return this.#puts.pendingBytes;
  }

  async check(): Promise<void> {
    const { commit, endpoint, clock, attemptTimeoutMs, logger, bucket } = this.#options;
    this.#putPolicy = await checkCachestoreBucket({
      wire: this.#wire,
      bucket: this.#bucket,
      commit,
      endpoint: endpoint ?? "AWS",
      timeoutMs: attemptTimeoutMs,
      clock,
      signal: this.#closing.signal,
    });
    logger.info({ bucket, commit: this.#putPolicy }, "The cachestore has passed its self-test");
  }

  async read(
    ref: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss"> {
    const permit = await this.#reads.acquire(this.#options.queueTimeoutMs);
    try {
      return await this.#read(
        ref,
        offset,
        lengthBytes,
        sink,
        AbortSignal.any([signal, this.#closing.signal]),
      );
    } finally {
      permit.release();
    }
  }

  put(ref: ChunkKey, chunk: ChunkBytes): Promise<"stored" | "present"> {
    assert(chunk.lengthBytes === ref.version.chunkLength(ref.index), "a chunk is put whole");
    return this.#puts.run(chunk.lengthBytes, async () => {
      const result = await this.#put(ref.version.chunkPath(ref.index), chunk);
      this.stats[result] += 1;
      return result;
    });
  }

  delete(ref: ChunkKey): Promise<void> {
    return this.#delete(ref.version.chunkPath(ref.index));
  }

  dropQueued(bytesWanted: number): void {
    this.#puts.dropQueued(bytesWanted);
  }

  async close(deadlineMs: number): Promise<void> {
    const stop = (): void => {
      this.#puts.clear();
      this.#closing.abort(
        new OrcaError("overloaded", "cachestore", "Cannot use the cachestore: Orca is stopping"),
      );
    };
    const timer = this.#options.clock.timer(deadlineMs, stop);
    await Promise.all([this.#puts.drain(), ...this.#removals.values()]);
    timer.cancel();
    stop();
    await this.#digester.close();
    this.#wire.close();
  }

  async #read(
    ref: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss"> {
    const key = ref.version.chunkPath(ref.index);
    const stretch = { offset, lengthBytes, chunkLengthBytes: ref.version.chunkLength(ref.index) };
    const outcome = await this.#bucket.read(key, stretch, sink, signal);
    switch (outcome) {
      case "checked":
      case "unchecked":
        this.stats.hits += 1;
        this.stats.bytesRead += lengthBytes;
        if (outcome === "unchecked") this.stats.unchecked += 1;
        return "hit";
      case "absent":
        this.stats.misses += 1;
        return "miss";
      case "missized":
        // The next put overwrites it. To delete it here could hit the right one, which another replica has just put.
        this.stats.misses += 1;
        this.stats.missized += 1;
        this.#warn(key, "A chunk in the cachestore has the wrong size; it is passed over");
        return "miss";
      case "damaged":
        // A put would find an object of the right size and leave it.
        this.stats.misses += 1;
        this.stats.damaged += 1;
        this.#warn(key, "A chunk in the cachestore is damaged; it is deleted");
        this.#remove(key);
        return "miss";
    }
  }

  async #delete(key: string): Promise<void> {
    await this.#bucket.delete(key, this.#closing.signal);
    this.stats.deleted += 1;
  }

  /** In the background. Where too many run already it is left to the next read of the chunk. */
  #remove(key: string): void {
    if (this.#removals.has(key) || this.#removals.size >= this.#options.readsInFlightMax) return;
    const removal = this.#delete(key)
      .catch((thrown: unknown) => {
        OrcaError.from(thrown, "store_unavailable", "cachestore", `Cannot delete "${key}"`);
        this.stats.removalsFailed += 1;
      })
      .finally(() => this.#removals.delete(key));
    this.#removals.set(key, removal);
  }

  async #put(key: string, chunk: ChunkBytes): Promise<"stored" | "present"> {
    assert(this.#putPolicy !== undefined, "a cachestore is checked before it is used");
    // It would take what is damaged for held.
    await this.#removals.get(key);
    if (this.#putPolicy === "stat" && (await this.#isHeld(key, chunk.lengthBytes))) return "present";
    const digest = await this.#digester.digest(chunk);
    for (let attempt = 1; this.#putPolicy === "conditional" && attempt <= putAttemptsMax; attempt += 1) {
      if (await this.#send(key, chunk, digest, "absent")) return "stored";
      this.stats.racesLost += 1;
      const sizeBytes = await this.#bucket.size(key, this.#closing.signal);
      if (sizeBytes === chunk.lengthBytes) return "present";
      if (sizeBytes === undefined) continue;
      this.stats.overwritten += 1;
      break;
    }
    await this.#send(key, chunk, digest, "none");
    return "stored";
  }

  /** What has the wrong size is not held, and is overwritten. */
  async #isHeld(key: string, lengthBytes: number): Promise<boolean> {
    return (await this.#bucket.size(key, this.#closing.signal)) === lengthBytes;
  }

  /** False where the condition did not hold. */
  async #send(
    key: string,
    chunk: ChunkBytes,
    digest: ChunkDigest,
    condition: "none" | "absent",
  ): Promise<boolean> {
    const blocks = chunk.segments.map((segment) => segment.bytes);
    const result = await this.#bucket.put(key, blocks, digest, condition, this.#closing.signal);
    switch (result) {
      case "stored":
        this.stats.bytesWritten += chunk.lengthBytes;
        return true;
      case "taken":
        return false;
      case "full":
        // Nothing against the store: it can still be read from.
        this.stats.full += 1;
        this.#warn(key, "The cachestore is full; chunks are not kept");
        throw new OrcaError("overloaded", "cachestore", `Cannot write "${key}": the store is full`);
      case "unsupported":
        throw new OrcaError(
          "store_unavailable",
          "cachestore",
          `Cannot write "${key}": the store takes no conditions any more`,
        );
    }
  }

  #warn(key: string, message: string): void {
    if (this.#pace.isDue(message)) this.#options.logger.warn({ chunk: key }, message);
  }
}
