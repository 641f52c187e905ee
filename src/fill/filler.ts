/**
 * The coordinator's way: brings a chunk from the origin once, whoever asks and however often. The life of a fill:
 *
 *   1. `fill` finds the flight for the chunk, or starts one and becomes its leader.
 *   2. The flight reserves memory for its whole chunk. What cannot reserve in time fails as overloaded.
 *   3. It looks in the tiers once more. A reader that saw a miss may have been overtaken: (a) it looks, and misses;
 *      (b) another flight for the same chunk lands and leaves; (c) it starts a flight for bytes that are here already.
 *      Without the second look, (c) costs an origin GET.
 *   4. It looks in the cachestore, or where disks are replicated it asks those that may hold the chunk, since it may have fallen to this replica only now.
 *   5. It reads from the origin, starting at the byte asked for, and hands bytes to every reader as they arrive.
 *   6. Once whole, the chunk goes into memory, to disk and into the cachestore. Only then does the flight leave, so at no moment is a
 *      chunk that was fetched nowhere to be found.
 */

import type { ByteSink } from "../base/byte-sink.ts";
import type { MemoryBudget, Reservation } from "../base/memory-budget.ts";
import { segmentSizeBytes } from "../base/memory-budget.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { ChunkBytes } from "../chunk/chunk-bytes.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { RangeRequest } from "../origin/origin.ts";
import type { ChunkKey, ChunkStore, Presence, PutResult } from "../store/chunk-store.ts";
import { type ChunkFlights, type FillRequest, partStart } from "./chunk-flights.ts";
import { Flight, type FlightSource } from "./flight.ts";

/** The one question a filler asks an origin. */
export interface RangeSource {
  read(request: RangeRequest, sink: ByteSink, signal: AbortSignal): Promise<void>;
}

/** Where a chunk may be when it is not in this replica's tiers: asked before the origin is. */
export interface HeldElsewhere {
  /**
   * Brings what is owed of a part, and answers with what its sender says of the chunk. Undefined: the sink holds a true
   * prefix of the part, perhaps nothing, and the rest is not to be had. Rejects with the signal's reason alone.
   */
  bring(
    ref: ChunkKey,
    part: { readonly to: number; readonly filled: number },
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<BroughtPart | undefined>;
}

export interface BroughtPart {
  /** Of the whole chunk; undefined where the sender does not know it. */
  readonly sha256: Uint8Array | undefined;
}

/** The store that all replicas share. It never fails: what it cannot do is a miss or a refused commit. */
export interface SharedStore {
  /** `absent` also while it is left alone. */
  presence(ref: ChunkKey): Presence;
  /** A miss leaves a true prefix of the stretch in `sink`. Never rejects. */
  read(
    ref: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss">;
  put(ref: ChunkKey, chunk: ChunkBytes): Promise<PutResult>;
}

/** What the filler and the readers need of the memory tier; chunks go by their `memoryKey`. */
export interface MemoryChunks {
  readonly bytes: number;
  get(name: string): ChunkBytes | undefined;
  peek(name: string): ChunkBytes | undefined;
  /** `ahead`: the chunk was fetched before anybody asked for it. */
  put(name: string, chunk: ChunkBytes, ahead: boolean, version: ObjectVersion): void;
  delete(name: string): void;
}

export interface FillerOptions {
  readonly origins: ReadonlyMap<string, RangeSource>;
  readonly memory: MemoryChunks;
  readonly disk: ChunkStore | undefined;
  readonly budget: MemoryBudget;
  /** How long a fill waits for memory before its readers are told to slow down. */
  readonly queueTimeoutMs: number;
  /** Left out where there is no cachestore. */
  readonly shared?: SharedStore | undefined;
  /** Told of each chunk that has come to be in the cachestore by a fill. */
  readonly onShared?: ((ref: ChunkKey) => void) | undefined;
  /** Left out where chunks are kept by their coordinator alone. */
  readonly held?: HeldElsewhere | undefined;
  /** What the chunks that were committed to disk hash to, in hex; with `held`. */
  readonly digests?: { sha256(ref: ChunkKey): string | undefined } | undefined;
  /** Told of each chunk that has come to be on this replica's disk by a fill. */
  readonly onStored?: ((ref: ChunkKey) => void) | undefined;
}

/** How a flight begins. */
interface Launch {
  /** Memory for its chunk, where it is reserved already and the flight has not got it yet. */
  readonly reservation?: Reservation;
  /** Nobody has asked for it yet. */
  readonly ahead?: boolean;
  /** The disk believes that it holds the chunk, and could not read it a moment ago. */
  readonly pastDisk?: boolean;
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
    commitsRefused: 0,
    /** Chunks that were not what their sender said, and were let go of again. */
    commitsMismatched: 0,
    shared: 0,
    sharesRefused: 0,
  };
  readonly #options: FillerOptions;
  /** Where the bytes of a flight come from at first. */
  readonly #source: FlightSource;
  readonly #flights = new Map<string, Flight>();
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(options: FillerOptions) {
    this.#options = options;
    this.#source = options.shared ? "cachestore" : options.held ? "peer" : "origin";
  }

