/**
 * The last version seen of each object. It outlives the entry of a directory: most overwrites are found after an entry has
 * expired. So it keeps only the fields that differ between the versions of an object.
 */

import { LruMap } from "../base/lru-map.ts";
import { ObjectVersion } from "../chunk/object-version.ts";
import type { ObjectLocation } from "../origin/origin.ts";
import type { HeapShare } from "./heap-share.ts";
import { textBytes } from "./heap-text.ts";

type LastVersion = Pick<ObjectVersion, "etag" | "sizeBytes" | "chunkSizeBytes">;

/** Without its texts. */
const lastVersionBytes = 210;

export class LastVersions {
  readonly #originId: string;
  readonly #versions: LruMap<string, LastVersion>;

  constructor(originId: string, entriesMax: number, heap: HeapShare | undefined) {
    this.#originId = originId;
    this.#versions = new LruMap({ entriesMax, shared: heap });
  }

  /** What they take on the heap. */
  get bytes(): number {
    return this.#versions.weight;
  }

  /** Notes the version of an object, or that it has none. Returns the last version if it is another one. */
  replace(
    name: string,
    location: ObjectLocation,
    version: ObjectVersion | undefined,
  ): ObjectVersion | undefined {
    const last = this.#versions.peek(name);
    if (version) {
      const { etag, sizeBytes, chunkSizeBytes } = version;
      const bytes = lastVersionBytes + textBytes(name) + textBytes(etag);
      this.#versions.set(name, { etag, sizeBytes, chunkSizeBytes }, bytes);
    } else this.#versions.delete(name);
    if (!last || (last.etag === version?.etag && last.chunkSizeBytes === version.chunkSizeBytes))
      return undefined;
    return this.#versionOf(last, location);
  }

  /** The last version seen. */
  of(name: string, location: ObjectLocation): ObjectVersion | undefined {
    const last = this.#versions.peek(name);
    return last && this.#versionOf(last, location);
  }

  #versionOf(last: LastVersion, { bucket, key: objectKey }: ObjectLocation): ObjectVersion {
    return new ObjectVersion({ ...last, originId: this.#originId, bucket, objectKey });
  }
}
