/**
 * A fill in progress: a run of blocks of one chunk that is arriving, and the readers that wait for its bytes. The leader
 * that started the flight and the joiners that found it read the bytes as they arrive, each at its own offset, out of
 * the segments they arrive in. No reader slows the flight down, and a reader that leaves releases only what it holds
 * itself. Several flights of one chunk, with other runs, may be in progress at the same time.
 *
 * A flight that nobody reads any more is cut at the end of the block that is arriving, unless the rest of its run is
 * worth fetching. Its blocks are kept.
 *
 * Invariants:
 * 1. The bytes [from, filled) are final: they are only read. The source writes at `filled` and beyond.
 * 2. The flight holds one reference to each of its segments until it is closed. A reader takes its own reference before
 *    it passes bytes on.
 * 3. In any state other than `filling`, no more bytes are written. `closed` is the last state.
 * 4. `to` only shrinks, never below `filled`, and never while somebody who reads the flight wants the bytes after it,
 *    except for blocks that are held already. From the moment of a cut on, the blocks after it belong to no flight.
 *
 * Why a cut loses no reader: (1) the last reader leaves, and `to` becomes the end of the block that is arriving; (2) a
 * reader comes before the read has been aborted; (3) for a byte before `to` it finds this flight, and the block still
 * arrives whole, since the read is aborted only after its last byte; (4) for a byte after `to` it finds none, and starts
 * a flight whose run begins there.
 */
import { assert } from "../base/assert.ts";
import type { PlacedSink } from "../base/byte-sink.ts";
import { type Reservation, type Segment, segmentSizeBytes } from "../base/memory-budget.ts";
import type { OrcaError } from "../base/orca-error.ts";
import { ChunkBytes } from "../chunk/chunk-bytes.ts";
import type { ChunkKey } from "../store/chunk-store.ts";
import type { FetchTrace } from "../trace/fetch-trace.ts";
import { blockEndOf, type Run } from "./run.ts";

/** Where the bytes of a flight come from, as reported in `Cache-Status`. */
export type FlightSource = "origin" | "disk" | "cachestore" | "peer";

export type FlightState =
  | { readonly kind: "filling" }
  /** All bytes of the run are here. The flight stays until the tiers have stored them. */
  | { readonly kind: "filled"; readonly chunk: ChunkBytes }
  /** The run was found in a tier, or the flight was given up: readers look again. */
  | { readonly kind: "closed" }
  | { readonly kind: "failed"; readonly error: OrcaError };

/** Called once per registration, on the next bytes of the flight or when it ends. */
export interface FlightListener {
  flightChanged(): void;
}

/** The bytes [filled, to) of a chunk are missing. */
export interface MissingBytes {
  readonly filled: number;
  readonly to: number;
}

/** Reads the bytes that a flight still lacks into `sink`. */
export type RunReader = (sink: PlacedSink, signal: AbortSignal) => Promise<void>;

export interface FlightOptions {
  /** Where no request is known for which it fetches, undefined. */
  readonly trace?: FetchTrace | undefined;
  /** Asked when nobody reads the flight any more: whether the rest of its run is worth fetching all the same. */
  readonly isWorthFinishing?: ((flight: Flight) => boolean) | undefined;
  /** No reader has started it: the first one that finds it leads it. */
  readonly isUnled?: boolean;
}

/** Into so many parts a run is divided while memory is short. */
const shortenedParts = 8;

export class Flight {
  readonly key: ChunkKey;
  /** The first byte of its first block. */
  readonly from: number;
  /** SHA-256 of the whole chunk in hex, as the replica that sent the bytes says; undefined where none did. */
  sentSha256: string | undefined;
  readonly trace: FetchTrace | undefined;
  readonly sink: PlacedSink = {
    space: () => this.#spaceAt(this.#filled),
    spaceAhead: (aheadBytes) => this.#spaceAt(this.#filled + aheadBytes),
    advance: (lengthBytes) => this.#advance(lengthBytes),
  };
  readonly #isWorthFinishing: (flight: Flight) => boolean;
  readonly #runEnd: number;
  /** The end of the bytes that the source sends, as far as the flight does not cut them off. */
  #sentEnd: number;
  #reserveBytes: number;
  readonly #segments: (Segment | undefined)[];
  readonly #cut = new AbortController();
  #to: number;
  #filled: number;
  #source: FlightSource;
  #isUnverified = false;
  #isForgotten = false;
  #isShort = false;
  #isUnled: boolean;
  #readers = 0;
  #reservation: Reservation | undefined;
  #listeners: FlightListener[] = [];
  #state: FlightState = { kind: "filling" };

