/**
 * This replica's inventory: answers peers that ask which chunks are on its disk. The paths of a page are ranked in one
 * turn of the event loop, so their number is bounded, however large the disk. The chunk keys of a page are read from
 * the files, one after the other.
 */
import { KiB } from "../../base/units.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { ListedStore } from "../../store/listed-store.ts";
import type { InventoryPage, InventoryRequest } from "./inventory-peers.ts";
import type { Keepers } from "./keepers.ts";

export interface InventoryOptions {
  readonly store: ListedStore;
  readonly keepers: Keepers;
}

/** Paths looked at for a page: what is ranked in one turn. */
const pathsPerPage = 1024;
const chunksPerPageMax = 256;
/** Object keys and ETags of a page. With its other fields a page stays below the largest message of the mesh. */
const nameBytesPerPage = 512 * KiB;

export class Inventory {
  readonly stats = { pages: 0 };
  readonly #options: InventoryOptions;

  constructor(options: InventoryOptions) {
    this.#options = options;
  }

  async list(request: InventoryRequest): Promise<InventoryPage> {
    const { store, keepers } = this.#options;
    this.stats.pages += 1;
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
      const key = await store.chunkKeyOf(path);
      if (!key) continue;
      chunks.push(key);
      nameBytes += Buffer.byteLength(key.version.objectKey) + Buffer.byteLength(key.version.etag);
    }
    const isLast = passed === paths.length && paths.length < pathsPerPage;
    return { chunks, nextAfter: isLast ? "" : nextAfter, passed, total: store.chunkCount };
  }
}
