/**
 * A fill in progress: one chunk coming in, and everybody who waits for some byte of it. The leader that started it and
 * the joiners that found it read the bytes as they arrive, each at its own offset, out of the segments they arrive in;
 * nobody's pace holds back the flight, and a reader that leaves frees only itself.
 *
 * Invariants:
 * 1. A part's bytes [from, filled) are final: they are only ever read. The origin writes at `filled` and beyond.
 * 2. The flight holds one reference to each of its segments until it is closed; a reader takes its own before it
 *    hands bytes on.
 * 3. Once a state other than `filling` is reached, no more bytes are written. `closed` is last.
 */
import { assert } from "../base/assert.ts";
import type { ByteSink } from "../base/byte-sink.ts";
import { type Reservation, type Segment, segmentSizeBytes } from "../base/memory-budget.ts";
import type { OrcaError } from "../base/orca-error.ts";
import { ChunkBytes } from "../chunk/chunk-bytes.ts";
import type { ChunkKey } from "../store/chunk-store.ts";

/** Where the bytes of a flight come from, as told in `Cache-Status`. */
export type FlightSource = "origin" | "disk" | "cachestore" | "peer";

export type FlightState =
  | { readonly kind: "filling" }
  /** All bytes are here. The flight lives on until the tiers have taken them. */
  | { readonly kind: "whole"; readonly chunk: ChunkBytes }
  /** The chunk was found in a tier after all, or the flight was let go of: look again. */
  | { readonly kind: "closed" }
  | { readonly kind: "failed"; readonly error: OrcaError };

/** Told once per registration that something changed at its offset or for the whole flight. */
export interface FlightListener {
  flightChanged(): void;
}

/** A contiguous stretch of the chunk, filled front to back by one GET. */
interface Part {
  readonly from: number;
  readonly to: number;
  filled: number;
}

/** Brings the bytes of one part that are still owed into `sink`. */
export type PartReader = (part: Readonly<Part>, sink: ByteSink, signal: AbortSignal) => Promise<void>;

export class Flight {
  readonly ref: ChunkKey;
  /** Bytes of the chunk. */
  readonly lengthBytes: number;
  /** End (exclusive) of what this flight brings: that of the chunk, or of a piece that one reader wants for itself. */
  readonly endOffset: number;
  readonly isPiece: boolean;
  /** Resolves once somebody waits for a byte before the one the flight began with. */
  readonly frontWanted: Promise<void>;
  readonly #parts: readonly Part[];
  readonly #segments: (Segment | undefined)[];
  readonly #wantFront: () => void;
  readonly #letGo = new AbortController();
  /** What the replica that sent the bytes says the whole chunk hashes to, in hex; undefined where nobody said. */
  sentSha256: string | undefined;
  #source: FlightSource;
  #hasPeerBytes = false;
  #reservation: Reservation | undefined;
  #listeners: FlightListener[] = [];
  #state: FlightState = { kind: "filling" };

  /**
   * `begin` is the offset in the chunk of the first byte to bring. Where it is not 0 the flight has a second part, the
   * bytes before it, which is brought last or as soon as somebody waits for it.
   */
  constructor(ref: ChunkKey, source: FlightSource, begin: number, pieceEnd?: number) {
    this.ref = ref;
    this.#source = source;
    this.lengthBytes = ref.version.chunkLength(ref.index);
    this.endOffset = pieceEnd ?? this.lengthBytes;
    this.isPiece = pieceEnd !== undefined;
    assert(begin >= 0 && begin < this.endOffset, "a flight begins inside its chunk");
    assert(this.endOffset <= this.lengthBytes, "a flight ends with its chunk");
    const front = begin > 0 && !this.isPiece ? [part(0, begin)] : [];
    this.#parts = [part(begin, this.endOffset), ...front];
    this.#segments = new Array<undefined>(Math.ceil(this.lengthBytes / segmentSizeBytes)).fill(undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.frontWanted = promise;
    this.#wantFront = resolve;
  }

  /**
   * A flight for one reader alone, which lets go of it ({@link abandon}): the bytes `[begin, end)`, all in one segment.
   * Nobody joins it and nothing of it is kept.
   */
  static piece(ref: ChunkKey, source: FlightSource, begin: number, end: number): Flight {
    const segmentStart = begin - (begin % segmentSizeBytes);
    assert(end - segmentStart <= segmentSizeBytes, "a piece lies in one segment");
    return new Flight(ref, source, begin, end);
  }

  get source(): FlightSource {
    return this.#source;
  }

  /** It waits for no other replica any more, and never will: its bytes are here, or the origin brings what is owed. */
  get isRooted(): boolean {
    return this.#source !== "peer" || this.#state.kind === "whole";
  }

