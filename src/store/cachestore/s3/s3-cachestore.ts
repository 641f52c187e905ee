/**
 * The cachestore as an S3 bucket. Reads stream into the reader's own memory and are checked block by block. A put is
 * conditional if the store honours conditions; otherwise it looks first. Both are safe, because the key determines the
 * bytes: of two replicas that store a chunk, either may win.
 *
 * A put sends the chunk from its own memory. The SHA-256 must be known before the first byte is sent, because the
 * headers contain it twice: as metadata, and as the hash of the signed payload. With the latter, the store rejects
 * bytes that the network has changed.
 */

import { assert } from "../../../base/assert.ts";
import type { ByteSink } from "../../../base/byte-sink.ts";
import type { Clock } from "../../../base/clock.ts";
import { LogPace } from "../../../base/log-pace.ts";
import type { Logger } from "../../../base/logger.ts";
import { OrcaError } from "../../../base/orca-error.ts";
import { pages } from "../../../base/pages.ts";
import { Semaphore } from "../../../base/semaphore.ts";
import type { ChunkBytes } from "../../../chunk/chunk-bytes.ts";
import { SignedRequests, type SignedRequestsOptions } from "../../../s3-client/signed-requests.ts";
import type { ChunkKey } from "../../chunk-store.ts";
import type { CachestoreDriver } from "../cachestore-driver.ts";
import { ChunkBucket, type ChunkSizes, storeFaults } from "./chunk-bucket.ts";
import type { ChunkDigest } from "./chunk-digest.ts";
import { ChunkDigester } from "./chunk-digester.ts";
import { PutQueue } from "./put-queue.ts";
import { checkCachestoreBucket, type PutPolicy } from "./s3-cachestore-check.ts";

export interface S3CachestoreOptions extends Omit<SignedRequestsOptions, "faults"> {
  readonly bucket: string;
  /** `cachestore.s3.commit`. `auto`: the check finds out whether the store honours conditions. */
  readonly commit: PutPolicy | "auto";
  /** Reads in flight at once, bodies included, and how long a read waits for its turn. */
  readonly readsInFlightMax: number;
  readonly queueTimeoutMs: number;
  readonly putsInFlightMax: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Reads that wait for their turn at once; each waits no longer than `queueTimeoutMs`. */
const readsQueuedMax = 10_000;

/** A conditional put that loses looks at the other object, and tries once more if there is none. */
const putAttemptsMax = 2;

export class S3CachestoreStats {
  hits = 0;
  /** Reads of chunks that are absent, missized or damaged. */
  misses = 0;
  bytesRead = 0;
  /** Of the hits, those whose object has no checksums: written by another program, or larger than 256 MiB. */
  unchecked = 0;
  /** Objects of the wrong size that reads found. */
  missized = 0;
  /** Objects with a wrong checksum that reads found; deleted. */
  damaged = 0;
  stored = 0;
  present = 0;
  bytesWritten = 0;
  /** Conditional puts that found the key taken. */
  racesLost = 0;
  /** Objects of the wrong size that puts found and replaced. */
  overwritten = 0;
  /** Puts that failed because of a quota or a full medium. */
  full = 0;
  deleted = 0;
  /** Damaged objects that could not be deleted. The next read of such an object tries again. */
  removalsFailed = 0;
}

export class S3Cachestore implements CachestoreDriver {
  readonly kind = "s3";
  readonly stats = new S3CachestoreStats();
  readonly #options: S3CachestoreOptions;
  readonly #requests: SignedRequests;
  readonly #bucket: ChunkBucket;
  readonly #reads: Semaphore;
  readonly #puts: PutQueue;
  readonly #digester: ChunkDigester;
  readonly #pace: LogPace;
  readonly #closing = new AbortController();
  /** Deletions of damaged objects, by chunk path. No reader waits for them; a put of the same chunk does. */
  readonly #removals = new Map<string, Promise<void>>();
  #putPolicy: PutPolicy | undefined;

  constructor(options: S3CachestoreOptions) {
    const { clock, logger } = options;
    this.#options = options;
    this.#requests = new SignedRequests({ ...options, faults: storeFaults });
    this.#bucket = new ChunkBucket({
      requests: this.#requests,
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
    this.#digester = new ChunkDigester(clock, logger);
    this.#pace = new LogPace(clock);
  }

  /** How puts avoid overwriting each other; undefined before {@link check}. */
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

  /** Chunk bytes in memory that puts hold. */
  get pendingBytes(): number {
    return this.#puts.pendingBytes;
  }

