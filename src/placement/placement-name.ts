/**
 * The names that determine which replica coordinates what. They must be identical on all replicas, or these find
 * different coordinators.
 *
 * The first chunk of an object has the coordinator of its metadata: that replica opens an object that is unknown with one
 * request, which brings the metadata and bytes of the first chunk. The later chunks are spread by their paths. Where
 * disks are replicated, the first one is as well: its keepers (fill/replication/keepers.ts) are those of its path, since
 * a disk knows only paths, and the first of them coordinates it.
 */

/** Of an object's metadata, in all its versions. */
export function objectPlacementName(
  originId: string,
  { bucket, key }: { readonly bucket: string; readonly key: string },
): string {
  return `object/${originId}/${bucket}/${key}`;
}

/** Of a listing. All pages of a prefix have one coordinator. */
export function listingPlacementName(
  originId: string,
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
): string {
  return `list/${originId}/${bucket}/${prefix}`;
}

/** A chunk key (store/chunk-store.ts). */
export interface PlacedChunk {
  readonly version: {
    readonly originId: string;
    readonly bucket: string;
    readonly objectKey: string;
    chunkPath(index: number): string;
  };
  readonly index: number;
}

/** The name by which a chunk is placed. */
export type ChunkPlacement = (chunk: PlacedChunk) => string;

export function placedByPath({ version, index }: PlacedChunk): string {
  return version.chunkPath(index);
}

export function placedWithObject(chunk: PlacedChunk): string {
  if (chunk.index > 0) return placedByPath(chunk);
  const { originId, bucket, objectKey: key } = chunk.version;
  return objectPlacementName(originId, { bucket, key });
}
