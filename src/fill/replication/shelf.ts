/**
 * Shelves: the 256 equal parts of the order in which a listed store names its chunks (store/chunk-table/chunk-order.ts).
 * Replicas compare their disks shelf by shelf.
 */
import { placementHash } from "../../placement/rendezvous.ts";
import { orderOfPath } from "../../store/chunk-table/chunk-order.ts";
import type { ListedStore } from "../../store/listed-store.ts";

export const shelfCount = 256;
/** Paths that are read from a store at a time. */
const pathsPerPage = 1024;

const shelfLength = 2 ** 32 / shelfCount;

/** The shelf of a chunk path, `<origin_id>/<hash>/<index>`. */
export function shelfOf(path: string): number {
  return Math.floor(orderOfPath(path) / shelfLength);
}

/** The next paths of one shelf after `after`, at most `pathsMax`. `expected` is about how many there are. */
export function shelfPaths(
  store: Pick<ListedStore, "pathsAfter">,
  shelf: number,
  { after = "", expected = 0, pathsMax = Number.POSITIVE_INFINITY },
): string[] {
  const found: string[] = [];
  // One path more than expected shows the end of the shelf. Many more would sort the shelves after it.
  let wanted = Math.min(expected + 1, pathsPerPage);
  for (let from = after; found.length < pathsMax; wanted = pathsPerPage) {
    const asked = Math.min(wanted, pathsMax - found.length);
    const paths = store.pathsAfter(from, asked, shelf * shelfLength);
    for (const path of paths) {
      if (shelfOf(path) !== shelf) return found;
      found.push(path);
      from = path;
    }
    if (paths.length < asked) break;
  }
  return found;
}

/**
 * A digest for each shelf: the placement hashes of the paths in it, combined by exclusive or. Two replicas that hold the
 * same paths have the same digests. Two that hold others have the same with a chance of one in 2^64.
 */
export class ShelfDigests {
  static readonly lengthBytes = shelfCount * 8;
  /** In the form in which it is sent. */
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;

  /** Without bytes (or with none at all) it is that of empty shelves. */
  constructor(bytes: Uint8Array = new Uint8Array()) {
    this.bytes = new Uint8Array(ShelfDigests.lengthBytes);
    this.bytes.set(bytes);
    this.#words = new Uint32Array(this.bytes.buffer);
  }

  /** Adds a path, or removes one that was added. */
  toggle(path: string): void {
    const { high, low } = placementHash(path);
    const at = shelfOf(path) * 2;
    this.#words[at] = (this.#words[at] as number) ^ high;
    this.#words[at + 1] = (this.#words[at + 1] as number) ^ low;
  }

  isEqualAt(shelf: number, other: ShelfDigests): boolean {
    const at = shelf * 2;
    return this.#words[at] === other.#words[at] && this.#words[at + 1] === other.#words[at + 1];
  }

  isEqual(other: ShelfDigests): boolean {
    return this.#words.every((word, index) => word === other.#words[index]);
  }
}