  get flightsInProgress(): number {
    return this.#flights.size;
  }

  /** The flight that is bringing this chunk, if there is one. */
  find(ref: ChunkKey): Flight | undefined {
    return this.#flights.get(ref.version.memoryKey(ref.index));
  }

  /** @see ChunkFlights.fill There is no flight for the chunk yet. */
  fill(ref: ChunkKey, { offset, pastDisk }: FillRequest): Flight {
    this.stats.flights += 1;
    const begin = partStart(offset);
    // A stored block is read whole for its checksum, so where one will be read the bytes before it come for nothing.
    const isShared = this.#options.shared?.presence(ref) === "held";
    const start = isShared ? begin - (begin % segmentSizeBytes) : begin;
    return this.#launch(new Flight(ref, this.#source, start), { pastDisk });
  }

  /**
   * Goes on with a flight whose bytes have come from a peer until now, from the byte where they stopped. False where
   * this replica fills the chunk already: then whoever waits for that flight had better look again.
   */
  adopt(flight: Flight, launch: Pick<Launch, "ahead" | "pastDisk">): boolean {
    if (this.find(flight.ref)) return false;
    this.stats.flights += 1;
    this.stats.adoptions += 1;
    flight.notePeerBytes();
    const { shared, held } = this.#options;
    if (!shared && !held) flight.turnToOrigin();
    this.#launch(flight, launch);
    return true;
  }

  /**
   * Brings a chunk into memory from disk, because it is asked for again and again. Undefined where memory has no room
   * at once: nobody is made to wait for a promotion.
   */
  promote(ref: ChunkKey, offset: number): Flight | undefined {
    const reservation = this.#options.budget.tryReserve(ref.version.chunkLength(ref.index));
    if (!reservation) return undefined;
    this.stats.promotions += 1;
    return this.#launch(new Flight(ref, "disk", offset - (offset % segmentSizeBytes)), { reservation });
  }

  /** @see ChunkFlights.readAhead */
  readAhead(ref: ChunkKey): void {
    const reservation = this.reserveAhead(ref);
    if (!reservation) return;
    this.stats.flights += 1;
    this.stats.readAheads += 1;
    this.#launch(new Flight(ref, this.#source, 0), { reservation, ahead: true });
  }

