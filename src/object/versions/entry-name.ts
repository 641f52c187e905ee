/** The name under which a directory keeps what it knows of an object, or of one version of it. */
import type { ObjectLocation } from "../../origin/origin.ts";

/**
 * Bucket names and version ids contain no NUL, and bucket names are not empty, so no two locations share a name, whatever
 * their keys contain.
 */
export function entryName({ bucket, key, versionId }: ObjectLocation): string {
  return versionId === undefined ? `${bucket}\0${key}` : `\0${versionId}\0${bucket}\0${key}`;
}

/** The inverse of {@link entryName}. */
export function locationOf(name: string): ObjectLocation {
  if (name.startsWith("\0")) {
    const idEnd = name.indexOf("\0", 1);
    return { ...locationOf(name.slice(idEnd + 1)), versionId: name.slice(1, idEnd) };
  }
  const bucketEnd = name.indexOf("\0");
  return { bucket: name.slice(0, bucketEnd), key: name.slice(bucketEnd + 1) };
}
