/**
 * The names that determine which replica coordinates what. They must be identical on all replicas, or these find
 * different coordinators.
 *
 * The first chunk of an object has the coordinator of its metadata: that replica opens an object that nobody knows with
 * one request, which brings the metadata and bytes of the first chunk. The later chunks are spread by their paths. A
 * chunk's keepers (fill/replication/keepers.ts) are those of its path in any case, since a disk knows only paths.
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
interface PlacedChunk {
  readonly version: {
    readonly originId: string;
    readonly bucket: string;
    readonly objectKey: string;
    chunkPath(index: number): string;
  };
  readonly index: number;
}

export function chunkPlacementName({ version, index }: PlacedChunk): string {
  if (index > 0) return version.chunkPath(index);
  return objectPlacementName(version.originId, { bucket: version.bucket, key: version.objectKey });
}
