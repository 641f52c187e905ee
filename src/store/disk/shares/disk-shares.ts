/**
 * The shares of a disk (`origin.buckets.<name>.disk_share`, `priority`): which share each chunk belongs to, how many bytes
 * each has on disk, and the eviction policy that keeps to them (eviction/share-policy.ts).
 *
 * Invariant: bytes is the sum of the sizes of the entries of the index with this number, pinned ones included.
 */
import type { StoredChunkKey } from "../../chunk-file/chunk-file.ts";
import type { NewPolicy } from "../../eviction/eviction-policy.ts";
import { SharePolicy } from "../../eviction/share-policy.ts";
import { sharedBytes } from "../../eviction/shared-columns.ts";
import { type DiskShare, type SharePriority, shareNumber, sharePriorities } from "./disk-share.ts";

export interface DiskSharesOptions {
  readonly shares: readonly DiskShare[];
  /** A share is a part of each of these. */
  readonly maxBytes: number;
  readonly maxChunks: number;
}

/** What a share has on disk. */
export interface ShareFigures {
  readonly originId: string;
  /** As the settings name it. */
  readonly bucket: string;
  readonly priority: SharePriority;
  /** Of chunk files, footers included. */
  readonly bytes: number;
  /** What is not evicted for the sake of other buckets; 0 for a priority alone. */
  readonly shareBytes: number;
}

export class DiskShares {
  readonly places: readonly DiskShare[];
  readonly #options: DiskSharesOptions;
  /** By row: the number of its share. */
  readonly #numbers: Uint8Array;
  /** By number. */
  readonly #bytes: number[];

  /** At most 255 shares. */
  constructor(options: DiskSharesOptions) {
    this.#options = options;
    this.places = options.shares;
    this.#numbers = sharedBytes(options.maxChunks + 1);
    this.#bytes = Array<number>(options.shares.length + 1).fill(0);
  }

  numberOf(storedKey: StoredChunkKey): number {
    return shareNumber(this.places, storedKey);
  }

  numberOfRow(row: number): number {
    return this.#numbers[row] as number;
  }

  /** The index has a new entry. To be called before the policy gets the row. */
  add(row: number, number: number, sizeBytes: number): void {
    this.#numbers[row] = number;
    this.#bytes[number] = (this.#bytes[number] as number) + sizeBytes;
  }

  remove(row: number, sizeBytes: number): void {
    const number = this.numberOfRow(row);
    this.#bytes[number] = (this.#bytes[number] as number) - sizeBytes;
  }

  figures(): ShareFigures[] {
    return this.places.map(({ originId, name, priority, share }, index) => ({
      originId,
      bucket: name,
      priority,
      bytes: this.#bytes[index + 1] as number,
      shareBytes: Math.floor(this.#options.maxBytes * share),
    }));
  }

  /** A policy that keeps to the shares, of policies that `make` makes. */
  policy(make: NewPolicy): NewPolicy {
    const { maxBytes, maxChunks, shares } = this.#options;
    const none = { share: 0, priority: "normal" } as const;
    const rules = [none, ...shares].map(({ share, priority }) => ({
      bytesMax: Math.floor(maxBytes * share),
      entriesMax: Math.floor(maxChunks * share),
      rank: sharePriorities.indexOf(priority),
    }));
    const groupOf = (row: number): number => this.numberOfRow(row);
    return (entries, rowsMax) => new SharePolicy({ entries, rowsMax, make, rules, groupOf });
  }
}
