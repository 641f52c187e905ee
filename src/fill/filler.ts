/**
 * The coordinator's side of a fill: fetches each block of a chunk from the origin once, however many readers ask for it.
 * A fill:
 *
 *   1. `fill` starts a flight for a run of blocks that no tier holds and no flight fetches, and makes its caller the
 *      leader. Others find the flight and join it.
 *   2. The flight reserves memory for its whole run: while memory is short, for an eighth of it if its client has no byte
 *      yet, so that many get their first bytes. Such a flight is served before those of clients that have some. If it waits
 *      too long, it fails as overloaded.
 *   3. It looks in the tiers once more, because another flight may have overtaken the reader that saw a miss: (a) the
 *      reader looks, and misses; (b) a flight for the same blocks ends and leaves; (c) the reader starts a flight for
 *      bytes that are here already. Without the second look, (c) costs an origin GET.
 *   4. It reads from the cachestore. Where disks are replicated, it asks the peers that may hold a copy instead, since
 *      this replica may have become the coordinator only now.
 *   5. It reads from the origin, front to back, and passes bytes to every reader as they arrive.
 *   6. The blocks go into memory, and where they do not make the chunk whole, to the disk (chunk-keeping.ts). The flight
 *      whose blocks make it whole commits the chunk to disk and into the cachestore. Only then does a flight leave, so a
 *      fetched block can be found at every moment.
 *
 * No flight holds a segment while it waits for memory: it reserves before its first byte, and what it reads from disk to
 * make a chunk whole goes into memory that is free at that moment.
 */

import { nextTurn } from "../base/clock.ts";
import type { MemoryBudget, Reservation } from "../base/memory-budget.ts";
import { segmentSizeBytes } from "../base/memory-budget.ts";
import { OrcaError } from "../base/orca-error.ts";
import { isBelow, type ObjectPrefix } from "../chunk/object-prefix.ts";
import type { ChunkKey, ChunkStore } from "../store/chunk-store.ts";
import { FetchTrace } from "../trace/fetch-trace.ts";
import type { Asker, Trace } from "../trace/trace.ts";
import { readRunFromDisk } from "./block-presence.ts";
import type { ChunkFlights, FillRequest, WantedBytes } from "./chunk-flights.ts";
import { ChunkKeeping } from "./chunk-keeping.ts";
import { Flight } from "./flight.ts";
import { type CopySource, FlightSources, type RangeSource } from "./flight-sources.ts";
import { FlightTable } from "./flight-table.ts";
import type { Cachestore, MemoryChunks } from "./memory-chunks.ts";
import { type ReceivedBody, receivedBodyOf } from "./received-body.ts";
import type { Run } from "./run.ts";
import { Runs } from "./runs.ts";

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
  /** A miss fetches its whole chunk. False by default. */
  readonly fillsWhole?: boolean;
  readonly trace?: Trace | undefined;
}

/** How a flight begins. */
interface Launch {
  /** No reader has asked for the blocks yet. */
  readonly ahead?: boolean;
  /** @see FillRequest.skipDisk */
  readonly skipDisk?: boolean;
  /** Its bytes come from elsewhere until this resolves. */
  readonly received?: Promise<void>;
  /** Its client has no byte yet. */
  readonly isFirst?: boolean;
}

/** Of memory, but one run at least: the rest is for the first bytes of other clients, which may come at the same moment. */
const longRunsShare = 1 / 4;

export class Filler implements ChunkFlights {
  readonly stats = {
    flights: 0,
    joins: 0,
    moot: 0,
    failed: 0,
    /** Flights that ended before the end of their runs, because nobody read them any more. */
    cut: 0,
    readAheads: 0,
    promotions: 0,
    adoptions: 0,
    commits: 0,
    commitsNotStored: 0,
    /** Chunks that did not match the SHA-256 that their sender sent, and were deleted again. */
    commitsMismatched: 0,
    /** Blocks of partial chunks that were given to the disk. */
    blockCommits: 0,
    blockCommitsNotStored: 0,
  };
  readonly #options: FillerOptions;
  readonly #runs: Runs;
  readonly keeping: ChunkKeeping;
  readonly #sources: FlightSources;
  readonly #table = new FlightTable();
  /** Each flight until it has left. */
  readonly #running = new Map<Flight, Promise<void>>();
  readonly #stopping = new AbortController();
  /** What flights have reserved. */
  #flightBytes = 0;

