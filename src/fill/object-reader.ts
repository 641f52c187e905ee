/**
 * Reads a range of an object on any replica: from memory, from a flight that runs here, from disk, then by the
 * coordinator's fill. A reader is a cursor that its user pulls. `take` returns bytes that are in memory at once,
 * without a promise, or null where there are none yet; `ready` then resolves when it is worth trying again. So a hit in
 * memory costs no await, and a slow client holds one segment and nothing else. While readers hold much of the memory
 * (reader-memory.ts), a reader copies a short slice and pins no segment.
 *
 * Invariants:
 * 1. A reader holds at most one segment or copy: the one that `take` returned and `release` has not released.
 * 2. A reader that waits for bytes or memory pins no segment, so readers cannot starve each other of memory.
 * 3. `position` only grows, by exactly the bytes returned.
 * 4. A reader has joined the flight that it reads and those that it has started ahead, and leaves each once: when it has
 *    read past it, or is closed. A flight that nobody has joined any more may be cut.
 */
import { assert } from "../base/assert.ts";
import { type Segment, segmentSizeBytes } from "../base/memory-budget.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type Copy, copySizeBytes } from "../base/reader-memory.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { ChunkKey, ChunkStore } from "../store/chunk-store.ts";
import { type Asker, chunkFields } from "../trace/trace.ts";
import { blockPresence } from "./block-presence.ts";
import type { BlockReader } from "./block-reads.ts";
import type { Flight, FlightListener } from "./flight.ts";
import { FlightsAhead } from "./flights-ahead.ts";
import type { ReadPath, ReadSource } from "./read-path.ts";
import type { ReadWindow } from "./read-windows.ts";
import { beginWait, waitsOf } from "./reader-waits.ts";
import { blockEndOf, blockStartOf } from "./run.ts";

/**
 * After the first byte it is too late for a status that says "slow down". So a reader that finds no memory then waits
 * this many queue timeouts in a row before its client gets a short body.
 */
const retriesMax = 12;

/** Looks in a row that find neither bytes nor something to wait for: tiers evict chunks as soon as they come. */
const idleLooksMax = 16;

export class ObjectReader implements FlightListener, BlockReader {
  readonly version: ObjectVersion;
  /** Set with the first bytes returned. */
  source: ReadSource | undefined;
  readonly #path: ReadPath;
  readonly asker: Asker | undefined;
  readonly #start: number;
  readonly #end: number;
  #position: number;
  /** The chunk that the cursor is in, or -1 before the first. */
  #chunkIndex = -1;
  #firstSliceOfChunk = true;
  #flight: Flight | undefined;
  #leads = false;
  /** Made when it reads ahead for the first time. */
  #flightsAhead: FlightsAhead | undefined;
  /** Decided at its first miss. */
  #window: ReadWindow | undefined;
  /** A block that was read from disk for this reader alone, and where in the chunk it begins. */
  #block: Segment | undefined;
  #blockOffset = 0;
  /** What the slice that was taken lies in is one of these two. */
  #pinned: Segment | undefined;
  #copied: Copy | undefined;
  /** For a copy of the next slice. */
  #place: Copy | undefined;
  #needsPlace = false;
  #wake: (() => void) | undefined;
  #closed = false;

  /** Reads `[start, end)` of `version`; `end` is exclusive and `start < end`. */
  constructor(path: ReadPath, version: ObjectVersion, start: number, end: number, asker?: Asker) {
    assert(start >= 0 && start < end && end <= version.sizeBytes, "a range lies inside its object");
    this.#path = path;
    this.asker = asker;
    this.version = version;
    this.#start = start;
    this.#position = start;
    this.#end = end;
  }

  /** Bytes returned until now, and where they begin and end in the object. */
  get takenBytes(): number {
    return this.#position - this.#start;
  }

