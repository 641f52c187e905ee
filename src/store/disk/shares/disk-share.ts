/**
 * A share of the disk as it is configured, and which one a chunk belongs to. The name of a chunk file holds only a hash, so
 * after a start the scan reads the stored key from the footer. It does so in the writing thread.
 */
import { originIdOf } from "../../../chunk/object-version.ts";
import { decodeFooter, type StoredChunkKey, trailerLengthBytes } from "../../chunk-file/chunk-file.ts";
import { footerBytesMax } from "../../chunk-file/stored-key.ts";
import { type JobFileSystem, systemErrorCode } from "../job-file-system.ts";

/** Chunks beyond the shares are evicted in this order. */
export const sharePriorities = ["low", "normal", "high"] as const;
export type SharePriority = (typeof sharePriorities)[number];

/** Which objects a share is for. */
export interface SharePlace {
  readonly originId: string;
  /** By the origin's name; undefined for all buckets that the settings do not name. */
  readonly bucket: string | undefined;
  /** What the settings name, with a share or without, and so is not in this place. */
  readonly named?: readonly { readonly bucket: string; readonly prefix: string }[];
  readonly prefix: string;
}

export interface DiskShare extends SharePlace {
  /** As clients and the settings name it. */
  readonly name: string;
  /** A part of the disk; 0 for a priority alone. */
  readonly share: number;
  readonly priority: SharePriority;
}

/** The number of the share that chunks of no place have. The others are numbered from 1 on, in the order of the settings. */
export const noShare = 0;

/** The number of the place of a chunk: a place that names its bucket, with the longest prefix. */
export function shareNumber(
  places: readonly SharePlace[],
  { originId, bucket, objectKey }: Pick<StoredChunkKey, "originId" | "bucket" | "objectKey">,
): number {
  const id = originIdOf(originId);
  let found = noShare;
  let foundRank = -1;
  for (const [index, place] of places.entries()) {
    if (place.originId !== id || (place.bucket ?? bucket) !== bucket) continue;
    if (!objectKey.startsWith(place.prefix)) continue;
    if (place.named?.some((other) => other.bucket === bucket && objectKey.startsWith(other.prefix))) continue;
    const rank = place.bucket === undefined ? 0 : 1 + place.prefix.length;
    if (rank <= foundRank) continue;
    found = index + 1;
    foundRank = rank;
  }
  return found;
}

/** Enough for the footer of a chunk of 128 MiB whose key has the greatest length, so that one read is enough. */
const tailBytes = 4096;

/** Reads the shares of the files that a scan finds. */
export class ScannedShares {
  readonly #fileSystem: JobFileSystem;
  readonly #places: readonly SharePlace[];
  readonly #originIds: ReadonlySet<string>;
  readonly #tail = Buffer.alloc(tailBytes);

  constructor(fileSystem: JobFileSystem, places: readonly SharePlace[]) {
    this.#fileSystem = fileSystem;
    this.#places = places;
    this.#originIds = new Set(places.map(({ originId }) => originId));
  }

  /** A file whose footer cannot be read has none. A read of the chunk finds out what is wrong with it. */
  of(chunkPath: string, filePath: string, sizeBytes: number): number {
    const originId = originIdOf(
      chunkPath.slice(0, chunkPath.lastIndexOf("/", chunkPath.lastIndexOf("/") - 1)),
    );
    if (!this.#originIds.has(originId)) return noShare;
    try {
      const storedKey = this.#storedKey(filePath, sizeBytes);
      return storedKey ? shareNumber(this.#places, storedKey) : noShare;
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error;
      return noShare;
    }
  }

  #storedKey(filePath: string, sizeBytes: number): StoredChunkKey | undefined {
    const fd = this.#fileSystem.openSync(filePath, "r");
    try {
      let tail = this.#readTail(fd, sizeBytes, this.#tail);
      if (tail.length < trailerLengthBytes) return undefined;
      const footerBytes = tail.readUInt32LE(tail.length - trailerLengthBytes + 8);
      if (footerBytes > tail.length && footerBytes <= Math.min(footerBytesMax, sizeBytes))
        tail = this.#readTail(fd, sizeBytes, Buffer.alloc(footerBytes));
      const footer = decodeFooter(tail);
      return typeof footer === "string" ? undefined : footer.storedKey;
    } finally {
      this.#fileSystem.closeSync(fd);
    }
  }

  #readTail(fd: number, sizeBytes: number, into: Buffer): Buffer {
    const wanted = Math.min(into.length, sizeBytes);
    const read = this.#fileSystem.readSync(fd, into, 0, wanted, sizeBytes - wanted);
    return into.subarray(0, read);
  }
}
