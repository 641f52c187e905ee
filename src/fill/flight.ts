/**
 * A fill in progress: one chunk that is arriving, and the readers that wait for its bytes. The leader that started the
 * flight and the joiners that found it read the bytes as they arrive, each at its own offset, out of the segments they
 * arrive in. No reader slows the flight down, and a reader that leaves releases only what it holds itself.
 *
 * Invariants:
 * 1. A part's bytes [from, filled) are final: they are only read. The source writes at `filled` and beyond.
 * 2. The flight holds one reference to each of its segments until it is closed. A reader takes its own reference before
 *    it passes bytes on.
 * 3. In any state other than `filling`, no more bytes are written. `closed` is the last state.
 */
import { assert } from "../base/assert.ts";
import type { ByteSink } from "../base/byte-sink.ts";
import { type Reservation, type Segment, segmentSizeBytes } from "../base/memory-budget.ts";
import type { OrcaError } from "../base/orca-error.ts";
import { ChunkBytes } from "../chunk/chunk-bytes.ts";
import type { ChunkKey } from "../store/chunk-store.ts";
import type { FetchTrace } from "../trace/fetch-trace.ts";

/** Where the bytes of a flight come from, as reported in `Cache-Status`. */
export type FlightSource = "origin" | "disk" | "cachestore" | "peer";

export type FlightState =
  | { readonly kind: "filling" }
  /** All bytes are here. The flight stays until the tiers have stored them. */
  | { readonly kind: "whole"; readonly chunk: ChunkBytes }
  /** The chunk was found in a tier, or the flight was given up: readers look again. */
  | { readonly kind: "closed" }
  | { readonly kind: "failed"; readonly error: OrcaError };

/** Called once per registration, on the next bytes of the flight or when it ends. */
export interface FlightListener {
  flightChanged(): void;
}

/** A contiguous range of the chunk, filled front to back by one read. */
export interface FlightPart {
  readonly from: number;
  readonly to: number;
  /** The offset of the next byte. */
  readonly filled: number;
}

type FillingPart = FlightPart & { filled: number };

/** Reads the bytes that a part still lacks into `sink`. */
export type PartReader = (part: FlightPart, sink: ByteSink, signal: AbortSignal) => Promise<void>;

/**
 * Where a flight begins for a reader at `offset`. When that is further into the chunk than one segment, the first GET
 * starts there, and a second one fetches the bytes before it: no reader waits for bytes that it did not ask for.
 */
export function flightStart(offset: number): number {
  return offset > segmentSizeBytes ? offset : 0;
}

export class Flight {
  readonly key: ChunkKey;
  /** Bytes of the chunk. */
  readonly lengthBytes: number;
  /** End (exclusive) of what this flight fetches: that of the chunk, or of the range that one reader wants. */
  readonly endOffset: number;
  /** Whether it fetches a range for one reader, see {@link Flight.ofRange}. */
  readonly isRange: boolean;
  /** Resolves once a reader waits for a byte before the one that the flight began with. */
  readonly frontWanted: Promise<void>;
  /** SHA-256 of the whole chunk in hex, as the replica that sent the bytes says; undefined where none did. */
  sentSha256: string | undefined;
  /** Undefined where no request is known for which it fetches. */
  readonly trace: FetchTrace | undefined;
  readonly #parts: readonly FillingPart[];
  readonly #segments: (Segment | undefined)[];
  readonly #wantFront: () => void;
  readonly #abandoned = new AbortController();
  #source: FlightSource;
  #hasUnverifiedBytes = false;
  #isForgotten = false;
  #reservation: Reservation | undefined;
  #listeners: FlightListener[] = [];
  #state: FlightState = { kind: "filling" };

  /**
   * `begin` is the offset in the chunk of the first byte to fetch. Where it is not 0, the flight has a second part: the
   * bytes before it. They are fetched last, or as soon as a reader waits for one of them.
   */
  constructor(key: ChunkKey, source: FlightSource, begin: number, trace?: FetchTrace, rangeEnd?: number) {
    this.key = key;
    this.trace = trace;
    this.#source = source;
    this.lengthBytes = key.version.chunkLength(key.index);
    this.endOffset = rangeEnd ?? this.lengthBytes;
    this.isRange = rangeEnd !== undefined;
    assert(begin >= 0 && begin < this.endOffset, "a flight begins inside its chunk");
    assert(this.endOffset <= this.lengthBytes, "a flight ends with its chunk");
    const front = begin > 0 && !this.isRange ? [emptyPart(0, begin)] : [];
    this.#parts = [emptyPart(begin, this.endOffset), ...front];
    this.#segments = new Array<undefined>(Math.ceil(this.lengthBytes / segmentSizeBytes)).fill(undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.frontWanted = promise;
    this.#wantFront = resolve;
  }