  get range(): readonly [start: number, end: number] {
    return [this.#start, this.#end];
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get done(): boolean {
    return this.#position === this.#end;
  }

  /**
   * The next bytes, pinned until {@link release}; null where they are not in memory yet. Other readers use the same
   * memory: a slice is written to a socket and never changed.
   */
  take(): Buffer | null {
    assert(!this.#holdsSlice && !this.done && !this.#closed, "one slice at a time is taken, until the end");
    const { chunkSizeBytes } = this.version;
    const index = Math.floor(this.#position / chunkSizeBytes);
    const offset = this.#position - index * chunkSizeBytes;
    if (index !== this.#chunkIndex) this.#enter(index);
    if (this.#block) return this.#takeFromBlock(this.#block, offset);
    if (this.#flight && offset >= this.#flight.to) this.#leaveFlight();
    if (this.#flight) return this.#takeFromFlight(this.#flight, offset);
    const { memory } = this.#path;
    // A chunk is one use, in however many slices it is sent: only the first look counts for the eviction policy.
    const cached = this.#firstSliceOfChunk
      ? memory.getOf(this.version, index, offset)
      : memory.peek(this.#memoryKey);
    const segment = cached?.segmentAt(offset);
    if (cached === undefined || segment === undefined) return null;
    return this.#slice(segment.retain(), offset, cached.lengthBytes, "memory");
  }

  /** Releases the bytes that {@link take} returned, once the kernel has them or they are not wanted any more. */
  release(): void {
    const pinned = this.#pinned;
    if (pinned) {
      this.#pinned = undefined;
      this.#path.readerMemory.unpin(pinned);
      pinned.release();
    }
    this.#copied?.release();
    this.#copied = undefined;
  }

  /**
   * Resolves when {@link take} is worth another try. To be called after it returned null, with nothing pinned.
   * @throws OrcaError where the bytes cannot be fetched.
   */
  async ready(): Promise<void> {
    assert(!this.#holdsSlice, "a reader that waits holds no slice");
    for (let retries = retriesMax; ; retries -= 1) {
      try {
        return await (this.#needsPlace ? this.#awaitPlace() : this.#find());
      } catch (thrown) {
        this.#leaveFlight();
        const started = this.#position > this.#start;
        const full = thrown instanceof OrcaError && thrown.code === "overloaded";
        // A reader that was closed while it waited for memory needs neither bytes nor an error.
        if (full && this.#closed) return;
        if (!full || !started || retries === 0) throw thrown;
      }
    }
  }

  /** Releases everything. The flights that this reader has joined continue for others, or are cut. */
  close(): void {
    this.#closed = true;
    this.release();
    this.#block?.release();
    this.#block = undefined;
    this.#place?.release();
    this.#place = undefined;
    this.#leaveFlight();
    this.#flightsAhead?.leaveBefore(Number.POSITIVE_INFINITY);
    this.flightChanged();
  }

  flightChanged(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #enter(index: number): void {
    this.#chunkIndex = index;
    this.#firstSliceOfChunk = true;
    this.#leaveFlight();
    this.#flightsAhead?.leaveBefore(index);
    this.#leads = false;
  }

  #join(flight: Flight, leads: boolean): void {
    flight.join();
    this.#flight = flight;
    this.#leads = leads;
  }

  #leaveFlight(): void {
    const flight = this.#flight;
    if (flight === undefined) return;
    this.#flight = undefined;
    flight.unlisten(this);
    flight.leave();
  }

  /** Of the chunk that the cursor is in. A hit on its first slice does without. */
  get #memoryKey(): string {
    return this.version.memoryKey(this.#chunkIndex);
  }

  get #holdsSlice(): boolean {
    return this.#pinned !== undefined || this.#copied !== undefined;
  }

  #takeFromBlock(block: Segment, offset: number): Buffer | null {
    // The block's own reference becomes that of the slice.
    this.#block = undefined;
    return this.#slice(block, offset, this.#blockOffset + block.bytes.length, "disk");
  }

  #takeFromFlight(flight: Flight, offset: number): Buffer | null {
    const readableEnd = flight.readableEnd(offset);
    if (readableEnd === offset) return null;
    const isNextBlock = offset % segmentSizeBytes === 0 && !this.#firstSliceOfChunk;
    if (isNextBlock && !this.#flightsAhead?.isDeepest) this.#readAhead();
    const isTier = flight.source === "disk" || flight.source === "cachestore";
    const source = isTier || this.#leads ? flight.source : "join";
    return this.#slice(flight.retainSegmentAt(offset), offset, readableEnd, source);
  }

  /**
   * The bytes from `offset` in the chunk to the end of segment, readable bytes or range: pinned or copied. Takes over the
   * caller's reference to `segment`. Null where a copy is needed and has no place.
   */
  #slice(segment: Segment, offset: number, readableEnd: number, source: ReadSource): Buffer | null {
    const segmentOffset = offset - (offset % segmentSizeBytes);
    const rangeEnd = offset + (this.#end - this.#position);
    const end = Math.min(readableEnd, rangeEnd, segmentOffset + segment.bytes.length);
    const isWhole = offset === segmentOffset && end - offset === segment.bytes.length;
    const bytes = isWhole
      ? segment.bytes
      : segment.bytes.subarray(offset - segmentOffset, end - segmentOffset);
    const slice = this.#path.readerMemory.tryPin(segment)
      ? this.#pin(segment, bytes)
      : this.#copy(segment, bytes);
    if (slice === null) return null;
    this.#position += slice.length;
    this.source ??= source;
    this.#path.sentBytes[source] += slice.length;
    if (this.#firstSliceOfChunk) {
      this.#firstSliceOfChunk = false;
      if (this.#path.trace?.isOn) this.#step("first_bytes", { source });
      this.#readAhead();
    }
    return slice;
  }

  #pin(segment: Segment, bytes: Buffer): Buffer {
    this.#pinned = segment;
    this.#place?.release();
    this.#place = undefined;
    return bytes;
  }

  #copy(segment: Segment, bytes: Buffer): Buffer | null {
    const place = this.#place ?? this.#path.readerMemory.tryCopy();
    this.#place = undefined;
    if (!place) {
      segment.release();
      this.#needsPlace = true;
      return null;
    }
    const lengthBytes = Math.min(bytes.length, copySizeBytes);
    bytes.copy(place.bytes, 0, 0, lengthBytes);
    segment.release();
    this.#copied = place;
    return place.bytes.subarray(0, lengthBytes);
  }

  /** Waits until {@link take} can copy. */
  async #awaitPlace(): Promise<void> {
    const { readerMemory, queueTimeoutMs } = this.#path;
    const waits = beginWait(this.asker, this.#path.trace, "memory");
    const place = await readerMemory.copy(queueTimeoutMs).finally(() => waits?.end());
    this.#needsPlace = false;
    if (this.#closed) place.release();
    else this.#place = place;
  }

  /** Starts flights for what the reader's flight leaves out of this chunk, and for the chunks after it. */
  #readAhead(): void {
    if (this.#path.readAheadMax === 0) return;
    const { chunkSizeBytes } = this.version;
    const chunkStart = this.#chunkIndex * chunkSizeBytes;
    const from = chunkStart + (this.#flight?.to ?? chunkSizeBytes);
    if (from >= this.#end) return;
    this.#flightsAhead ??= new FlightsAhead(this.#path, this.version, this.#end, this.asker);
    this.#flightsAhead.start(this.#chunkIndex, from);
  }

  async #find(): Promise<void> {
    const { memory, disk, flights } = this.#path;
    const key: ChunkKey = { version: this.version, index: this.#chunkIndex };
    const offset = this.#position - this.#chunkIndex * this.version.chunkSizeBytes;
    const isInMemory = (): boolean => memory.peek(this.#memoryKey)?.segmentAt(offset) !== undefined;
    for (let looks = 0; looks < idleLooksMax; looks += 1) {
      if (this.#closed) return;
      if (this.#flight) {
        if (await this.#followFlight(this.#flight, offset)) return;
        this.#leaveFlight();
      }
      if (isInMemory()) return;
      const flight = flights.find(key, offset);
      if (flight) {
        this.#join(flight, flight.takeLead());
        if (this.#leads) continue;
        flights.stats.joins += 1;
        if (this.#path.trace?.isOn) this.#step("flight_join", { leaderId: flight.trace?.requestId });
        continue;
      }
      const blockIndex = Math.floor(offset / segmentSizeBytes);
      const askDisk = disk !== undefined && blockPresence(disk, key, blockIndex) !== "absent";
      if (askDisk) {
        if (await this.#readFromDisk(disk, key, offset)) return;
        // Another reader may have started a fill while the disk was read, so look from the start before filling.
        if (this.#flight || isInMemory() || flights.find(key, offset) || this.#closed) continue;
      }
      this.#fill(key, offset, askDisk);
    }
    throw new OrcaError(
      "internal",
      "fill",
      `Cannot read chunk "${this.#memoryKey}": it was found and evicted again ${idleLooksMax} times`,
    );
  }

  /** Starts a flight for what this reader wants of the chunk, and for what its window adds. */
  #fill(key: ChunkKey, offset: number, skipDisk: boolean): void {
    const { memory, flights, windows } = this.#path;
    const chunkStart = key.index * this.version.chunkSizeBytes;
    const wantedEnd = this.#wantedEnd(key, offset);
    let end = wantedEnd;
    if (windows && this.#window === undefined) {
      const blockStart = blockStartOf(offset);
      this.#window = windows.of(this.version, chunkStart + blockStart);
      end = Math.max(end, Math.min(blockStart + this.#window.bytes, key.version.chunkLength(key.index)));
    }
    // A window is for the readers that come after this one.
    const seen = memory.wasSeen(this.#memoryKey) || end > blockEndOf(wantedEnd - 1);
    const asker = this.asker && { asker: this.asker };
    const [isFirst, isOwn] = [this.takenBytes === 0, windows !== undefined];
    this.#join(flights.fill(key, { offset, end, seen, skipDisk, isFirst, isOwn, ...asker }), true);
    if (this.#window) this.#window.end = chunkStart + (this.#flight?.to ?? end);
  }

  /** End (exclusive) of what this reader will want of the chunk that it is in. */
  #wantedEnd(key: ChunkKey, offset: number): number {
    return Math.min(offset + (this.#end - this.#position), key.version.chunkLength(key.index));
  }

  /** True when bytes can be taken; false when the flight ended without them, so that the tiers are worth a look. */
  async #followFlight(flight: Flight, offset: number): Promise<boolean> {
    for (;;) {
      if (flight.readableEnd(offset) > offset || this.#closed) return true;
      if (!flight.covers(offset)) return false;
      if (flight.state.kind === "failed") throw flight.state.error;
      if (flight.state.kind !== "filling") return false;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      flight.listen(this);
      const waits = flight.trace && waitsOf(this.asker, this.#path.trace);
      if (flight.trace) waits?.follow(flight.trace);
      await promise;
      waits?.end();
    }
  }

  /** True when a block is read or the reader is closed; false on a miss, and where this reader joins a promotion. */
  async #readFromDisk(disk: ChunkStore, key: ChunkKey, offset: number): Promise<boolean> {
    const { memory, flights, readerMemory } = this.#path;
    const blockIndex = Math.floor(offset / segmentSizeBytes);
    if (memory.wasSeen(this.#memoryKey) && blockPresence(disk, key, blockIndex) === "held") {
      const wanted = { offset, end: this.#wantedEnd(key, offset), asker: this.asker };
      const promotion = flights.promote(key, wanted);
      if (promotion) {
        this.#join(promotion, this.#leads);
        return false;
      }
    }
    // Without a place, the block would be read for nothing.
    if (!this.#place && !readerMemory.hasRoomForPin) await this.#awaitPlace();
    if (this.#closed) return true;
    const block = await this.#path.blockReads.read(disk, key, blockIndex, this);
    if (this.#closed) {
      block?.release();
      return true;
    }
    if (!block) return false;
    this.#block = block;
    this.#blockOffset = blockIndex * segmentSizeBytes;
    return true;
  }

  #step(step: "first_bytes" | "flight_join", fields: object): void {
    if (!this.asker) return;
    const chunk = chunkFields({ version: this.version, index: this.#chunkIndex });
    this.#path.trace?.step(step, this.asker.requestId, { ...chunk, ...fields });
  }
}
