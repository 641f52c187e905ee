/**
 * A selection of cached objects: those of a bucket whose keys have a common prefix. The names are the origin's own, as
 * they stand in a version and in the footer of a chunk file. A bucket as clients name it may be only a part of these.
 */
export interface ObjectPrefix {
  readonly originId: string;
  readonly bucket: string;
  /** Empty for the whole bucket. */
  readonly keyPrefix: string;
  /** `key`: keyPrefix is a whole key, and selects that object alone. Left out, the caller has not said which it is. */
  readonly match?: "key" | "prefix" | undefined;
}

export interface NamedObject {
  readonly originId: string;
  readonly bucket: string;
  readonly objectKey: string;
}

/** True for every object where `prefix` is undefined. */
export function isBelow(prefix: ObjectPrefix | undefined, object: NamedObject): boolean {
  if (prefix === undefined) return true;
  return (
    (prefix.match === "key"
      ? object.objectKey === prefix.keyPrefix
      : object.objectKey.startsWith(prefix.keyPrefix)) &&
    object.bucket === prefix.bucket &&
    object.originId === prefix.originId
  );
}