  /**
   * A flight for one reader alone, which ends it ({@link abandon}): the bytes `[begin, end)`, all in one segment. No
   * other reader joins it, and its bytes are not stored.
   */
  static ofRange(
    key: ChunkKey,
    source: FlightSource,
    begin: number,
    end: number,
    trace?: FetchTrace,
  ): Flight {
    const segmentStart = begin - (begin % segmentSizeBytes);
    assert(end - segmentStart <= segmentSizeBytes, "a range flight lies in one segment");
    return new Flight(key, source, begin, trace, end);
  }

  get source(): FlightSource {
    return this.#source;
  }

  /** It never waits for another replica again: its bytes are here, or the origin sends those it lacks. */
  get isRooted(): boolean {
    return this.#source !== "peer" || this.#state.kind === "whole";
  }

  /** The bytes that are still missing come from another source. */
  turnTo(source: FlightSource): void {
    assert(this.#state.kind === "filling", "only a flight in progress changes its source");
    this.#source = source;
  }

  /** Only the origin has the bytes that are still missing: from now on no part asks another replica. */
  turnToOrigin(): void {
    assert(this.#state.kind === "filling" && !this.isRange, "only a chunk in progress changes its source");
    if (this.#source === "peer") this.noteUnverifiedBytes();
    this.#source = "origin";
  }

  /** The bytes that have come until now are from a peer, which failed before it sent their SHA-256. */
  noteUnverifiedBytes(): void {
    this.#hasUnverifiedBytes ||= this.#parts.some(({ from, filled }) => filled > from);
  }

  /** Whether some bytes came from a peer that failed before it sent their SHA-256. */
  get hasUnverifiedBytes(): boolean {
    return this.#hasUnverifiedBytes;
  }

  /** The cache was cleared of the chunk while it was arriving: readers are served, and no tier stores it. */
  get isForgotten(): boolean {
    return this.#isForgotten;
  }

  forget(): void {
    this.#isForgotten = true;
  }

  /** Memory that it needs: that of its segments. */
  get reserveBytes(): number {
    if (!this.isRange) return this.lengthBytes;
    const start = Math.floor((this.#parts[0] as FlightPart).from / segmentSizeBytes) * segmentSizeBytes;
    return Math.min(segmentSizeBytes, this.lengthBytes - start);
  }

  get state(): FlightState {
    return this.#state;
  }

  get waiting(): number {
    return this.#listeners.length;
  }

  /** The ranges to fill, the one with the first byte asked for first. */
  get parts(): readonly FlightPart[] {
    return this.#parts;
  }

  get hasMemory(): boolean {
    return this.#reservation !== undefined;
  }

  /** Memory for all that it fetches. After this its sinks can be used. */
  useMemory(reservation: Reservation): void {
    assert(reservation.bytes === this.reserveBytes, "a flight reserves memory for all that it fetches");
    this.#reservation = reservation;
  }

  /** Where the next bytes of part `index` go. */
  sink(index: number): ByteSink {
    const target = this.#parts[index];
    assert(target !== undefined, "a sink belongs to a part");
    return {
      space: () => this.#space(target),
      advance: (lengthBytes) => {
        this.trace?.arrived();
        target.filled += lengthBytes;
        assert(target.filled <= target.to, "a part is not filled past its end");
        this.#notifyListeners();
      },
    };
  }

  /** End (exclusive) of the bytes that can be read from `offset` on; `offset` itself when there are none yet. */
  readableEnd(offset: number): number {
    if (this.#state.kind === "whole") return this.lengthBytes;
    if (this.#state.kind !== "filling") return offset;
    const target = this.#partAt(offset);
    return Math.max(offset, target.filled);
  }

  /** The segment with the byte at `offset`, retained for the caller. The byte must be before {@link readableEnd}. */
  retainSegmentAt(offset: number): Segment {
    const segment = this.#segments[Math.floor(offset / segmentSizeBytes)];
    assert(segment !== undefined && offset < this.readableEnd(offset), "a byte is read after it was filled");
    return segment.retain();
  }

  /** The segment that the byte at `offset` goes into. Its sink has given room for that byte. */
  segmentAt(offset: number): Segment {
    const segment = this.#segments[Math.floor(offset / segmentSizeBytes)];
    assert(segment !== undefined, "a segment is taken before its bytes arrive");
    return segment;
  }

  /** Calls `listener` once, on the next bytes anywhere in the flight or when it ends. */
  listen(offset: number, listener: FlightListener): void {
    assert(this.#state.kind === "filling", "only a flight that is filling changes");
    this.#listeners.push(listener);
    if (offset < (this.#parts[0] as FlightPart).from) this.#wantFront();
  }

  unlisten(listener: FlightListener): void {
    const index = this.#listeners.indexOf(listener);
    if (index >= 0) this.#listeners.splice(index, 1);
  }

  /**
   * Fetches all parts by `read`, the one with the first byte asked for first. Resolves when they are filled. Where one
   * fails, this rejects after the other has stopped using its sink, so that the segments can be released.
   */
  async fetch(read: PartReader, signal: AbortSignal): Promise<void> {
    const giveUp = new AbortController();
    const ended = AbortSignal.any([giveUp.signal, signal]);
    const readPart = async (index: number): Promise<void> => {
      const target = this.#parts[index] as FlightPart;
      if (target.filled < target.to) await read(target, this.sink(index), ended);
    };
    const first = readPart(0);
    if (this.#parts.length === 1) return first;
    await Promise.race([first, this.frontWanted]);
    const reads = [first, readPart(1)];
    try {
      await Promise.all(reads);
    } finally {
      giveUp.abort();
      await Promise.allSettled(reads);
    }
  }

  /** Of a range flight: aborts when its reader does not want it any more. */
  get abandoned(): AbortSignal {
    return this.#abandoned.signal;
  }

  /** Of a range flight: its reader has what it wanted, or has left. */
  abandon(): void {
    assert(this.isRange, "a flight that others may join is not abandoned");
    this.#abandoned.abort();
  }

  /** All parts are filled: the bytes become a chunk, which the flight holds until it is closed. */
  complete(): ChunkBytes {
    assert(
      this.#parts.every((each) => each.filled === each.to),
      "a complete flight has all its bytes",
    );
    const segments = this.#segments.map((segment) => {
      assert(segment !== undefined, "a complete flight has all its segments");
      return segment;
    });
    const chunk = new ChunkBytes(segments, this.lengthBytes);
    this.#end({ kind: "whole", chunk });
    return chunk;
  }

  /** The bytes cannot be fetched. Those that have come are released and never stored. */
  fail(error: OrcaError): void {
    this.#releaseParts();
    this.#end({ kind: "failed", error });
  }

  /** The tiers have stored what they keep of it, or it was not needed. Readers that still listen look again. */
  close(): void {
    if (this.#state.kind === "whole") this.#state.chunk.release();
    else if (this.#state.kind === "filling") this.#releaseParts();
    this.#end({ kind: "closed" });
  }

  #end(state: FlightState): void {
    this.#state = state;
    this.#notifyListeners();
  }

  #releaseParts(): void {
    for (const segment of this.#segments) segment?.release();
    this.#segments.fill(undefined);
    this.#reservation?.release();
  }

  #space(target: FlightPart): Buffer {
    const index = Math.floor(target.filled / segmentSizeBytes);
    const start = index * segmentSizeBytes;
    const segment = this.#segmentFor(index, start);
    return segment.bytes.subarray(target.filled - start, Math.min(target.to - start, segment.bytes.length));
  }

  /** A segment is taken when its first bytes arrive, so a slow fill does not hold memory that the pool could lend. */
  #segmentFor(index: number, start: number): Segment {
    const present = this.#segments[index];
    if (present) return present;
    assert(this.#reservation !== undefined, "a flight has memory before it has bytes");
    const taken = this.#reservation.takeSegment(Math.min(segmentSizeBytes, this.lengthBytes - start));
    this.#segments[index] = taken;
    return taken;
  }

  #partAt(offset: number): FlightPart {
    const found = this.#parts.find((each) => offset >= each.from && offset < each.to);
    assert(found !== undefined, "an offset lies inside the chunk");
    return found;
  }

  #notifyListeners(): void {
    if (this.#listeners.length === 0) return;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener.flightChanged();
  }
}

function emptyPart(from: number, to: number): FillingPart {
  return { from, to, filled: from };
}