  /** What is still owed is asked for elsewhere. */
  turnTo(source: FlightSource): void {
    assert(this.#state.kind === "filling", "only a flight in progress changes its source");
    this.#source = source;
  }

  /** Nobody but the origin has what is still owed: no part asks another replica from now on. */
  turnToOrigin(): void {
    assert(this.#state.kind === "filling" && !this.isPiece, "only a chunk in progress changes its source");
    if (this.#source === "peer") this.notePeerBytes();
    this.#source = "origin";
  }

  /** What has come until now is a peer's, and that peer did not live to say what it hashes to. */
  notePeerBytes(): void {
    this.#hasPeerBytes ||= this.#parts.some(({ from, filled }) => filled > from);
  }

  /** Some of its bytes are a peer's that did not live to say what they hash to. */
  get hasPeerBytes(): boolean {
    return this.#hasPeerBytes;
  }

  /** Memory that it takes: that of its segments. */
  get reserveBytes(): number {
    if (!this.isPiece) return this.lengthBytes;
    const start = Math.floor((this.#parts[0] as Part).from / segmentSizeBytes) * segmentSizeBytes;
    return Math.min(segmentSizeBytes, this.lengthBytes - start);
  }

  get state(): FlightState {
    return this.#state;
  }

  get waiting(): number {
    return this.#listeners.length;
  }

  /** The stretches to fill, the one with the first byte asked for first. */
  get parts(): readonly { readonly from: number; readonly to: number; readonly filled: number }[] {
    return this.#parts;
  }

  get isBoarded(): boolean {
    return this.#reservation !== undefined;
  }

  /** Memory for all it brings; from now on sinks may be used. */
  board(reservation: Reservation): void {
    assert(reservation.bytes === this.reserveBytes, "a flight reserves all it brings");
    this.#reservation = reservation;
  }

  /** Where the next bytes of part `index` go. */
  sink(index: number): ByteSink {
    const target = this.#parts[index];
    assert(target !== undefined, "a sink belongs to a part");
    return {
      space: () => this.#space(target),
      advance: (lengthBytes) => {
        target.filled += lengthBytes;
        assert(target.filled <= target.to, "a part is not filled past its end");
        this.#tellListeners();
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

  /** The segment that holds the byte at `offset`, retained for the caller. Only where {@link readableEnd} says so. */
  retainSegmentAt(offset: number): Segment {
    const segment = this.#segments[Math.floor(offset / segmentSizeBytes)];
    assert(segment !== undefined && offset < this.readableEnd(offset), "a byte is read after it was filled");
    return segment.retain();
  }

  /** Calls `listener` once, on the next bytes anywhere in the flight or on its end. */
  listen(offset: number, listener: FlightListener): void {
    assert(this.#state.kind === "filling", "only a flight that is filling changes");
    this.#listeners.push(listener);
    if (offset < (this.#parts[0] as Part).from) this.#wantFront();
  }

  unlisten(listener: FlightListener): void {
    const index = this.#listeners.indexOf(listener);
    if (index >= 0) this.#listeners.splice(index, 1);
  }

  /**
   * Brings all parts by `read`, the one with the first byte asked for first; resolves when they are filled. Where one
   * fails, the other has let go of its sink before this rejects, so that the segments can be given back.
   */
  async bring(read: PartReader, signal: AbortSignal): Promise<void> {
    const giveUp = new AbortController();
    const ended = AbortSignal.any([giveUp.signal, signal]);
    const readPart = async (index: number): Promise<void> => {
      const target = this.#parts[index] as Part;
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

  /** For a piece: aborts when its reader wants it no more. */
  get letGo(): AbortSignal {
    return this.#letGo.signal;
  }

  /** For a piece: its reader wants it no more. */
  get isLetGo(): boolean {
    return this.#letGo.signal.aborted;
  }

  /** For a piece: its reader has what it wants of it, or has left. */
  abandon(): void {
    assert(this.isPiece, "a flight that others may join is not abandoned");
    this.#letGo.abort();
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
    this.#land({ kind: "whole", chunk });
    return chunk;
  }

  /** The bytes cannot be had. What has come is let go of; nothing of it is ever stored. */
  fail(error: OrcaError): void {
    this.#releaseParts();
    this.#land({ kind: "failed", error });
  }

  /** The tiers have what they want of it, or it was not needed. Whoever still listens looks again. */
  close(): void {
    if (this.#state.kind === "whole") this.#state.chunk.release();
    else if (this.#state.kind === "filling") this.#releaseParts();
    this.#land({ kind: "closed" });
  }

  #land(state: FlightState): void {
    this.#state = state;
    this.#tellListeners();
  }

  #releaseParts(): void {
    for (const segment of this.#segments) segment?.release();
    this.#segments.fill(undefined);
    this.#reservation?.release();
  }

  #space(target: Part): Buffer {
    const index = Math.floor(target.filled / segmentSizeBytes);
    const start = index * segmentSizeBytes;
    const segment = this.#segmentFor(index, start);
    return segment.bytes.subarray(target.filled - start, Math.min(target.to - start, segment.bytes.length));
  }

  /** Segments are taken as bytes arrive, so a slow fill does not sit on memory that the pool could lend. */
  #segmentFor(index: number, start: number): Segment {
    const present = this.#segments[index];
    if (present) return present;
    assert(this.#reservation !== undefined, "a flight has memory before it has bytes");
    const taken = this.#reservation.takeSegment(Math.min(segmentSizeBytes, this.lengthBytes - start));
    this.#segments[index] = taken;
    return taken;
  }

  #partAt(offset: number): Part {
    const found = this.#parts.find((each) => offset >= each.from && offset < each.to);
    assert(found !== undefined, "an offset lies inside the chunk");
    return found;
  }

  #tellListeners(): void {
    if (this.#listeners.length === 0) return;
    const told = this.#listeners;
    this.#listeners = [];
    for (const listener of told) listener.flightChanged();
  }
}

function part(from: number, to: number): Part {
  return { from, to, filled: from };
}
