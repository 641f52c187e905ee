/**
 * Any replica's way to the bytes of a range: memory, a flight already running here, disk, then the coordinator's fill.
 * A reader is a cursor that is pulled: `take` answers at once from what is in memory, without a promise, and null where
 * there is nothing yet; then `ready` says when to pull again. So a hit in memory costs no await, and a client that
 * reads slowly holds one segment and nothing else.
 *
 * Invariants:
 * 1. At most one segment is pinned per reader: the one `take` gave out and `release` has not given back.
 * 2. Nothing is waited for while a segment is pinned, so readers cannot starve each other of memory.
 * 3. `position` only grows, and by exactly the bytes given out.
 */
import { assert } from "../base/assert.ts";
import { type MemoryBudget, type Segment, segmentSizeBytes } from "../base/memory-budget.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { ChunkKey, ChunkStore } from "../store/chunk-store.ts";
import type { ChunkFlights } from "./chunk-flights.ts";
import type { MemoryChunks } from "./filler.ts";
import type { Flight, FlightListener } from "./flight.ts";

/** Where a reader's first byte came from. */
export type ReadSource = "memory" | "disk" | "cachestore" | "peer" | "origin" | "join";

/** What all readers of a replica share. */
export interface ReadPath {
  readonly memory: MemoryChunks & { wasSeen(name: string): boolean };
  readonly disk: ChunkStore | undefined;
  readonly flights: ChunkFlights;
  readonly budget: MemoryBudget;
  /** How long a read from disk waits for memory. */
  readonly queueTimeoutMs: number;
  /** Chunks fetched before they are asked for, once a reader goes from chunk to chunk. */
  readonly readAheadMax: number;
  /** Bytes given out, by where they came from. */
  readonly sentBytes: Record<ReadSource, number>;
}

/**
 * Once bytes have been sent there is no status left to say "slow down" with, so a reader that finds no room waits
 * this many queue timeouts in a row before it lets its client see a short body.
 */
const patienceMax = 12;

/** Looks in a row that end neither in bytes nor in a wait. More means that tiers lose chunks as fast as they come. */
const idleLooksMax = 16;

export class ObjectReader implements FlightListener {
  readonly version: ObjectVersion;
  /** Set with the first bytes given out. */
  source: ReadSource | undefined;
  readonly #path: ReadPath;
  readonly #start: number;
  readonly #end: number;
  #position: number;
  /** The chunk the cursor is in, or -1 before the first. */
  #chunkIndex = -1;
  #memoryKey = "";
  /** Chunks gone through one after the other: what read-ahead grows with. */
  #chunksEntered = 0;
  #firstSliceOfChunk = true;
  #flight: Flight | undefined;
  #leads = false;
  /** A block read from disk for this reader alone, and where in the chunk it begins. */
  #block: Segment | undefined;
  #blockOffset = 0;
  #pinned: Segment | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  /** Reads `[start, end)` of `version`; `end` is exclusive and `start < end`. */
  constructor(path: ReadPath, version: ObjectVersion, start: number, end: number) {
    assert(start >= 0 && start < end && end <= version.sizeBytes, "a range lies inside its object");
    this.#path = path;
    this.version = version;
    this.#start = start;
    this.#position = start;
    this.#end = end;
  }

  get done(): boolean {
    return this.#position === this.#end;
  }