  async check(): Promise<void> {
    const { commit, endpoint, clock, attemptTimeoutMs, logger, bucket } = this.#options;
    this.#putPolicy = await checkCachestoreBucket({
      requests: this.#requests,
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
    key: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss"> {
    const permit = await this.#reads.acquire(this.#options.queueTimeoutMs);
    try {
      return await this.#read(
        key,
        offset,
        lengthBytes,
        sink,
        AbortSignal.any([signal, this.#closing.signal]),
      );
    } finally {
      permit.release();
    }
  }

  put(key: ChunkKey, chunk: ChunkBytes): Promise<"stored" | "present"> {
    assert(chunk.lengthBytes === key.version.chunkLength(key.index), "a chunk is put whole");
    return this.#puts.run(chunk.lengthBytes, async () => {
      const result = await this.#put(key.version.chunkPath(key.index), key.version.sizeBytes, chunk);
      this.stats[result] += 1;
      return result;
    });
  }

  delete(key: ChunkKey): Promise<void> {
    return this.#delete(key.version.chunkPath(key.index));
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
    this.#requests.close();
  }

  async #read(
    key: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss"> {
    const path = key.version.chunkPath(key.index);
    const range = { offset, lengthBytes, chunkLengthBytes: key.version.chunkLength(key.index) };
    const outcome = await this.#bucket.read(path, range, key.version.sizeBytes, sink, signal);
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
        // The next put overwrites it. A deletion could hit the right object, which another replica has just put.
        this.stats.misses += 1;
        this.stats.missized += 1;
        this.#warn(path, "A chunk in the cachestore has the wrong size; Orca ignores it");
        return "miss";
      case "damaged":
        // Without the deletion, a put would find an object of the right size and keep it.
        this.stats.misses += 1;
        this.stats.damaged += 1;
        this.#warn(path, "A chunk in the cachestore is damaged; Orca deletes it");
        this.#remove(path);
        return "miss";
    }
  }

  async #delete(path: string): Promise<void> {
    await this.#bucket.delete(path, this.#closing.signal);
    this.stats.deleted += 1;
  }

  /** Deletes in the background. If too many deletions run, the next read of the chunk tries again. */
  #remove(path: string): void {
    if (this.#removals.has(path) || this.#removals.size >= this.#options.readsInFlightMax) return;
    const removal = this.#delete(path)
      .catch((thrown: unknown) => {
        OrcaError.from(thrown, "store_unavailable", "cachestore", `Cannot delete "${path}"`);
        this.stats.removalsFailed += 1;
      })
      .finally(() => this.#removals.delete(path));
    this.#removals.set(path, removal);
  }

  async #put(path: string, objectSizeBytes: number, chunk: ChunkBytes): Promise<"stored" | "present"> {
    assert(this.#putPolicy !== undefined, "a cachestore is checked before it is used");
    // Otherwise the put would find the damaged object and take it for the chunk.
    await this.#removals.get(path);
    const sizes = { chunkLengthBytes: chunk.lengthBytes, objectSizeBytes };
    if (this.#putPolicy === "stat" && (await this.#look(path, sizes)) === "held") return "present";
    const digest = await this.#digester.digest(chunk);
    for (let attempt = 1; this.#putPolicy === "conditional" && attempt <= putAttemptsMax; attempt += 1) {
      if (await this.#send(path, chunk, objectSizeBytes, digest, "absent")) return "stored";
      this.stats.racesLost += 1;
      const found = await this.#look(path, sizes);
      if (found === "held") return "present";
      if (found === "absent") continue;
      this.stats.overwritten += 1;
      break;
    }
    await this.#send(path, chunk, objectSizeBytes, digest, "none");
    return "stored";
  }

  /** An object of the wrong size does not count; it is overwritten. */
  #look(path: string, sizes: ChunkSizes): Promise<"held" | "missized" | "absent"> {
    return this.#bucket.look(path, sizes, this.#closing.signal);
  }

  /** False if the condition did not hold. */
  async #send(
    path: string,
    chunk: ChunkBytes,
    objectSizeBytes: number,
    digest: ChunkDigest,
    condition: "none" | "absent",
  ): Promise<boolean> {
    const blocks = chunk.segments.map((segment) => segment.bytes);
    const result = await this.#bucket.put(
      path,
      blocks,
      digest,
      objectSizeBytes,
      condition,
      this.#closing.signal,
    );
    switch (result) {
      case "stored":
        this.stats.bytesWritten += chunk.lengthBytes;
        return true;
      case "taken":
        return false;
      case "full":
        // This does not count against the store: it can still be read from.
        this.stats.full += 1;
        this.#warn(path, "The cachestore is full; new chunks are not stored");
        throw new OrcaError("overloaded", "cachestore", `Cannot write "${path}": the store is full`);
      case "unsupported":
        throw new OrcaError(
          "store_unavailable",
          "cachestore",
          `Cannot write "${path}": the store no longer honours conditions`,
        );
    }
  }

  #warn(path: string, message: string): void {
    if (this.#pace.isDue(message)) this.#options.logger.warn({ chunk: path, see: pages.cachestore }, message);
  }
}