  constructor(options: FillerOptions) {
    this.#options = options;
    this.#runs = new Runs(options);
    this.keeping = new ChunkKeeping(options, this.stats);
    this.#sources = new FlightSources(options);
  }

  get flightsInProgress(): number {
    return this.#table.size;
  }

  has(key: ChunkKey): boolean {
    return this.#table.has(key);
  }

  find(key: ChunkKey, offset: number): Flight | undefined {
    return this.#table.find(key, offset);
  }

  /** Whether a flight is likely to get memory at once. */
  get hasRoom(): boolean {
    return this.#options.budget.waiting === 0;
  }

  /** Whether a tier holds the byte at `offset`, or a flight fetches it. A hint. */
  holds(key: ChunkKey, offset: number): boolean {
    const run = { from: offset, to: offset + 1 };
    return this.find(key, offset) !== undefined || this.#runs.firstHeld(key, run, false) !== undefined;
  }

  /** A flight for some block of the chunk. */
  findAny(key: ChunkKey): Flight | undefined {
    return this.#table.of(key)[0];
  }

  /** Resolves when the flight has left: by then its blocks are committed, or it has failed. */
  ended(flight: Flight): Promise<void> {
    return this.#running.get(flight) ?? Promise.resolve();
  }

  /** Where the first flight begins that has blocks of `run`. */
  firstInFlight(key: ChunkKey, run: Run): number | undefined {
    return this.#table.firstIn(key, run);
  }

