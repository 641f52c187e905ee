/**
 * Bodies in a thread of the edge. A reader takes blocks out of shared memory while they are there, and asks nobody. At the
 * first block that is not, it asks the engine for all that is left: the engine then reads, and sends one slice after the
 * other, each a place in a slab. Once all that is left has come into memory, the reader needs the engine no more: so a
 * chunk that is read from disk into memory, or fetched, costs no messages for what its client takes after that.
 *
 * Invariants:
 * 1. One slice is pinned at a time: a row of the index by this thread, or a slice of the engine's reader by the engine.
 * 2. All threads together pin so many slabs at most, beside the first one of each. A reader beyond that is served by the
 *    engine, which copies for slow clients (reader-memory.ts). The first one is not counted: most hits pin no other, and a
 *    count of all threads would cost each of them two writes to memory that all cores want.
 */
import { assert } from "../../base/assert.ts";
import { segmentSizeBytes } from "../../base/memory-budget.ts";
import type { OrcaError } from "../../base/orca-error.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { Bodies, BodyReader } from "../../fill/bodies.ts";
import type { PeerSource } from "../../fill/chunk-peers.ts";
import type { ReadSource } from "../../fill/read-path.ts";
import { blockKeyOf, setBlock } from "../../store/shared-index/block-key.ts";
import { noRow } from "../../store/shared-index/pin-protocol.ts";
import type { SharedBlocks } from "../../store/shared-index/shared-blocks.ts";
import { type Asker, chunkFields, type Trace } from "../../trace/trace.ts";
import type { EngineLink, ReadListener } from "./engine-link.ts";
import type { ProcessLimits } from "./process-limits.ts";
import type { SentPeerRead } from "./question.ts";

export interface ThreadBodiesOptions {
  readonly link: EngineLink;
  readonly blocks: SharedBlocks;
  readonly trace: Trace;
  readonly limits: Pick<ProcessLimits, "tryPinSlab" | "unpinSlab">;
  /** Slabs of 1 MiB that all threads pin at once, beside the first one of each. */
  readonly pinnedSlabsMax: number;
  /** `chunking.readahead`. */
  readonly readAheadMax: number;
}

/** As far as a reader reaches that enters its first chunk (fill/flights-ahead.ts). */
const aheadMax = 2;

export class ThreadBodies implements Bodies {
  /** `peerBytes`: sent to other replicas, and not among `sentBytes`. */
  readonly stats = { hits: 0, sentBytes: 0, peerBytes: 0 };
  readonly #options: ThreadBodiesOptions;
  /** By the numbers of the slabs: how many slices lie in each. */
  readonly #pins: number[] = [];
  #pinnedSlabs = 0;

  constructor(options: ThreadBodiesOptions) {
    this.#options = options;
  }

  get trace(): Trace {
    return this.#options.trace;
  }

  get link(): EngineLink {
    return this.#options.link;
  }

  open(version: ObjectVersion, start: number, end: number, asker: Asker): BodyReader {
    return new ThreadReader(this, version, start, end, asker);
  }

  dropBegun(asker: Asker): void {
    this.#options.link.dropBegun(asker);
  }

  /** A reader of a range of one chunk, for another replica. */
  openForPeer(version: ObjectVersion, start: number, end: number, forPeer: SentPeerRead): ThreadReader {
    const asker = { requestId: forPeer.requestId ?? "", waits: undefined };
    return new ThreadReader(this, version, start, end, asker, forPeer);
  }

  /** The row of the block with the byte at `offset` of chunk `index`, pinned; {@link noRow} where the engine must be asked. */
  pin(version: ObjectVersion, index: number, offset: number): number {
    const key = keyOf(version);
    setBlock(key, version.chunkSizeBytes, index, offset);
    const { blocks, limits, pinnedSlabsMax } = this.#options;
    const row = blocks.pin(key);
    if (row === noRow) return noRow;
    const slab = blocks.slabNumberOf(row);
    const pins = this.#pins[slab] ?? 0;
    if (pins === 0 && this.#pinnedSlabs > 0 && !limits.tryPinSlab(pinnedSlabsMax)) {
      blocks.unpin(row);
      return noRow;
    }
    if (pins === 0) this.#pinnedSlabs += 1;
    this.#pins[slab] = pins + 1;
    return row;
  }

