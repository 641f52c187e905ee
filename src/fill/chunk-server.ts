/**
 * Answers peers that read ranges of chunks: the other end of a Relay. It serves what this replica holds to every
 * caller. It starts a fill only for chunks that this replica coordinates, and it never asks another replica, so a
 * request makes one hop, whatever the views of the members are. Its readers use the filler's flights and never a relay.
 *
 * Where disks are replicated, a flight of the filler may itself wait for another replica. Two could wait in a circle:
 *   1. A and B, whose views differ, each start a flight for one chunk that neither holds.
 *   2. A's flight asks B for cached bytes, and would join B's flight.
 *   3. B's flight asks A, and would join A's.
 * So a request for cached bytes joins only flights that are rooted, which means that they read from the origin for
 * good. A flight asks others only before it is rooted. In a circle of any length, each flight would have asked after
 * the next one was rooted, and before it was rooted itself. Around the circle a moment would be before itself, so there
 * is none.
 */
import { segmentSizeBytes } from "../base/memory-budget.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { Coordination } from "../membership/coordination.ts";
import { NotCoordinator } from "../membership/not-coordinator.ts";
import type { ChunkKey, ChunkStore } from "../store/chunk-store.ts";
import type { StepFields } from "../trace/spans/span.ts";
import { type Asker, chunkFields } from "../trace/trace.ts";
import { blockPresences } from "./block-presence.ts";
import type { ChunkFlights } from "./chunk-flights.ts";
import type { PeerRead, PeerSource } from "./chunk-peers.ts";
import type { Filler } from "./filler.ts";
import type { Flight } from "./flight.ts";
import { ObjectReader } from "./object-reader.ts";
import type { ReadPath } from "./read-path.ts";
import { blockEndOf } from "./run.ts";

/** A disk tier that knows the digests of the chunks that it has written or opened. */
export interface DigestStore extends ChunkStore {
  /** SHA-256 of a chunk in hex. */
  sha256(key: ChunkKey): string | undefined;
}

export interface ChunkServerOptions {
  /** The read path of this replica's own readers. Its tiers serve peers as well. */
  readonly path: ReadPath;
  readonly filler: Filler;
  readonly disk: DigestStore | undefined;
  readonly coordination: Coordination;
}

export interface ChunkAnswer {
  readonly lengthBytes: number;
  readonly source: PeerSource;
  readonly slices: ObjectReader;
  /** SHA-256 of the whole chunk, where it is known. To be called after the last byte. */
  sha256(): Promise<Uint8Array | undefined>;
}

export class ChunkServer {
  readonly stats = {
    answered: 0,
    /** Requests for chunks that another replica coordinates. */
    notCoordinator: 0,
    notHeld: 0,
  };
  readonly #options: ChunkServerOptions;
  readonly #path: ReadPath;
  readonly #cachedPath: ReadPath;

  constructor(options: ChunkServerOptions) {
    this.#options = options;
    const path = {
      ...options.path,
      // The caller reads ahead itself.
      readAheadMax: 0,
      windows: undefined,
      sentBytes: { memory: 0, disk: 0, cachestore: 0, peer: 0, origin: 0, join: 0 },
    };
    this.#path = { ...path, flights: options.filler };
    this.#cachedPath = { ...path, flights: new CachedFlights(options.filler) };
  }

  /** Bytes sent to other replicas, by where they came from. */
  get sentBytes(): ReadPath["sentBytes"] {
    return this.#path.sentBytes;
  }

