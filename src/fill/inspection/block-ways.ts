/**
 * Tells which way a client's read would get each block of an object now, in the order in which object-reader.ts,
 * relay.ts and filler.ts look: memory, a flight, the disk; then the coordinator, the cachestore, copies on other disks,
 * and the origin. It is a prediction: what it says may be over when the read comes.
 */
import { segmentSizeBytes } from "../../base/memory-budget.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { Coordination } from "../../membership/coordination.ts";
import { blockBits, blocksIn, flightSourceIn } from "./held-blocks.ts";

export interface BlockWaysOptions {
  readonly replicaId: string;
  /** Undefined in a cluster of one. */
  readonly coordination: Pick<Coordination, "chunkName" | "peekNext" | "ranked"> | undefined;
  /** `cluster.replication`: 1 where disks are not replicated. */
  readonly copies: number;
  readonly hasCachestore: boolean;
}

/** Where the bytes lie; `unknown` where a replica did not answer. */
export type WayFrom = "memory" | "flight" | "disk" | "cachestore" | "copy" | "origin" | "unknown";

/** One way, for the bytes `[first, last]` of an object. */
export interface Way {
  readonly first: number;
  readonly last: number;
  readonly firstChunk: number;
  readonly lastChunk: number;
  readonly from: WayFrom;
  /** The replica that holds the bytes, or that asks the cachestore or the origin for them. */
  readonly at: string;
  readonly coordinator: string;
  /** Other replicas that hold a copy, in memory or on disk. */
  readonly copies: readonly string[];
  readonly why: string;
}

export interface HeldByReplicas {
  readonly version: ObjectVersion;
  readonly firstChunk: number;
  readonly chunkCount: number;
  /** A byte for each block, by replica; undefined for one that did not answer. */
  readonly blocks: ReadonlyMap<string, Uint8Array | undefined>;
}

type Route = Pick<Way, "from" | "at" | "why">;

interface Chunk {
  readonly path: string;
  readonly coordinator: string;
  readonly avoided: readonly string[];
}

const heldBits = blockBits.memory | blockBits.disk;

export class BlockWays {
  readonly #options: BlockWaysOptions;

  constructor(options: BlockWaysOptions) {
    this.#options = options;
  }

  /** The ways of the bytes `[start, end)`. Blocks in a row that come the same way share one. */
  of(held: HeldByReplicas, start: number, end: number): Way[] {
    const { version, firstChunk, chunkCount } = held;
    const ways: Way[] = [];
    let at = 0;
    for (let index = firstChunk; index < firstChunk + chunkCount; index += 1) {
      const chunk = this.#chunk(version, index);
      const chunkStart = index * version.chunkSizeBytes;
      for (let block = 0; block < blocksIn(version, index); block += 1, at += 1) {
        const first = Math.max(start, chunkStart + block * segmentSizeBytes);
        const blockEnd = chunkStart + Math.min((block + 1) * segmentSizeBytes, version.chunkLength(index));
        const last = Math.min(end, blockEnd) - 1;
        if (first > last) continue;
        const bits = (replicaId: string): number | undefined => held.blocks.get(replicaId)?.[at];
        const way = {
          first,
          last,
          firstChunk: index,
          lastChunk: index,
          coordinator: chunk.coordinator,
          ...this.#route(chunk, bits),
          copies: this.#copies(held, at),
        };
        const previous = ways.at(-1);
        if (previous && isSame(previous, way))
          ways[ways.length - 1] = { ...previous, last, lastChunk: index };
        else ways.push(way);
      }
    }
    return ways;
  }

