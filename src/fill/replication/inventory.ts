/**
 * What this replica answers to those that want to know which chunks are on its disk. A page costs a bounded part of a turn
 * of the event loop, however large the disk, and the names in it are read from the disk one after the other.
 *
 * A replica lets a surplus copy go when all who are to keep the chunk say that they hold it. Where views differ that could
 * end with no copy: (1) A takes B for its keeper, and B takes A; (2) each asks the other, and hears that it holds the
 * chunk; (3) both let go. So who says that it holds a chunk pledges to keep its copy for a while: in (2) whoever was
 * asked first has pledged, and in (3) keeps it. Eviction for want of room goes on; that costs a copy, as it always does.
 */
import type { Clock } from "../../base/clock.ts";
import { KiB } from "../../base/units.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { ListedStore } from "../../store/listed-store.ts";
import type { InventoryPage, InventoryRequest } from "./inventory-peers.ts";
import type { Keepers } from "./keepers.ts";

export interface InventoryOptions {
  readonly store: ListedStore;
  readonly keepers: Keepers;
  readonly clock: Clock;
  readonly pledgeMs?: number;
}

/** Paths looked at for a page: what is ranked in one turn. */
const pathsPerPage = 1024;
const chunksPerPageMax = 256;
/** Names of a page. With what stands around them, below the largest message of the mesh. */
const nameBytesPerPage = 512 * KiB;
/** Beyond so many, nothing more is pledged, and so nothing more is said to be held. */
const pledgesMax = 10_000;

export class Inventory {
  readonly stats = { pages: 0, pledged: 0 };
  readonly #options: InventoryOptions;
  readonly #pledgeMs: number;
  /** By path, the one that ends first first. */
  readonly #pledges = new Map<string, number>();

  constructor(options: InventoryOptions) {
    this.#options = options;
    this.#pledgeMs = options.pledgeMs ?? 60_000;
  }

  /** Whether another replica counts on this one's copy. */
  isPledged(path: string): boolean {
    return (this.#pledges.get(path) ?? 0) > this.#options.clock.monotonic();
  }

  async list(request: InventoryRequest): Promise<InventoryPage> {
    const { store, keepers } = this.#options;
    this.stats.pages += 1;
    if (request.paths.length > 0) return this.#pledged(request.paths);
    const paths = store.pathsAfter(request.after, pathsPerPage);
    const chunksMax = Math.min(request.chunksMax, chunksPerPageMax);
    const chunks: ChunkKey[] = [];
    let nextAfter = request.after;
    let passed = 0;
    let nameBytes = 0;
    for (const path of paths) {
      if (chunks.length === chunksMax || nameBytes > nameBytesPerPage) break;
      passed += 1;
      nextAfter = path;
      if (request.keptBy !== "" && !keepers.isKeptBy(path, request.keptBy)) continue;
      const ref = await store.refOf(path);
      if (!ref) continue;
      chunks.push(ref);
      nameBytes += Buffer.byteLength(ref.version.objectKey) + Buffer.byteLength(ref.version.etag);
    }
    const isLast = passed === paths.length && paths.length < pathsPerPage;
    return { chunks, nextAfter: isLast ? "" : nextAfter, passed, total: store.chunkCount };
  }

  async #pledged(paths: readonly string[]): Promise<InventoryPage> {
    const { store } = this.#options;
    this.#endPledges();
    const chunks: ChunkKey[] = [];
    for (const path of paths) {
      if (!this.#pledge(path)) continue;
      const ref = await store.refOf(path);
      if (ref) chunks.push(ref);
    }
    return { chunks, nextAfter: "", passed: paths.length, total: store.chunkCount };
  }

  #pledge(path: string): boolean {
    const { store, clock } = this.#options;
    if (!store.holds(path) || (this.#pledges.size >= pledgesMax && !this.#pledges.has(path))) return false;
    this.#pledges.delete(path);
    this.#pledges.set(path, clock.monotonic() + this.#pledgeMs);
    this.stats.pledged += 1;
    return true;
  }

  #endPledges(): void {
    const nowMs = this.#options.clock.monotonic();
    for (const [path, untilMs] of this.#pledges) {
      if (untilMs > nowMs) return;
      this.#pledges.delete(path);
    }
  }
}
