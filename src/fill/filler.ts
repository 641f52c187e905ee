/**
 * The coordinator's side of a fill: fetches each chunk from the origin once, however many readers ask for it. A fill:
 *
 *   1. `fill` starts a flight for the chunk and makes its caller the leader. Others find the flight and join it.
 *   2. The flight reserves memory for its whole chunk. If it waits too long for memory, it fails as overloaded.
 *   3. It looks in the tiers once more, because another flight may have overtaken the reader that saw a miss: (a) the
 *      reader looks, and misses; (b) a flight for the same chunk ends and leaves; (c) the reader starts a flight for
 *      bytes that are here already. Without the second look, (c) costs an origin GET.
 *   4. It reads from the cachestore. Where disks are replicated, it asks the peers that may hold a copy instead, since
 *      this replica may have become the coordinator only now.
 *   5. It reads from the origin, from the byte asked for, and passes bytes to every reader as they arrive.
 *   6. The whole chunk goes into memory, to disk and into the cachestore. Only then does the flight leave, so a fetched
 *      chunk can be found at every moment.
 */

import type { ByteSink } from "../base/byte-sink.ts";
import type { MemoryBudget, Reservation } from "../base/memory-budget.ts";
import { segmentSizeBytes } from "../base/memory-budget.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { ChunkBytes } from "../chunk/chunk-bytes.ts";
import { isBelow, type ObjectPrefix } from "../chunk/object-prefix.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { RangeRequest } from "../origin/origin.ts";
import type { ChunkKey, ChunkStore, Presence, PutResult } from "../store/chunk-store.ts";
import { FetchTrace } from "../trace/fetch-trace.ts";
import type { Asker, Trace } from "../trace/trace.ts";
import type { ChunkFlights, FillRequest } from "./chunk-flights.ts";
import { Flight, type FlightPart, type FlightSource, flightStart } from "./flight.ts";

/** An origin, as a filler uses it. */
export interface RangeSource {
  read(request: RangeRequest, sink: ByteSink, signal: AbortSignal): Promise<void>;
}

/** Copies of chunks outside this replica: a fill asks here before it asks the origin. */
export interface CopySource {
  /**
   * Fetches the bytes that a part still lacks. Undefined: no copy has the rest, and the sink holds a true prefix of the
   * part, perhaps nothing. Rejects only with the signal's reason.
   */
  fetch(
    key: ChunkKey,
    part: Pick<FlightPart, "to" | "filled">,
    sink: ByteSink,
    signal: AbortSignal,
    trace?: FetchTrace,
  ): Promise<FetchedPart | undefined>;
}

export interface FetchedPart {
  /** Of the whole chunk; undefined where the sender does not know it. */
  readonly sha256: Uint8Array | undefined;
}

