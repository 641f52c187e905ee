/**
 * What this replica answers to others that want a stretch of a chunk: the other end of a Relay. It serves what it holds
 * to whoever asks; it starts a fill only for chunks that it coordinates, and never asks another replica, so that
 * whatever the views say, a request makes one hop. Its readers know the filler's flights alone and never a relay.
 *
 * Where disks are replicated a flight of the filler may itself wait for another replica, so two could wait in a circle:
 *   1. A and B, whose views differ, each start a flight for one chunk that neither holds;
 *   2. A's flight asks B for what is cached, and would join B's flight;
 *   3. B's flight asks A, and would join A's.
 * So who asks for what is cached joins only flights that are rooted: that have turned to the origin for good. A flight
 * asks others only before it is rooted. Along a circle each would have asked after the next one was rooted, and
 * before it was itself; going once around, a moment would lie before itself, so there is no circle of any length.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { Coordination } from "../membership/coordination.ts";
import { NotCoordinator } from "../membership/not-coordinator.ts";
import type { ChunkKey, ChunkStore } from "../store/chunk-store.ts";
import type { ChunkFlights } from "./chunk-flights.ts";
import type { PeerRead, PeerSource } from "./chunk-peers.ts";
import type { Filler } from "./filler.ts";
import type { Flight } from "./flight.ts";
import { ObjectReader, type ReadPath } from "./object-reader.ts";

/** A disk tier that knows the digests of what it has written or opened. */
export interface DigestStore extends ChunkStore {
  /** SHA-256 of a chunk in hex. */
  sha256(ref: ChunkKey): string | undefined;
}

export interface ChunkServerOptions {
  /** That of this replica's own readers, whose tiers are looked in here too. */
  readonly path: ReadPath;
  readonly filler: Filler;
  readonly disk: DigestStore | undefined;
  readonly coordination: Coordination;
}

export interface ChunkAnswer {
  readonly lengthBytes: number;
  readonly source: PeerSource;
  readonly slices: ObjectReader;
  /** SHA-256 of the whole chunk, where it is known. Asked for behind the last byte. */
  sha256(): Promise<Uint8Array | undefined>;
}

export class ChunkServer {
  readonly stats = { answered: 0, refused: 0, notHeld: 0 };
  readonly #options: ChunkServerOptions;
  readonly #path: ReadPath;
  readonly #cachedPath: ReadPath;

  constructor(options: ChunkServerOptions) {
    this.#options = options;
    // Who reads through other replicas does its own reading ahead.
    const shared = {
      ...options.path,
      readAheadMax: 0,
      sentBytes: { memory: 0, disk: 0, cachestore: 0, peer: 0, origin: 0, join: 0 },
    };
    this.#path = { ...shared, flights: options.filler };
    this.#cachedPath = { ...shared, flights: new CachedFlights(options.filler) };
  }

  /** Bytes given to other replicas, by where they came from. */
  get sentBytes(): ReadPath["sentBytes"] {
    return this.#path.sentBytes;
  }

  /**
   * Undefined: only what is cached was asked for, and there is nothing.
   * @throws NotCoordinator where the chunk is not held here and another replica coordinates it.
   */
  answer({ ref, offset, lengthBytes, passedOver, cachedOnly }: PeerRead): ChunkAnswer | undefined {
    const { coordination, disk } = this.#options;
    const held = this.#heldIn(ref, cachedOnly);
    if (!held && cachedOnly) {
      this.stats.notHeld += 1;
      return undefined;
    }
    const path = ref.version.chunkPath(ref.index);
    if (!held && !coordination.isMine(path, passedOver)) {
      this.stats.refused += 1;
      throw new NotCoordinator(path, coordination.coordinator(path, passedOver), coordination.members());
    }
    this.stats.answered += 1;
    const start = ref.index * ref.version.chunkSizeBytes + offset;
    const readPath = cachedOnly ? this.#cachedPath : this.#path;
    return {
      lengthBytes,
      source: held ?? "origin",
      slices: new ObjectReader(readPath, ref.version, start, start + lengthBytes),
      sha256: async () => {
        const digest = disk?.sha256(ref);
        return digest === undefined ? undefined : Buffer.from(digest, "hex");
      },
    };
  }

  #heldIn(ref: ChunkKey, cachedOnly: boolean): PeerSource | undefined {
    const { path, filler, disk } = this.#options;
    if (path.memory.peek(ref.version.memoryKey(ref.index))) return "memory";
    const flight = filler.find(ref);
    if (flight && (flight.isRooted || !cachedOnly)) return "flight";
    const presence = disk?.presence(ref);
    // While a disk is scanned only a read can tell, and who asks for what is cached starts no fill by it.
    if (presence === "held" || (cachedOnly && presence === "unknown")) return "disk";
    return undefined;
  }
}

/**
 * For a reader that must start no fill: what was held a moment ago and is gone is not held. What is on disk is read from
 * there block by block, since a copy for another replica's disk is no reason to bring a chunk into memory here.
 */
class CachedFlights implements ChunkFlights {
  readonly stats = { joins: 0 };
  readonly #filler: Filler;

  constructor(filler: Filler) {
    this.#filler = filler;
  }

  find(ref: ChunkKey): Flight | undefined {
    const flight = this.#filler.find(ref);
    return flight?.isRooted ? flight : undefined;
  }

  fill(ref: ChunkKey): Flight {
    const name = ref.version.memoryKey(ref.index);
    throw new OrcaError("not_held", "fill", `Cannot read chunk "${name}": it is not held here`);
  }

  promote(): undefined {}

  readAhead(): void {}
}
