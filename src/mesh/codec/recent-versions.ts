/**
 * The versions that other replicas asked about last, by object key. A request names a version by its fields, and making
 * an ObjectVersion costs a SHA-256. Without this map, 64 chunks of an object would cost the same hash 64 times. A new
 * version of an object replaces the previous one, and the oldest is evicted first.
 */
import { LruMap } from "../../base/lru-map.ts";
import { ObjectVersion, type ObjectVersionFields } from "../../chunk/object-version.ts";

export class RecentVersions {
  readonly #versions: LruMap<string, ObjectVersion>;

  constructor(versionsMax = 256) {
    this.#versions = new LruMap({ entriesMax: versionsMax });
  }

  /** The version with exactly these fields. */
  of(fields: ObjectVersionFields): ObjectVersion {
    const known = this.#versions.peek(fields.objectKey);
    if (known && isOf(known, fields)) return known;
    const version = new ObjectVersion(fields);
    this.#versions.set(fields.objectKey, version);
    return version;
  }
}

function isOf(version: ObjectVersion, fields: ObjectVersionFields): boolean {
  return (
    version.objectKey === fields.objectKey &&
    version.etag === fields.etag &&
    version.bucket === fields.bucket &&
    version.originId === fields.originId &&
    version.sizeBytes === fields.sizeBytes &&
    version.chunkSizeBytes === fields.chunkSizeBytes &&
    version.contentCoding === fields.contentCoding &&
    version.versionId === fields.versionId
  );
}