  constructor(key: ChunkKey, source: FlightSource, run: Run, options: FlightOptions = {}) {
    const lengthBytes = key.version.chunkLength(key.index);
    const { from, to } = run;
    assert(from >= 0 && from < to && to <= lengthBytes, "a run lies inside its chunk");
    assert(from % segmentSizeBytes === 0, "a run begins with a block");
    assert(to % segmentSizeBytes === 0 || to === lengthBytes, "a run ends with a block");
    this.key = key;
    this.from = from;
    this.trace = options.trace;
    this.#isWorthFinishing = options.isWorthFinishing ?? (() => true);
    this.#isUnled = options.isUnled ?? false;
    this.#source = source;
    this.#reserveBytes = to - from;
    this.#runEnd = to;
    this.#sentEnd = to;
    this.#to = to;
    this.#filled = from;
    this.#segments = new Array<undefined>(Math.ceil((to - from) / segmentSizeBytes)).fill(undefined);
  }

  get source(): FlightSource {
    return this.#source;
  }

  /** End (exclusive) of its run. */
  get to(): number {
    return this.#to;
  }

  /** The offset of the next byte. */
  get filled(): number {
    return this.#filled;
  }

  get isUnled(): boolean {
    return this.#isUnled;
  }

  /** Whether the reader that finds it leads it: once, where nobody has started it. */
  takeLead(): boolean {
    const leads = this.#isUnled;
    this.#isUnled = false;
    return leads;
  }