  /**
   * Memory for a chunk that nobody waits for yet and that is nowhere here: only what is free or what cached chunks give
   * way for, with half of it left to those who do wait.
   */
  reserveAhead(ref: ChunkKey): Reservation | undefined {
    const { memory, disk, budget } = this.#options;
    const name = ref.version.memoryKey(ref.index);
    if (this.#flights.has(name) || memory.peek(name) || (disk && disk.presence(ref) !== "absent")) return;
    const lengthBytes = ref.version.chunkLength(ref.index);
    if (budget.usedBytes - memory.bytes + lengthBytes > budget.maxBytes / 2) return;
    return budget.tryReserve(lengthBytes);
  }

  /** Ends flights that still wait for the origin, and resolves when those that are whole have been committed. */
  async stop(): Promise<void> {
    this.#stopping.abort(new OrcaError("shutting_down", "fill", "Cannot fill a chunk: Orca is stopping"));
    await Promise.all(this.#running);
  }

  #launch(flight: Flight, launch: Launch): Flight {
    const name = flight.ref.version.memoryKey(flight.ref.index);
    this.#flights.set(name, flight);
    const run = this.#fly(flight, name, launch).finally(() => this.#running.delete(run));
    this.#running.add(run);
    return flight;
  }

  async #fly(flight: Flight, name: string, launch: Launch): Promise<void> {
    const { budget, memory, queueTimeoutMs } = this.#options;
    const { reservation, ahead = false, pastDisk = false } = launch;
    try {
      if (!flight.isBoarded) {
        flight.board(reservation ?? (await budget.reserve(flight.reserveBytes, queueTimeoutMs)));
      }
      if (memory.peek(name) || (!pastDisk && this.#onDiskAlready(flight))) {
        this.stats.moot += 1;
        return;
      }
      if (flight.source === "disk") await this.#readFromDisk(flight);
      await flight.bring(
        (part, sink, signal) => this.#readPart(flight, part, sink, signal),
        this.#stopping.signal,
      );
      const chunk = flight.complete();
      memory.put(name, chunk, ahead, flight.ref.version);
      // Nobody has checked what a peer sent that broke off: its bytes are served, as they came over mutual TLS, not kept.
      if (!flight.hasPeerBytes) await Promise.all([this.#commit(flight, chunk), this.#share(flight, chunk)]);
    } catch (thrown) {
      this.stats.failed += 1;
      flight.fail(OrcaError.from(thrown, "internal", "fill", `Cannot fill chunk "${name}"`));
    } finally {
      this.#flights.delete(name);
      if (flight.state.kind !== "failed") flight.close();
    }
  }

  #onDiskAlready(flight: Flight): boolean {
    return flight.source !== "disk" && this.#options.disk?.presence(flight.ref) === "held";
  }

  /** Fills front to back from disk. Where the disk fails half-way, the origin brings the rest. */
  async #readFromDisk(flight: Flight): Promise<void> {
    const { disk } = this.#options;
    for (const [index, part] of flight.parts.entries()) {
      const sink = flight.sink(index);
      while (part.filled < part.to) {
        const block = sink.space();
        const held = await disk?.readBlock(flight.ref, Math.floor(part.filled / segmentSizeBytes), block);
        if (!held) return;
        sink.advance(block.length);
      }
    }
  }

  async #readPart(
    flight: Flight,
    part: { readonly to: number; readonly filled: number },
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<void> {
    // What the disk could not give after all is asked for as by any other flight.
    if (flight.source === "disk") flight.turnTo(this.#source);
    if (flight.source !== "origin") {
      if (await this.#readNearer(flight, part, sink, signal)) return;
      flight.turnToOrigin();
    }
    const { version, index } = flight.ref;
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
      etag: version.etag,
      objectSizeBytes: version.sizeBytes,
      offset: index * version.chunkSizeBytes + part.filled,
      lengthBytes: part.to - part.filled,
    };
    await origin.read(request, sink, signal);
  }

  /** What is owed of a part, from whoever has it nearer than the origin. False: the rest is not to be had there. */
  async #readNearer(
    flight: Flight,
    part: { readonly to: number; readonly filled: number },
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { shared, held } = this.#options;
    const { ref } = flight;
    if (shared && shared.presence(ref) !== "absent") {
      const outcome = await shared.read(ref, part.filled, part.to - part.filled, sink, signal);
      signal.throwIfAborted();
      if (outcome === "hit") return true;
    }
    const brought = await held?.bring(ref, part, sink, signal);
    if (brought?.sha256) flight.sentSha256 = Buffer.from(brought.sha256).toString("hex");
    return brought !== undefined;
  }

  /** What the origin brought goes into the cachestore, and what came from there does not go back. */
  async #share(flight: Flight, chunk: ChunkBytes): Promise<void> {
    const { shared, onShared } = this.#options;
    // A hint that stands after the store was asked stands behind an error: what it holds need not be sent again.
    if (!shared || flight.source !== "origin" || shared.presence(flight.ref) === "held") return;
    const result = await shared.put(flight.ref, chunk);
    if (result === "refused") this.stats.sharesRefused += 1;
    if (result !== "stored") return;
    this.stats.shared += 1;
    onShared?.(flight.ref);
  }

  /** A failed commit is counted and never fails a read. */
  async #commit({ ref, sentSha256 }: Flight, chunk: ChunkBytes): Promise<void> {
    const { memory, disk, digests, onStored } = this.#options;
    if (!disk || disk.presence(ref) === "held") return;
    const result = await disk.put(ref, chunk);
    if (result === "refused") this.stats.commitsRefused += 1;
    if (result !== "stored") return;
    // The disk has hashed what it wrote, off this thread.
    const sha256 = digests?.sha256(ref);
    if (sentSha256 !== undefined && sha256 !== undefined && sha256 !== sentSha256) {
      this.stats.commitsMismatched += 1;
      memory.delete(ref.version.memoryKey(ref.index));
      await disk.delete(ref);
      return;
    }
    this.stats.commits += 1;
    onStored?.(ref);
  }
}