  /**
   * Undefined where the caller wants only cached bytes, and there are none.
   * @throws NotCoordinator where this replica does not hold the range, and another one coordinates its chunk.
   */
  answer(request: PeerRead): ChunkAnswer | undefined {
    const { key, offset, lengthBytes, passedOver, cachedOnly, requestId } = request;
    const {
      coordination,
      path: { trace },
    } = this.#options;
    const held = this.#heldIn(request);
    if (trace?.isOn && requestId !== undefined) this.#traceRequest(request, requestId, held);
    if (!held && cachedOnly) {
      this.stats.notHeld += 1;
      return undefined;
    }
    const name = coordination.chunkName(key);
    if (!held && !coordination.isMine(name, passedOver)) {
      this.stats.notCoordinator += 1;
      throw new NotCoordinator(name, coordination.coordinator(name, passedOver), coordination.members());
    }
    this.stats.answered += 1;
    const start = key.index * key.version.chunkSizeBytes + offset;
    const asker: Asker | undefined = requestId === undefined ? undefined : { requestId, waits: undefined };
    const readPath = cachedOnly ? this.#cachedPath : this.#path;
    return {
      lengthBytes,
      source: held ?? "origin",
      slices: new ObjectReader(readPath, key.version, start, start + lengthBytes, asker),
      sha256: async () => this.digest(key),
    };
  }

  /** SHA-256 of a whole chunk, if the disk knows it. No part of a larger buffer: a message to a thread would clone all of that. */
  digest(key: ChunkKey): Uint8Array | undefined {
    const digest = this.#options.disk?.sha256(key);
    return digest === undefined ? undefined : Uint8Array.from(Buffer.from(digest, "hex"));
  }

  #traceRequest(request: PeerRead, requestId: string, held: PeerSource | undefined): void {
    const { key, cachedOnly, passedOver } = request;
    const { coordination, path } = this.#options;
    const isMine = coordination.isMine(coordination.chunkName(key), passedOver);
    const result = held ?? (cachedOnly ? "not_held" : isMine ? "accepted" : "not_coordinator");
    path.trace?.step("peer_request", requestId, peerRequestFields(request, result));
  }

  /** Where the first byte is; undefined where some block of the range is neither held nor arriving. */
  #heldIn({ key, offset, lengthBytes, cachedOnly }: PeerRead): PeerSource | undefined {
    const { path, filler, disk } = this.#options;
    const chunk = path.memory.peek(key.version.memoryKey(key.index));
    const onDisk = blockPresences(disk, key);
    const sourceOf = (at: number): PeerSource | undefined => {
      if (chunk?.segmentAt(at)) return "memory";
      const flight = filler.find(key, at);
      if (flight && (flight.isRooted || !cachedOnly)) return "flight";
      const presence = onDisk(Math.floor(at / segmentSizeBytes));
      // While a disk is scanned only a read can tell. A request for cached bytes may try one, since it starts no fill.
      return presence === "held" || (cachedOnly && presence === "unknown") ? "disk" : undefined;
    };
    const first = sourceOf(offset);
    if (first === undefined || chunk?.isWhole) return first;
    for (let at = blockEndOf(offset); at < offset + lengthBytes; at += segmentSizeBytes) {
      if (sourceOf(at) === undefined) return undefined;
    }
    return first;
  }
}

/** Of the step of a request for a chunk. */
export function peerRequestFields(
  { key, offset, lengthBytes, cachedOnly }: PeerRead,
  result: string,
): StepFields {
  return { ...chunkFields(key), question: "chunk", offset, lengthBytes, cachedOnly, result };
}

/**
 * For a reader that must start no fill: a chunk that was held a moment ago and is evicted is not held. Chunks on disk
 * are read block by block. A copy for another replica's disk is no reason to read a chunk into this replica's memory.
 */
class CachedFlights implements ChunkFlights {
  readonly stats = { joins: 0 };
  readonly #filler: Filler;

  constructor(filler: Filler) {
    this.#filler = filler;
  }

  has(key: ChunkKey): boolean {
    return this.#filler.has(key);
  }

  find(key: ChunkKey, offset: number): Flight | undefined {
    const flight = this.#filler.find(key, offset);
    return flight?.isRooted ? flight : undefined;
  }

  fill(key: ChunkKey): Flight {
    const memoryKey = key.version.memoryKey(key.index);
    throw new OrcaError("not_held", "fill", `Cannot read chunk "${memoryKey}": it is not held here`);
  }

  promote(): undefined {}

  readAhead(): undefined {}
}
