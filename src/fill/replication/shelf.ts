/**
 * Shelves: the 256 parts into which the first byte of a version's hash divides the chunks of a disk. Replicas compare
 * their disks shelf by shelf. A listed store names its chunks in the order of the shelves (store/listed-store.ts).
 */
import { placementHash } from "../../placement/rendezvous.ts";
import type { ListedStore } from "../../store/listed-store.ts";

export const shelfCount = 256;
/** Paths that are read from a store at a time. */
const pathsPerPage = 1024;

/** The shelf of a chunk path, `<origin_id>/<hash>/<index>`. */
export function shelfOf(path: string): number {
  const hashAt = path.lastIndexOf("/", path.lastIndexOf("/") - 1) + 1;
  return Number.parseInt(path.slice(hashAt, hashAt + 2), 16);
}

/** A path before all of a shelf, in the form of a chunk path. No id of an origin comes before "0". */
function beforeShelf(shelf: number): string {
  return `0/${shelf.toString(16).padStart(2, "0")}${"0".repeat(62)}/0`;
}

/** The next paths of one shelf after `after`, at most `pathsMax`. `expected` is about how many there are. */
export function shelfPaths(
  store: Pick<ListedStore, "pathsAfter">,
  shelf: number,
  { after = beforeShelf(shelf), expected = 0, pathsMax = Number.POSITIVE_INFINITY },
): string[] {
  const found: string[] = [];
  // One path more than expected shows the end of the shelf. Many more would sort the shelves after it.
  let wanted = Math.min(expected + 1, pathsPerPage);
  for (let from = after; found.length < pathsMax; wanted = pathsPerPage) {
    const asked = Math.min(wanted, pathsMax - found.length);
    const paths = store.pathsAfter(from, asked);
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
