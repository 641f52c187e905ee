/**
 * Versions that other replicas asked about lately, by object key. A version costs a SHA-256 to make, and a request names
 * it by its fields: without this, the 64 chunks of an object would be 64 times the same hash. Another version of an
 * object takes the place of the one before, and the oldest goes first.
 */
import { ObjectVersion, type ObjectVersionFields } from "../../chunk/object-version.ts";

export class RecentVersions {
  readonly #versionsMax: number;
  readonly #versions = new Map<string, ObjectVersion>();

  constructor(versionsMax = 256) {
    this.#versionsMax = versionsMax;
  }

  /** The version of these fields, all of them. */
  of(fields: ObjectVersionFields): ObjectVersion {
    const known = this.#versions.get(fields.objectKey);
    if (known && isOf(known, fields)) return known;
    const version = new ObjectVersion(fields);
    this.#versions.delete(fields.objectKey);
    if (this.#versions.size >= this.#versionsMax) this.#evictOldest();
    this.#versions.set(fields.objectKey, version);
    return version;
  }

  #evictOldest(): void {
    for (const objectKey of this.#versions.keys()) {
      this.#versions.delete(objectKey);
      return;
    }
  }
}

function isOf(version: ObjectVersion, fields: ObjectVersionFields): boolean {
  return (
    version.objectKey === fields.objectKey &&
    version.etag === fields.etag &&
    version.bucket === fields.bucket &&
    version.originId === fields.originId &&
    version.sizeBytes === fields.sizeBytes &&
    version.chunkSizeBytes === fields.chunkSizeBytes
  );
}
