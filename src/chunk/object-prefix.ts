/**
 * Some of what is cached, by name: the objects of a bucket whose keys begin alike. The names are the origin's own, as they
 * stand in a version and in the footer of a chunk's file; a bucket as clients know it may be a part of one of these.
 */
export interface ObjectPrefix {
  readonly originId: string;
  readonly bucket: string;
  /** Empty for the whole bucket. */
  readonly keyPrefix: string;
}

export interface NamedObject {
  readonly originId: string;
  readonly bucket: string;
  readonly objectKey: string;
}

/** Without a prefix, everything is meant. */
export function isBelow(prefix: ObjectPrefix | undefined, object: NamedObject): boolean {
  if (prefix === undefined) return true;
  return (
    object.objectKey.startsWith(prefix.keyPrefix) &&
    object.bucket === prefix.bucket &&
    object.originId === prefix.originId
  );
}