  /**
   * Whether the chunks are in memory that a reader in chunk `index` reads ahead, as far as it wants bytes until `end`. If
   * not, the engine must read: it fetches them while the client takes those before.
   */
  holdsAhead(version: ObjectVersion, index: number, end: number): boolean {
    const { chunkSizeBytes } = version;
    const last = Math.min(
      Math.floor((end - 1) / chunkSizeBytes),
      index + Math.min(aheadMax, this.#options.readAheadMax),
    );
    for (let ahead = index + 1; ahead <= last; ahead += 1) {
      const row = this.pin(version, ahead, 0);
      if (row === noRow) return false;
      this.unpin(row);
    }
    return true;
  }

  /**
   * Whether all is in memory that a reader at `position` still wants. Chunks after its own are left to the engine, which
   * reads them ahead.
   */
  holdsRest(version: ObjectVersion, position: number, end: number): boolean {
    const { chunkSizeBytes } = version;
    const index = Math.floor(position / chunkSizeBytes);
    const chunkStart = index * chunkSizeBytes;
    if (end > chunkStart + chunkSizeBytes) return false;
    for (let at = position; at < end; at += segmentSizeBytes - (at % segmentSizeBytes)) {
      const row = this.pin(version, index, at - chunkStart);
      if (row === noRow) return false;
      this.unpin(row);
    }
    return true;
  }

  slice(row: number, from: number, to: number, isForPeer: boolean): Buffer {
    const bytes = this.#options.blocks.slice(row, from, to);
    if (isForPeer) this.stats.peerBytes += bytes.length;
    else this.stats.sentBytes += bytes.length;
    return bytes;
  }

  /** Counts a use of the chunk with this row. */
  use(row: number): void {
    this.#options.blocks.use(row);
    this.stats.hits += 1;
  }

  unpin(row: number): void {
    const { blocks, limits } = this.#options;
    const slab = blocks.slabNumberOf(row);
    blocks.unpin(row);
    const pins = this.#pins[slab] ?? 0;
    assert(pins > 0, "a row is unpinned once");
    this.#pins[slab] = pins - 1;
    if (pins > 1) return;
    this.#pinnedSlabs -= 1;
    if (this.#pinnedSlabs > 0) limits.unpinSlab();
  }
}

function keyOf(version: ObjectVersion): Int32Array {
  const { memoryEntry } = version;
  if (memoryEntry instanceof Int32Array) return memoryEntry;
  const key = blockKeyOf(version);
  version.memoryEntry = key;
  return key;
}

export class ThreadReader implements BodyReader, ReadListener {
  source: ReadSource | undefined;
  readonly asker: Asker;
  readonly #bodies: ThreadBodies;
  readonly version: ObjectVersion;
  readonly isPlanned: boolean;
  readonly forPeer: SentPeerRead | undefined;
  /** The chunks that it reads ahead are not all in memory: the engine reads the rest. */
  #asksFirst = false;
  readonly #start: number;
  readonly #end: number;
  #position: number;
  #chunkIndex = -1;
  #row = noRow;
  /** Of the engine's reader; 0 before there is one. */
  #readId = 0;
  /** It came and was not taken yet. */
  #arrived: Buffer | undefined;
  #arrivedSource: ReadSource = "memory";
  #holdsArrived = false;
  #waiting: PromiseWithResolvers<void> | undefined;
  #accepting: PromiseWithResolvers<PeerSource> | undefined;
  #error: OrcaError | undefined;

  constructor(
    bodies: ThreadBodies,
    version: ObjectVersion,
    start: number,
    end: number,
    asker: Asker,
    forPeer?: SentPeerRead,
  ) {
    this.#bodies = bodies;
    this.version = version;
    this.#start = start;
    this.#end = end;
    this.#position = start;
    this.asker = asker;
    this.forPeer = forPeer;
    // The engine begins reads for clients alone.
    this.#readId = forPeer === undefined ? bodies.link.takeBegun(start, end, this) : 0;
    this.isPlanned = this.#readId !== 0;
  }

  get takenBytes(): number {
    return this.#position - this.#start;
  }

  get range(): readonly [start: number, end: number] {
    return [this.#start, this.#end];
  }

  get done(): boolean {
    return this.#position === this.#end;
  }

  /** Those that a message of the engine brings: it pins them. */
  get keepsReady(): boolean {
    return this.#readId !== 0;
  }

  take(): Buffer | null {
    if (this.#readId !== 0) return this.#takeArrived();
    if (this.#asksFirst) return null;
    const { chunkSizeBytes } = this.version;
    const index = Math.floor(this.#position / chunkSizeBytes);
    if (index !== this.#chunkIndex && !this.#bodies.holdsAhead(this.version, index, this.#end)) {
      this.#asksFirst = true;
      return null;
    }
    const offset = this.#position - index * chunkSizeBytes;
    const row = this.#bodies.pin(this.version, index, offset);
    if (row === noRow) return null;
    this.#row = row;
    const inBlock = offset % segmentSizeBytes;
    const toInBlock = inBlock + this.#end - this.#position;
    if (index !== this.#chunkIndex) this.#bodies.use(row);
    const slice = this.#bodies.slice(row, inBlock, toInBlock, this.forPeer !== undefined);
    if (index !== this.#chunkIndex && this.#bodies.trace.isOn) this.#traceFirstBytes(index);
    this.#chunkIndex = index;
    this.source ??= "memory";
    this.#position += slice.length;
    return slice;
  }

  release(): void {
    if (this.#row !== noRow) {
      this.#bodies.unpin(this.#row);
      this.#row = noRow;
    }
    if (!this.#holdsArrived) return;
    this.#holdsArrived = false;
    if (this.done) this.#closeRead();
    else if (this.#bodies.holdsRest(this.version, this.#position, this.#end)) this.#leaveEngine();
    else this.#bodies.link.next(this.#readId);
  }

  async ready(): Promise<void> {
    if (this.#error) throw this.#error;
    if (this.#arrived) return;
    this.#openRead();
    this.#waiting = Promise.withResolvers<void>();
    await this.#waiting.promise;
  }

  /** Asks the engine for another replica's range. Resolves with the place where it reads. @throws as ChunkServer does. */
  ask(): Promise<PeerSource> {
    this.#accepting = Promise.withResolvers<PeerSource>();
    this.#openRead();
    return this.#accepting.promise;
  }

  close(): void {
    this.#holdsArrived = false;
    this.release();
    this.#closeRead();
    this.#waiting?.resolve();
  }

  sliceCame(bytes: Buffer, source: ReadSource): void {
    this.#arrived = bytes;
    this.#arrivedSource = source;
    this.#waiting?.resolve();
  }

  accepted(source: PeerSource): void {
    this.#accepting?.resolve(source);
  }

  failed(error: OrcaError): void {
    this.#error = error;
    this.#accepting?.reject(error);
    if (this.#waiting) this.#waiting.reject(error);
  }

  #openRead(): void {
    if (this.#readId !== 0) return;
    this.#readId = this.#bodies.link.open(this.version, this.#position, this.#end, this);
  }

  #traceFirstBytes(index: number): void {
    const fields = { ...chunkFields({ version: this.version, index }), source: "memory" };
    this.#bodies.trace.step("first_bytes", this.asker.requestId, fields);
  }

  #takeArrived(): Buffer | null {
    const slice = this.#arrived;
    if (slice === undefined) return null;
    this.#arrived = undefined;
    this.#holdsArrived = true;
    this.source ??= this.#arrivedSource;
    this.#position += slice.length;
    return slice;
  }

  /** The engine has counted the use of the chunk of its last slice, and not of the next one, which may begin here. */
  #leaveEngine(): void {
    this.#closeRead();
    this.#readId = 0;
    this.#asksFirst = false;
    this.#chunkIndex = Math.floor((this.#position - 1) / this.version.chunkSizeBytes);
  }

  #closeRead(): void {
    if (this.#readId !== 0) this.#bodies.link.close(this.#readId, this.done);
    this.#arrived = undefined;
  }
}