  /** @see ChunkFlights.fill */
  fill(key: ChunkKey, request: FillRequest): Flight {
    this.stats.flights += 1;
    const trace = this.#traceOf(key, request.asker);
    const presence = this.#options.cachestore?.presence(key);
    if (presence !== undefined && trace?.isOn) trace.step("catalog", { presence });
    const end = this.#options.fillsWhole ? key.version.chunkLength(key.index) : request.end;
    const run = this.runOf(key, { ...request, end });
    const isWorthFinishing = this.worthOf(request.seen);
    const flight = new Flight(key, this.#sources.first, run, { trace, isWorthFinishing });
    if (request.isFirst && !this.#options.fillsWhole) {
      if (request.isOwn && this.#passesShare(flight)) flight.shorten();
      this.#takeMemory(flight);
    }
    this.#launch(flight, request);
    if (this.#options.fillsWhole) this.#fillRest(key, trace);
    return flight;
  }

  /** The other blocks of a chunk that is fetched as a whole: those before the first one asked for, and gaps. */
  #fillRest(key: ChunkKey, trace: FetchTrace | undefined): void {
    const end = key.version.chunkLength(key.index);
    const whole = { offset: 0, end };
    for (let run = this.runAhead(key, whole); run; run = this.runAhead(key, whole)) {
      this.stats.flights += 1;
      this.#launch(new Flight(key, this.#sources.first, run, { trace }), {});
    }
  }

  /** What a flight for this reader fetches: no block of a flight in this filler or in `others`. */
  runOf(key: ChunkKey, request: FillRequest, ...others: FlightTable[]): Run {
    return this.#runs.missing(key, request, [this.#table, ...others]);
  }

  /** What a flight ahead of readers fetches; undefined where nothing is known to be missing. */
  runAhead(key: ChunkKey, wanted: WantedBytes, ...others: FlightTable[]): Run | undefined {
    return this.#runs.firstMissing(key, wanted, [this.#table, ...others]);
  }

  /**
   * Whether the rest of a run is worth fetching although nobody reads it: the chunk was asked for before (`seen`), or
   * more than half of its blocks are here.
   */
  worthOf(seen: boolean): (flight: Flight) => boolean {
    if (seen || this.#options.fillsWhole) return () => true;
    return ({ key, filledBlocks }) => {
      const blocks = Math.ceil(key.version.chunkLength(key.index) / segmentSizeBytes);
      return this.#runs.heldBlocks(key) + filledBlocks > blocks / 2;
    };
  }

  /**
   * Continues a flight whose bytes have come from a peer until now, from the byte where they stopped. False where this
   * replica already fetches that byte: readers of the given flight then look again.
   */
  adopt(flight: Flight, launch: Launch): boolean {
    const { key, filled, to } = flight;
    if (this.#table.find(key, filled)) return false;
    const next = this.#table.firstIn(key, { from: filled, to });
    if (this.#table.firstIn(key, { from: flight.from, to: filled }) !== undefined) return false;
    if (next !== undefined) flight.cutTo(next);
    this.stats.flights += 1;
    this.stats.adoptions += 1;
    flight.noteUnverifiedBytes();
    const { cachestore, copySource } = this.#options;
    if (!cachestore && !copySource) flight.turnToOrigin();
    this.#launch(flight, launch);
    return true;
  }

  /**
   * A flight for bytes that have begun to arrive without one: the answer to the first request for an object brings its
   * metadata and its first bytes together. `offset` is the start of a block, and `lengthBytes` are whole blocks, or reach
   * to the end of the chunk. Undefined where some of them are held or in a flight, memory has no room now, or Orca stops.
   */
  receive(key: ChunkKey, offset: number, lengthBytes: number, asker?: Asker): ReceivedBody | undefined {
    const run = { from: offset, to: offset + lengthBytes };
    if (this.#stopping.signal.aborted || this.#table.firstIn(key, run) !== undefined) return undefined;
    if (this.#runs.firstHeld(key, run, false) !== undefined) return undefined;
    const trace = this.#traceOf(key, asker);
    const isWorthFinishing = this.worthOf(false);
    const flight = new Flight(key, "origin", run, { trace, isWorthFinishing, isUnled: true });
    if (!this.#takeMemory(flight) && !this.#takeMemory(flight)) return undefined;
    this.stats.flights += 1;
    const { promise: received, resolve } = Promise.withResolvers<void>();
    this.#launch(flight, { received });
    return receivedBodyOf(flight, this.#stopping.signal, resolve);
  }

  /** @see ChunkFlights.promote */
  promote(key: ChunkKey, wanted: WantedBytes): Flight | undefined {
    const run = this.#runs.onDisk(key, wanted, [this.#table]);
    const reservation = this.#options.budget.tryReserve(run.to - run.from);
    if (!reservation) return undefined;
    this.stats.promotions += 1;
    const flight = new Flight(key, "disk", run, {
      trace: this.#traceOf(key, wanted.asker),
      isWorthFinishing: this.worthOf(false),
    });
    flight.useMemory(reservation);
    return this.#launch(flight, {});
  }

  /** @see ChunkFlights.readAhead */
  readAhead(key: ChunkKey, { offset, end, asker }: WantedBytes): Flight | undefined {
    const { fillsWhole } = this.#options;
    if (!this.#sources.mayReadAhead(key)) return this.find(key, offset);
    const run = this.runAhead(key, { offset, end: fillsWhole ? key.version.chunkLength(key.index) : end });
    const reservation = run && this.reserveAhead(run.to - run.from);
    if (!reservation) return this.find(key, offset);
    this.stats.flights += 1;
    this.stats.readAheads += 1;
    const flight = new Flight(key, this.#sources.first, run, {
      trace: this.#traceOf(key, asker),
      isWorthFinishing: this.worthOf(false),
    });
    flight.useMemory(reservation);
    return this.#launch(flight, { ahead: true });
  }

  /**
   * Memory for blocks that no reader waits for. It takes only memory that is free or that cached chunks can release, and
   * leaves half of the budget to the readers that wait.
   */
  reserveAhead(bytes: number): Reservation | undefined {
    const { memory, budget } = this.#options;
    if (budget.usedBytes - memory.bytes + bytes > budget.maxBytes / 2) return undefined;
    return budget.tryReserve(bytes);
  }

  /** Ends the flights that still wait for bytes. Resolves when what has come is committed. */
  async stop(): Promise<void> {
    this.#stopping.abort(new OrcaError("shutting_down", "fill", "Cannot fill a chunk: Orca is stopping"));
    await Promise.all([...this.#running.values(), this.keeping.stored()]);
  }

  /**
   * For a clear of the cache: no tier stores a chunk below `prefix` that is arriving now. Blocks that have come may be in
   * the middle of their commits; the promise resolves when those have ended, so that the copies can be deleted.
   */
  async forget(prefix: ObjectPrefix | undefined): Promise<void> {
    const committing: Promise<void>[] = [];
    for (const [flight, run] of this.#running) {
      if (!isBelow(prefix, flight.key.version)) continue;
      if (flight.state.kind === "filled") committing.push(run);
      flight.forget();
    }
    await Promise.all([...committing, this.keeping.forget(prefix)]);
  }

  #traceOf(key: ChunkKey, asker: Asker | undefined): FetchTrace | undefined {
    return FetchTrace.of(this.#options.trace, asker, key);
  }

  /** Whether flights would take much of memory with this one. */
  #passesShare({ reserveBytes }: Flight): boolean {
    const longRunsBytes = this.#options.budget.maxBytes * longRunsShare;
    return this.#flightBytes > 0 && this.#flightBytes + reserveBytes > longRunsBytes;
  }

  /**
   * For a flight whose client has no byte yet: whether there was memory for its run at once. Else the run is a short one from
   * now on.
   */
  #takeMemory(flight: Flight): boolean {
    const reservation = this.#options.budget.tryReserve(flight.reserveBytes, true);
    if (reservation) flight.useMemory(reservation);
    else flight.shorten();
    return reservation !== undefined;
  }

  #launch(flight: Flight, launch: Launch): Flight {
    this.#table.add(flight);
    const run = this.#run(flight, launch).finally(() => this.#running.delete(flight));
    this.#running.set(flight, run);
    return flight;
  }

  async #run(flight: Flight, launch: Launch): Promise<void> {
    const { ahead = false, skipDisk = false, isFirst = false, received } = launch;
    const { budget, queueTimeoutMs } = this.#options;
    const isPromotion = flight.source === "disk";
    // A whole chunk is on disk already. If it is evicted meanwhile, it does not go back.
    const isStored = isPromotion && this.#options.disk?.presence(flight.key) === "held";
    let reservedBytes = 0;
    try {
      if (!flight.hasMemory) {
        flight.useMemory(await budget.reserve(flight.reserveBytes, queueTimeoutMs, isFirst));
      }
      reservedBytes = flight.reserveBytes;
      this.#flightBytes += reservedBytes;
      if (!this.isMissing(flight, isPromotion || skipDisk)) {
        this.stats.moot += 1;
        return;
      }
      if (isPromotion) {
        flight.trace?.waitFor("disk");
        if (!(await readRunFromDisk(this.#options.disk, flight))) return;
      }
      flight.trace?.asked();
      // Until its sender has ended, nothing may free the memory that it writes into.
      await received;
      // Its reader is about to come, and finds the flight rather than a chunk that looks like an old one.
      if (flight.isUnled) await nextTurn();
      await flight.fetch((sink, signal) => this.#sources.read(flight, sink, signal), this.#stopping.signal);
      const chunk = flight.complete();
      // Readers that wait for the last bytes take them before the flight is closed: no tier has them.
      if (flight.isForgotten) await nextTurn();
      if (!chunk || flight.isForgotten) return;
      await this.keeping.keep(flight, chunk, { ahead, isStored: isStored && flight.source === "disk" });
    } catch (thrown) {
      this.stats.failed += 1;
      const memoryKey = flight.key.version.memoryKey(flight.key.index);
      flight.fail(OrcaError.from(thrown, "internal", "fill", `Cannot fill chunk "${memoryKey}"`));
    } finally {
      this.#flightBytes -= reservedBytes;
      this.#table.delete(flight);
      if (flight.isCut) this.stats.cut += 1;
      if (flight.state.kind !== "failed") flight.close();
    }
  }

  /**
   * The second look of a flight that has memory: whether its first block is still missing. Blocks after that one that are
   * here already are cut off the run.
   */
  isMissing(flight: Flight, skipDisk: boolean): boolean {
    if (flight.filled === flight.to) return true;
    const held = this.#runs.firstHeld(flight.key, { from: flight.filled, to: flight.to }, skipDisk);
    if (held === undefined) return true;
    if (held <= flight.filled) return false;
    flight.cutTo(held);
    return true;
  }
}
