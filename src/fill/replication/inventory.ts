/**
 * This replica's inventory: answers peers that compare their disks with this one. It skips shelves whose digests
 * are equal, and lists the paths of the others, of which it ranks a bounded number in one turn of the event loop. Only
 * the chunks that a peer lacks are read from their files, one after the other, for their names.
 */
import { KiB } from "../../base/units.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { ListedStore } from "../../store/listed-store.ts";
import type { ChunkSurvey } from "./chunk-survey.ts";
import {
  type ComparePage,
  type CompareRequest,
  type InventoryPage,
  type InventoryRequest,
  namedPathsMax,
} from "./inventory-peers.ts";
import type { Keepers } from "./keepers.ts";
import { ShelfDigests, shelfCount, shelfOf, shelfPaths } from "./shelf.ts";

export interface InventoryOptions {
  readonly store: ListedStore;
  readonly keepers: Keepers;
  readonly survey: ChunkSurvey;
}

/** Paths looked at for a page: what is done in one turn. */
const pathsPerPage = 1024;
const chunksPerPageMax = 256;
/** Object keys and ETags of a page. With its other fields a page stays below the largest message of the mesh. */
const nameBytesPerPage = 512 * KiB;
const noExtra = new ShelfDigests();

export class Inventory {
  readonly stats = {
    pages: 0,
    /** Chunks whose footers were read to name them. */
    named: 0,
  };
  readonly #options: InventoryOptions;

  constructor(options: InventoryOptions) {
    this.#options = options;
  }

  /** The paths of chunks that the asking replica may lack. */
  async compare({ after, chunksMax, keptBy, common, extra }: CompareRequest): Promise<ComparePage> {
    const { store, keepers, survey } = this.#options;
    const recent = await survey.recent();
    const own = recent.digestsFor(keptBy);
    this.stats.pages += 1;
    const found: string[] = [];
    const page = { chunks: undefined, extra: own.extra, total: store.chunkCount };
    const pathsMax = Math.min(chunksMax, pathsPerPage);
    let passed = 0;
    let looked = 0;
    for (let shelf = after === "" ? 0 : shelfOf(after); shelf < shelfCount; shelf += 1) {
      const isBegun = after !== "" && shelf === shelfOf(after);
      const hasCommon = !own.common.isEqualAt(shelf, common);
      const hasExtra = !own.extra.isEqualAt(shelf, extra ?? noExtra);
      const expected = recent.counts[shelf] as number;
      if (!hasCommon && !hasExtra) {
        if (!isBegun) passed += expected;
        continue;
      }
      const from = isBegun ? { after } : {};
      for (const path of shelfPaths(store, shelf, { ...from, expected, pathsMax: pathsPerPage - looked })) {
        passed += 1;
        looked += 1;
        const isAsked = keepers.isKeptHere(path) ? hasCommon : hasExtra;
        if (isAsked && keepers.isKeptBy(path, keptBy)) found.push(path);
        if (found.length === pathsMax || looked === pathsPerPage) {
          return { ...page, paths: found, nextAfter: path, passed };
        }
      }
    }
    return { ...page, paths: found, nextAfter: "", passed };
  }

  /** The chunks of some paths, without those not held any more. */
  async nameChunks(paths: readonly string[]): Promise<readonly ChunkKey[]> {
    const chunks: ChunkKey[] = [];
    for (const path of paths.slice(0, namedPathsMax)) {
      const key = await this.#name(path);
      if (key) chunks.push(key);
    }
    return chunks;
  }

  /** All chunks that a replica keeps, with their names, for a peer of an earlier version. */
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
      const key = await this.#name(path);
      if (!key) continue;
      chunks.push(key);
      nameBytes += Buffer.byteLength(key.version.objectKey) + Buffer.byteLength(key.version.etag);
    }
    const isLast = passed === paths.length && paths.length < pathsPerPage;
    return { chunks, nextAfter: isLast ? "" : nextAfter, passed, total: store.chunkCount };
  }

  #name(path: string): Promise<ChunkKey | undefined> {
    this.stats.named += 1;
    return this.#options.store.chunkKeyOf(path);
  }
}