/** The cachestore, as fills use it. It never fails: an operation that it cannot do is a miss or stores nothing. */
export interface Cachestore {
  /** `absent` also while the store is left alone after failures. */
  presence(key: ChunkKey): Presence;
  /** A miss leaves a true prefix of the range in `sink`. Never rejects. */
  read(
    key: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss">;
  put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult>;
}

/** The memory tier, as the filler and the readers use it. */
export interface MemoryChunks {
  readonly bytes: number;
  get(memoryKey: string): ChunkBytes | undefined;
  peek(memoryKey: string): ChunkBytes | undefined;
  /** `ahead`: the chunk was fetched before any reader asked for it. */
  put(memoryKey: string, chunk: ChunkBytes, ahead: boolean, version: ObjectVersion): void;
  delete(memoryKey: string): void;
}

export interface FillerOptions {
  readonly origins: ReadonlyMap<string, RangeSource>;
  readonly memory: MemoryChunks;
  readonly disk: ChunkStore | undefined;
  readonly budget: MemoryBudget;
  /** How long a fill waits for memory before its readers get 503 SlowDown. */
  readonly queueTimeoutMs: number;
  /** Left out where there is no cachestore. */
  readonly cachestore?: Cachestore | undefined;
  /** Called for each chunk that a fill has stored in the cachestore. */
  readonly onStoredInCachestore?: ((key: ChunkKey) => void) | undefined;
  /** Left out where disks are not replicated. */
  readonly copySource?: CopySource | undefined;
  /** SHA-256 in hex of the chunks that were committed to disk; with `copySource`. */
  readonly digests?: { sha256(key: ChunkKey): string | undefined } | undefined;
  /** Called for each chunk that a fill has stored on this replica's disk. */
  readonly onStoredOnDisk?: ((key: ChunkKey) => void) | undefined;
  readonly trace?: Trace | undefined;
}

/** How a flight begins. */
interface Launch {
  /** Memory for its chunk, where it is reserved already and not given to the flight yet. */
  readonly reservation?: Reservation;
  /** No reader has asked for the chunk yet. */
  readonly ahead?: boolean;
  /** @see FillRequest.skipDisk */
  readonly skipDisk?: boolean;
}

export class Filler implements ChunkFlights {
  readonly stats = {
    flights: 0,
    joins: 0,
    moot: 0,
    failed: 0,
    readAheads: 0,
    promotions: 0,
    adoptions: 0,
    commits: 0,
    commitsNotStored: 0,
    /** Chunks that did not match the SHA-256 that their sender sent, and were deleted again. */
    commitsMismatched: 0,
  };
  readonly #options: FillerOptions;
  /** The first source of a flight's bytes. */
  readonly #source: FlightSource;
  readonly #flights = new Map<string, Flight>();
  /** Each flight until it has left, also after another one for its chunk has begun. */
  readonly #running = new Map<Flight, Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(options: FillerOptions) {
    this.#options = options;
    this.#source = options.cachestore ? "cachestore" : options.copySource ? "peer" : "origin";
  }

  get flightsInProgress(): number {
    return this.#flights.size;
  }

  /** The flight that is fetching this chunk, if there is one. */
  find(key: ChunkKey): Flight | undefined {
    return this.#flights.get(key.version.memoryKey(key.index));
  }

  /** @see ChunkFlights.fill There is no flight for the chunk yet. */
  fill(key: ChunkKey, { offset, skipDisk, asker }: FillRequest): Flight {
    this.stats.flights += 1;
    const begin = flightStart(offset);
    // The cachestore reads a block whole, for its checksum. So the bytes before `begin` in its block cost nothing.
    const presence = this.#options.cachestore?.presence(key);
    const isInCachestore = presence === "held";
    const trace = this.#traceOf(key, asker);
    if (presence !== undefined && trace?.isOn) trace.step("catalog", { presence });
    const start = isInCachestore ? begin - (begin % segmentSizeBytes) : begin;
    return this.#launch(new Flight(key, this.#source, start, trace), { skipDisk });
  }

  /**
   * Continues a flight whose bytes have come from a peer until now, from the byte where they stopped. False where this
   * replica already fills the chunk: readers of the given flight then look again.
   */
  adopt(flight: Flight, launch: Pick<Launch, "ahead" | "skipDisk">): boolean {
    if (this.find(flight.key)) return false;
    this.stats.flights += 1;
    this.stats.adoptions += 1;
    flight.noteUnverifiedBytes();
    const { cachestore, copySource } = this.#options;
    if (!cachestore && !copySource) flight.turnToOrigin();
    this.#launch(flight, launch);
    return true;
  }

  /** @see ChunkFlights.promote */
  promote(key: ChunkKey, offset: number, asker?: Asker): Flight | undefined {
    const reservation = this.#options.budget.tryReserve(key.version.chunkLength(key.index));
    if (!reservation) return undefined;
    this.stats.promotions += 1;
    const begin = offset - (offset % segmentSizeBytes);
    return this.#launch(new Flight(key, "disk", begin, this.#traceOf(key, asker)), { reservation });
  }

  /** @see ChunkFlights.readAhead */
  readAhead(key: ChunkKey, asker?: Asker): void {
    const reservation = this.reserveAhead(key);
    if (!reservation) return;
    this.stats.flights += 1;
    this.stats.readAheads += 1;
    this.#launch(new Flight(key, this.#source, 0, this.#traceOf(key, asker)), { reservation, ahead: true });
  }