  #chunk(version: ObjectVersion, index: number): Chunk {
    const { coordination, replicaId } = this.#options;
    const path = version.chunkPath(index);
    if (!coordination) return { path, coordinator: replicaId, avoided: [] };
    const { member, avoided } = coordination.peekNext(coordination.chunkName({ version, index }));
    return { path, coordinator: member.replicaId, avoided };
  }

  #copies({ blocks }: HeldByReplicas, at: number): string[] {
    const others = [...blocks].filter(([replicaId]) => replicaId !== this.#options.replicaId);
    return others.filter(([, bits]) => ((bits?.[at] ?? 0) & heldBits) !== 0).map(([replicaId]) => replicaId);
  }

  #route(chunk: Chunk, bitsOf: (replicaId: string) => number | undefined): Route {
    const { replicaId: self, hasCachestore } = this.#options;
    const own = bitsOf(self) ?? 0;
    const here = heldRoute(self, own, "this replica");
    if (here) return here;
    const { coordinator, avoided } = chunk;
    const scan =
      own & blockBits.scanning ? "the disk here is tried first, because its scan has not ended; " : "";
    const passed = avoided.length > 0 ? `${avoided.join(", ")} failed a moment ago and is avoided; ` : "";
    const notHeld = `${scan}${passed}this replica holds it nowhere`;
    if (coordinator === self)
      return this.#fillRoute(chunk, self, own, bitsOf, `${notHeld} and coordinates the chunk`);
    const role = `${notHeld}, and ${coordinator} coordinates the chunk`;
    if (hasCachestore && own & blockBits.cachestore) {
      const why = `${notHeld}, and its catalog says that the cachestore has the chunk`;
      return { from: "cachestore", at: self, why };
    }
    const bits = bitsOf(coordinator);
    if (bits === undefined) {
      const why = `${role}; it did not answer, so what it holds is unknown`;
      return { from: "unknown", at: coordinator, why };
    }
    const there = heldRoute(coordinator, bits, coordinator);
    if (there) return { ...there, why: `${role}; ${there.why}` };
    return this.#fillRoute(chunk, coordinator, bits, bitsOf, `${role}, which does not hold it either`);
  }

  /** The filler of `replicaId` fetches the block. */
  #fillRoute(
    { path }: Chunk,
    replicaId: string,
    bits: number,
    bitsOf: (replicaId: string) => number | undefined,
    reason: string,
  ): Route {
    const { hasCachestore, coordination, copies } = this.#options;
    if (hasCachestore && bits & blockBits.cachestore) {
      const why = `${reason}; the catalog of ${replicaId} says that the cachestore has the chunk`;
      return { from: "cachestore", at: replicaId, why };
    }
    const tried = hasCachestore
      ? [`the cachestore is asked, and by the catalog of ${replicaId} does not have the chunk`]
      : [];
    if (coordination && copies > 1) {
      // As Keepers does, whose table of ranked paths stays as it is.
      const ranked = coordination.ranked(path, copies + 2).map((member) => member.replicaId);
      const kept = ranked.slice(0, copies).join(", ");
      const asked = ranked.filter((each) => each !== replicaId).slice(0, copies + 1);
      const holder = asked.find((each) => ((bitsOf(each) ?? 0) & heldBits) !== 0);
      if (holder !== undefined) {
        const why = [reason, ...tried, `its keepers are ${kept}, and ${holder} has a copy`];
        return { from: "copy", at: holder, why: why.join("; ") };
      }
      tried.push(`its keepers are ${kept}, and nobody who is asked has a copy`);
    }
    return { from: "origin", at: replicaId, why: [reason, ...tried, "so the origin sends it"].join("; ") };
  }
}

function heldRoute(at: string, bits: number, who: string): Route | undefined {
  if (bits & blockBits.memory) return { from: "memory", at, why: `${who} holds it in memory` };
  if (bits & blockBits.flight) {
    const source = flightSourceIn(bits);
    const place = { origin: "the origin", disk: "its disk", cachestore: "the cachestore", peer: "a peer" }[
      source
    ];
    return { from: "flight", at, why: `a flight of ${who} is fetching it from ${place}, and is joined` };
  }
  if (bits & blockBits.disk) return { from: "disk", at, why: `${who} holds it on disk` };
  return undefined;
}

function isSame(left: Way, right: Way): boolean {
  return (
    left.from === right.from &&
    left.at === right.at &&
    left.coordinator === right.coordinator &&
    left.why === right.why &&
    left.copies.join() === right.copies.join()
  );
}