  get filledBlocks(): number {
    return Math.floor((this.#filled - this.from) / segmentSizeBytes);
  }

  /** Memory for its run. */
  get reserveBytes(): number {
    return this.#reserveBytes;
  }

  /** Nobody reads it any more, so its run ends earlier than it should have. */
  get isCut(): boolean {
    return this.#to < this.from + this.#reserveBytes;
  }

  /** Aborts when its last byte before a cut has come. */
  get cutSignal(): AbortSignal {
    return this.#cut.signal;
  }

  /** Cut before its first byte. */
  get isEmpty(): boolean {
    return this.#to === this.from;
  }

  /** It never waits for another replica again: its bytes are here, or the origin sends those it lacks. */
  get isRooted(): boolean {
    return this.#source !== "peer" || this.#state.kind === "filled";
  }

  /** The bytes that are still missing come from another source. */
  turnTo(source: FlightSource): void {
    assert(this.#state.kind === "filling", "only a flight in progress changes its source");
    this.#source = source;
  }

  /** Only the origin has the bytes that are still missing: from now on the flight asks no other replica. */
  turnToOrigin(): void {
    assert(this.#state.kind === "filling", "only a flight in progress changes its source");
    if (this.#source === "peer") this.noteUnverifiedBytes();
    this.#source = "origin";
  }

  /** The bytes that have come until now are from a peer, which named no SHA-256 for them. */
  noteUnverifiedBytes(): void {
    this.#isUnverified ||= this.#filled > this.from;
  }

  /** Whether its blocks can be stored one by one: nothing checks those of a peer before the chunk is whole. */
  get hasVerifiedBlocks(): boolean {
    return !this.#isUnverified && this.#source !== "peer";
  }

  /** The cache was cleared of the chunk while it was arriving: readers are served, and no tier stores it. */
  get isForgotten(): boolean {
    return this.#isForgotten;
  }

  forget(): void {
    this.#isForgotten = true;
  }

  get state(): FlightState {
    return this.#state;
  }

  get waiting(): number {
    return this.#listeners.length;
  }

  get hasMemory(): boolean {
    return this.#reservation !== undefined;
  }

  /** Memory for all that it fetches. After this its sink can be used. */
  useMemory(reservation: Reservation): void {
    assert(reservation.bytes === this.reserveBytes, "a flight reserves memory for all that it fetches");
    this.#reservation = reservation;
  }

  covers(offset: number): boolean {
    return offset >= this.from && offset < this.#to;
  }

  /** End (exclusive) of the bytes that can be read from `offset` on; `offset` itself when there are none yet. */
  readableEnd(offset: number): number {
    const isReadable = this.#state.kind === "filling" || this.#state.kind === "filled";
    return isReadable ? Math.max(offset, this.#filled) : offset;
  }

  /** The segment with the byte at `offset`, retained for the caller. The byte must be before {@link readableEnd}. */
  retainSegmentAt(offset: number): Segment {
    assert(offset < this.readableEnd(offset), "a byte is read after it was filled");
    return this.segmentAt(offset).retain();
  }

  /** The segment that the byte at `offset` goes into. Its sink has given room for that byte. */
  segmentAt(offset: number): Segment {
    const segment = this.#segments[Math.floor((offset - this.from) / segmentSizeBytes)];
    assert(segment !== undefined, "a segment is taken before its bytes arrive");
    return segment;
  }

  /** Somebody reads it, or wants it to be there when it reads on. */
  join(): void {
    this.#readers += 1;
  }

  /** Ends a {@link join}. After the last one {@link cutIfUnread}. */
  leave(): void {
    this.#readers -= 1;
    assert(this.#readers >= 0, "a reader leaves once");
    this.cutIfUnread();
  }

  /** Cuts the flight where nobody reads it, unless the rest of its run is worth fetching. */
  cutIfUnread(): void {
    if (this.#readers > 0 || this.#state.kind !== "filling") return;
    const blockEnd = Math.min(this.#to, blockEndOf(this.#filled));
    const isAtBoundary = this.#filled % segmentSizeBytes === 0;
    const end = isAtBoundary ? this.#filled : blockEnd;
    if (end < this.#to && !this.#isWorthFinishing(this)) this.cutTo(end);
  }

  /** Where memory is short: its run becomes an eighth of what it was, or one block. A second call does nothing. */
  shorten(): void {
    assert(this.#reservation === undefined, "a flight is shortened before it has memory");
    if (this.#isShort) return;
    this.#isShort = true;
    const blocks = Math.max(1, Math.floor((this.#to - this.from) / segmentSizeBytes / shortenedParts));
    const end = this.from + blocks * segmentSizeBytes;
    if (end >= this.#to) return;
    this.#reserveBytes = end - this.from;
    this.#to = end;
  }

  /** The run ends here: the blocks after it are held already, or nobody wants them. Readers of those look again. */
  cutTo(end: number): void {
    if (end >= this.#to) return;
    assert(end >= this.#filled && end % segmentSizeBytes === 0, "a flight is cut after a block");
    this.#to = end;
    if (this.#filled === end) this.#cut.abort();
    this.#notifyListeners();
  }

  /** Calls `listener` once, on the next bytes of the flight or when it ends. */
  listen(listener: FlightListener): void {
    assert(this.#state.kind === "filling", "only a flight that is filling changes");
    this.#listeners.push(listener);
  }

  unlisten(listener: FlightListener): void {
    const index = this.#listeners.indexOf(listener);
    if (index >= 0) this.#listeners.splice(index, 1);
  }

  /** Fetches the bytes that are missing by `read`. Resolves when they have come or the flight is cut. */
  async fetch(read: RunReader, signal: AbortSignal): Promise<void> {
    if (this.#filled === this.#to) return;
    this.#sentEnd = this.#to;
    try {
      await read(this.sink, AbortSignal.any([this.#cut.signal, signal]));
    } catch (thrown) {
      if (!this.#cut.signal.aborted) throw thrown;
    }
  }

  /**
   * All bytes have come: they become a chunk, whole or partial, which the flight holds until it is closed. Undefined
   * where it was cut before its first byte.
   */
  complete(): ChunkBytes | undefined {
    assert(this.#filled === this.#to, "a complete flight has all its bytes");
    const { version, index } = this.key;
    const lengthBytes = version.chunkLength(index);
    const firstBlock = this.from / segmentSizeBytes;
    const blocks = new Array<Segment | undefined>(Math.ceil(lengthBytes / segmentSizeBytes)).fill(undefined);
    for (const [at, segment] of this.#segments.entries()) {
      // A source may have asked for space after the cut.
      if (this.from + at * segmentSizeBytes >= this.#to) segment?.release();
      else blocks[firstBlock + at] = segment;
    }
    this.#reservation?.release();
    if (this.isEmpty) {
      this.#segments.fill(undefined);
      return undefined;
    }
    const chunk = new ChunkBytes(blocks, lengthBytes, {
      isUnverified: this.#isUnverified,
      isFromOrigin: this.#source === "origin",
      sentSha256: this.sentSha256,
    });
    this.#end({ kind: "filled", chunk });
    return chunk;
  }

  /** The bytes cannot be fetched. Those that have come are released and never stored. */
  fail(error: OrcaError): void {
    this.#releaseAll();
    this.#end({ kind: "failed", error });
  }

  /** The tiers have stored what they keep of it, or it was not needed. Readers that still listen look again. */
  close(): void {
    this.#releaseAll();
    this.#end({ kind: "closed" });
  }

  #end(state: FlightState): void {
    this.#state = state;
    this.#notifyListeners();
  }

  #releaseAll(): void {
    if (this.#state.kind === "filled") this.#state.chunk.release();
    else if (this.#state.kind === "filling") for (const segment of this.#segments) segment?.release();
    this.#segments.fill(undefined);
    this.#reservation?.release();
  }

  #spaceAt(offset: number): Buffer {
    const at = Math.floor((offset - this.from) / segmentSizeBytes);
    const start = this.from + at * segmentSizeBytes;
    return this.#segmentFor(at, start).bytes.subarray(offset - start);
  }

  #advance(lengthBytes: number): void {
    // A source may have had bytes in hand when the flight was cut.
    if (this.#cut.signal.aborted) return;
    this.trace?.arrived();
    this.#filled += lengthBytes;
    assert(this.#filled <= this.#to, "a flight is not filled past its end");
    if (this.#filled === this.#to && this.#to < this.#sentEnd) this.#cut.abort();
    this.#notifyListeners();
  }

  /** A segment is taken when its space is wanted. */
  #segmentFor(at: number, start: number): Segment {
    const present = this.#segments[at];
    if (present) return present;
    assert(this.#reservation !== undefined, "a flight has memory before it has bytes");
    const taken = this.#reservation.takeSegment(Math.min(segmentSizeBytes, this.#runEnd - start));
    this.#segments[at] = taken;
    return taken;
  }

  #notifyListeners(): void {
    if (this.#listeners.length === 0) return;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener.flightChanged();
  }
}