  /**
   * Memory for a chunk that no reader waits for and that no tier here holds. It takes only memory that is free or that
   * cached chunks can release, and leaves half of the budget to the readers that wait.
   */
  reserveAhead(key: ChunkKey): Reservation | undefined {
    const { memory, disk, budget } = this.#options;
    const memoryKey = key.version.memoryKey(key.index);
    if (this.#flights.has(memoryKey) || memory.peek(memoryKey)) return;
    if (disk && disk.presence(key) !== "absent") return;
    const lengthBytes = key.version.chunkLength(key.index);
    if (budget.usedBytes - memory.bytes + lengthBytes > budget.maxBytes / 2) return;
    return budget.tryReserve(lengthBytes);
  }

  /** Ends the flights that still wait for bytes. Resolves when the whole chunks are committed. */
  async stop(): Promise<void> {
    this.#stopping.abort(new OrcaError("shutting_down", "fill", "Cannot fill a chunk: Orca is stopping"));
    await Promise.all(this.#running.values());
  }

  /**
   * For a clear of the cache: no tier stores a chunk below `prefix` that is arriving now. A chunk that is whole may be in
   * the middle of its commits; the promise resolves when those have ended, so that its copies can be deleted.
   */
  async forget(prefix: ObjectPrefix | undefined): Promise<void> {
    const committing: Promise<void>[] = [];
    for (const [flight, run] of this.#running) {
      if (!isBelow(prefix, flight.key.version)) continue;
      if (flight.state.kind === "whole") committing.push(run);
      flight.forget();
    }
    await Promise.all(committing);
  }

  #traceOf(key: ChunkKey, asker: Asker | undefined): FetchTrace | undefined {
    return FetchTrace.of(this.#options.trace, asker, key);
  }

  #launch(flight: Flight, launch: Launch): Flight {
    const memoryKey = flight.key.version.memoryKey(flight.key.index);
    this.#flights.set(memoryKey, flight);
    const run = this.#run(flight, memoryKey, launch).finally(() => this.#running.delete(flight));
    this.#running.set(flight, run);
    return flight;
  }

  async #run(flight: Flight, memoryKey: string, launch: Launch): Promise<void> {
    const { budget, memory, queueTimeoutMs } = this.#options;
    const { reservation, ahead = false, skipDisk = false } = launch;
    try {
      if (!flight.hasMemory) {
        flight.useMemory(reservation ?? (await budget.reserve(flight.reserveBytes, queueTimeoutMs)));
      }
      if (memory.peek(memoryKey) || (!skipDisk && this.#isOnDisk(flight))) {
        this.stats.moot += 1;
        return;
      }
      if (flight.source === "disk") {
        flight.trace?.waitFor("disk");
        if (!(await this.#readFromDisk(flight))) return;
      }
      flight.trace?.asked();
      await flight.fetch(
        (part, sink, signal) => this.#readPart(flight, part, sink, signal),
        this.#stopping.signal,
      );
      const chunk = flight.complete();
      if (flight.isForgotten) return;
      memory.put(memoryKey, chunk, ahead, flight.key.version);
      // No SHA-256 was sent with the bytes of a peer that failed. They came over mutual TLS and are served, but not
      // stored.
      if (!flight.hasUnverifiedBytes) {
        await Promise.all([this.#commitToDisk(flight, chunk), this.#commitToCachestore(flight, chunk)]);
      }
    } catch (thrown) {
      this.stats.failed += 1;
      flight.fail(OrcaError.from(thrown, "internal", "fill", `Cannot fill chunk "${memoryKey}"`));
    } finally {
      this.#flights.delete(memoryKey);
      if (flight.state.kind !== "failed") flight.close();
    }
  }

  #isOnDisk(flight: Flight): boolean {
    return flight.source !== "disk" && this.#options.disk?.presence(flight.key) === "held";
  }

  /**
   * Fills front to back from disk. Where the disk fails half-way, the rest is fetched as by any other flight. False where
   * the disk was set aside: a read that it has given up may still write into the flight's memory, so the flight ends, and
   * its readers look again.
   */
  async #readFromDisk(flight: Flight): Promise<boolean> {
    const { disk } = this.#options;
    for (const [index, part] of flight.parts.entries()) {
      const sink = flight.sink(index);
      while (part.filled < part.to) {
        const block = sink.space();
        const blockIndex = Math.floor(part.filled / segmentSizeBytes);
        const isRead = await disk?.readBlock(flight.key, blockIndex, block, flight.segmentAt(part.filled));
        if (!isRead) return !disk?.isSetAside;
        sink.advance(block.length);
      }
    }
    return true;
  }

  async #readPart(flight: Flight, part: FlightPart, sink: ByteSink, signal: AbortSignal): Promise<void> {
    if (flight.source === "disk") flight.turnTo(this.#source);
    if (flight.source !== "origin") {
      if (await this.#readCopy(flight, part, sink, signal)) return;
      flight.turnToOrigin();
    }
    const { version, index } = flight.key;
    const origin = this.#options.origins.get(version.originId);
    if (!origin) {
      throw new OrcaError(
        "internal",
        "fill",
        `Cannot fill from origin "${version.originId}": it is not configured`,
      );
    }
    const request: RangeRequest = {
      bucket: version.bucket,
      key: version.objectKey,
      ...(version.versionId !== undefined && { versionId: version.versionId }),
      etag: version.etag,
      contentCoding: version.contentCoding,
      objectSizeBytes: version.sizeBytes,
      offset: index * version.chunkSizeBytes + part.filled,
      lengthBytes: part.to - part.filled,
      ...(flight.trace && { trace: flight.trace }),
    };
    await origin.read(request, sink, signal);
  }

  /** Reads the bytes that a part lacks from the cachestore or from peers. False where they do not have the rest. */
  async #readCopy(flight: Flight, part: FlightPart, sink: ByteSink, signal: AbortSignal): Promise<boolean> {
    const { cachestore, copySource } = this.#options;
    const { key } = flight;
    // The store is asked also while its breaker is open: it answers at once, and counts the read as not tried.
    if (cachestore) {
      const outcome = await cachestore.read(key, part.filled, part.to - part.filled, sink, signal);
      signal.throwIfAborted();
      if (outcome === "hit") return true;
    }
    const fetched = await copySource?.fetch(key, part, sink, signal, flight.trace);
    if (fetched?.sha256) flight.sentSha256 = Buffer.from(fetched.sha256).toString("hex");
    return fetched !== undefined;
  }

  /** Bytes from the origin go into the cachestore. Bytes that came from the cachestore do not go back. */
  async #commitToCachestore(flight: Flight, chunk: ChunkBytes): Promise<void> {
    const { cachestore, onStoredInCachestore } = this.#options;
    // Where presence is still "held" after the read, the read failed with an error and not because the chunk is absent.
    if (!cachestore || flight.source !== "origin" || cachestore.presence(flight.key) === "held") return;
    const result = await traced(flight, "cachestore", () => cachestore.put(flight.key, chunk));
    if (result === "stored") onStoredInCachestore?.(flight.key);
  }

  /**
   * A failed commit is counted and never fails a read. Bytes that came from the disk do not go back: if the chunk is not
   * there any more, it was evicted or cleared meanwhile.
   */
  async #commitToDisk(flight: Flight, chunk: ChunkBytes): Promise<void> {
    const { key, source, sentSha256 } = flight;
    const { memory, disk, digests, onStoredOnDisk } = this.#options;
    if (!disk || source === "disk" || disk.presence(key) === "held") return;
    const result = await traced(flight, "disk", () => disk.put(key, chunk));
    if (result === "not_stored") this.stats.commitsNotStored += 1;
    if (result !== "stored") return;
    // The disk's thread has hashed what it wrote.
    const sha256 = digests?.sha256(key);
    if (sentSha256 !== undefined && sha256 !== undefined && sha256 !== sentSha256) {
      this.stats.commitsMismatched += 1;
      memory.delete(key.version.memoryKey(key.index));
      await disk.delete(key);
      return;
    }
    this.stats.commits += 1;
    onStoredOnDisk?.(key);
  }
}

async function traced(
  { trace }: Flight,
  store: "disk" | "cachestore",
  put: () => Promise<PutResult>,
): Promise<PutResult> {
  if (trace?.isOn) trace.step("commit", { store });
  const result = await put();
  if (trace?.isOn) trace.step("commit_result", { store, result });
  return result;
}