  /**
   * The next bytes, pinned until {@link release}; null where they are not in memory yet. The slice is memory that other
   * readers share: it is written to a socket and never changed.
   */
  take(): Buffer | null {
    assert(
      this.#pinned === undefined && !this.done && !this.#closed,
      "one slice at a time is taken, until the end",
    );
    const { chunkSizeBytes } = this.version;
    const index = Math.floor(this.#position / chunkSizeBytes);
    const offset = this.#position - index * chunkSizeBytes;
    if (index !== this.#chunkIndex) this.#enter(index);
    if (this.#block) return this.#takeFromBlock(this.#block, offset);
    if (this.#flight && offset >= this.#flight.endOffset) this.#leaveFlight();
    if (this.#flight) return this.#takeFromFlight(this.#flight, offset);
    const { memory } = this.#path;
    // A chunk is one use, however many slices it is sent in: only the first look counts for the eviction policy.
    const cached = this.#firstSliceOfChunk ? memory.get(this.#memoryKey) : memory.peek(this.#memoryKey);
    if (!cached) return null;
    return this.#give(cached.segmentAt(offset).retain(), offset, cached.lengthBytes, "memory");
  }

  /** Gives back what {@link take} pinned, once its bytes are with the kernel or nobody wants them any more. */
  release(): void {
    this.#pinned?.release();
    this.#pinned = undefined;
  }

  /**
   * Resolves when {@link take} is worth another try; to be called after it answered null, with nothing pinned.
   * @throws OrcaError where the bytes cannot be had.
   */
  async ready(): Promise<void> {
    assert(this.#pinned === undefined, "nothing is waited for while a segment is pinned");
    for (let patience = patienceMax; ; patience -= 1) {
      try {
        return await this.#find();
      } catch (thrown) {
        this.#leaveFlight();
        const started = this.#position > this.#start;
        const full = thrown instanceof OrcaError && thrown.code === "overloaded";
        // Who has left while waiting for memory is owed neither bytes nor an error.
        if (full && this.#closed) return;
        if (!full || !started || patience === 0) throw thrown;
      }
    }
  }

  /** Lets go of everything. A flight this reader waited for goes on without it. */
  close(): void {
    this.#closed = true;
    this.release();
    this.#block?.release();
    this.#block = undefined;
    this.#flight?.unlisten(this);
    this.#leaveFlight();
    this.flightChanged();
  }

  flightChanged(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #enter(index: number): void {
    this.#chunkIndex = index;
    this.#memoryKey = this.version.memoryKey(index);
    this.#chunksEntered += 1;
    this.#firstSliceOfChunk = true;
    this.#leaveFlight();
    this.#leads = false;
  }

  #leaveFlight(): void {
    if (this.#flight?.isPiece) this.#flight.abandon();
    this.#flight = undefined;
  }

  #takeFromBlock(block: Segment, offset: number): Buffer {
    const slice = this.#give(block, offset, this.#blockOffset + block.bytes.length, "disk");
    // The block's own reference is now the pin.
    this.#block = undefined;
    return slice;
  }

  #takeFromFlight(flight: Flight, offset: number): Buffer | null {
    const readableEnd = flight.readableEnd(offset);
    if (readableEnd === offset) return null;
    const isTier = flight.source === "disk" || flight.source === "cachestore";
    const source = isTier || this.#leads ? flight.source : "join";
    return this.#give(flight.retainSegmentAt(offset), offset, readableEnd, source);
  }

  /** Pins `segment` and gives out its bytes from `offset` of the chunk to the end of segment, chunk bytes or range. */
  #give(segment: Segment, offset: number, readableEnd: number, source: ReadSource): Buffer {
    const segmentOffset = offset - (offset % segmentSizeBytes);
    const rangeEnd = offset + (this.#end - this.#position);
    const end = Math.min(readableEnd, rangeEnd, segmentOffset + segment.bytes.length);
    this.#pinned = segment;
    this.#position += end - offset;
    this.source ??= source;
    this.#path.sentBytes[source] += end - offset;
    if (this.#firstSliceOfChunk) {
      this.#firstSliceOfChunk = false;
      this.#readAhead();
    }
    return segment.bytes.subarray(offset - segmentOffset, end - segmentOffset);
  }

  /** Doubles with every chunk: a client that reads on gets the full depth, one that reads a little causes a little. */
  #readAhead(): void {
    const { readAheadMax, flights } = this.#path;
    const lastIndex = Math.floor((this.#end - 1) / this.version.chunkSizeBytes);
    const depth = Math.min(readAheadMax, 2 ** this.#chunksEntered);
    const until = Math.min(lastIndex, this.#chunkIndex + depth);
    for (let index = this.#chunkIndex + 1; index <= until; index += 1) {
      flights.readAhead({ version: this.version, index });
    }
  }

  async #find(): Promise<void> {
    const { memory, disk, flights } = this.#path;
    const ref: ChunkKey = { version: this.version, index: this.#chunkIndex };
    const offset = this.#position - this.#chunkIndex * this.version.chunkSizeBytes;
    for (let looks = 0; looks < idleLooksMax; looks += 1) {
      if (this.#closed) return;
      if (this.#flight) {
        if (await this.#followFlight(this.#flight, offset)) return;
        this.#leaveFlight();
      }
      if (memory.peek(this.#memoryKey)) return;
      this.#flight = flights.find(ref);
      if (this.#flight) {
        flights.stats.joins += 1;
        this.#leads = false;
        continue;
      }
      const askDisk = disk !== undefined && disk.presence(ref) !== "absent";
      if (askDisk) {
        if (await this.#readFromDisk(disk, ref, offset)) return;
        // While the disk was asked, another reader may have begun to fill: look from the start before filling.
        if (this.#flight || memory.peek(this.#memoryKey) || flights.find(ref) || this.#closed) continue;
      }
      const end = Math.min(offset + (this.#end - this.#position), ref.version.chunkLength(ref.index));
      const seen = memory.wasSeen(this.#memoryKey);
      this.#flight = flights.fill(ref, { offset, end, seen, pastDisk: askDisk });
      this.#leads = true;
    }
    throw new OrcaError(
      "internal",
      "fill",
      `Cannot read chunk "${this.#memoryKey}": it was found and lost ${idleLooksMax} times`,
    );
  }

  /** True when bytes can be taken; false when the flight is over without them and the tiers are worth a look. */
  async #followFlight(flight: Flight, offset: number): Promise<boolean> {
    for (;;) {
      if (flight.readableEnd(offset) > offset || this.#closed) return true;
      if (flight.state.kind === "failed") throw flight.state.error;
      if (flight.state.kind !== "filling") return false;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      flight.listen(offset, this);
      await promise;
    }
  }

  /** True when a block of the chunk is in hand or nobody wants it any more; false also where a promotion is joined. */
  async #readFromDisk(disk: ChunkStore, ref: ChunkKey, offset: number): Promise<boolean> {
    const { memory, flights, budget, queueTimeoutMs } = this.#path;
    if (memory.wasSeen(this.#memoryKey) && disk.presence(ref) === "held") {
      this.#flight = flights.promote(ref, offset);
      if (this.#flight) return false;
    }
    const blockIndex = Math.floor(offset / segmentSizeBytes);
    const blockOffset = blockIndex * segmentSizeBytes;
    const blockBytes = Math.min(segmentSizeBytes, ref.version.chunkLength(ref.index) - blockOffset);
    const reservation = await budget.reserve(blockBytes, queueTimeoutMs);
    if (this.#closed) {
      reservation.release();
      return true;
    }
    const block = reservation.takeSegment(blockBytes);
    const held = await disk.readBlock(ref, blockIndex, block.bytes);
    if (!held || this.#closed) {
      block.release();
      return this.#closed;
    }
    this.#block = block;
    this.#blockOffset = blockOffset;
    return true;
  }
}
