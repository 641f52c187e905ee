/**
 * The `Cache-Status` header of a response (RFC 9211): the source of its first byte or, without a body, the source of the
 * object's metadata. The strings are fixed, because every response carries one.
 */
import type { ReadSource } from "../../fill/read-path.ts";
import type { Staleness } from "../../object/object-record.ts";

export const bodyCacheStatus: Readonly<Record<ReadSource, string>> = {
  memory: "orca; hit; detail=memory",
  disk: "orca; hit; detail=disk",
  cachestore: "orca; hit; detail=cachestore",
  peer: "orca; fwd=miss; detail=peer",
  origin: "orca; fwd=miss; detail=origin",
  join: "orca; fwd=miss; collapsed; detail=join",
};

/** For HEAD, 304 and empty objects. `wasKnown`: the directory held the metadata before this request. */
export function metadataCacheStatus(wasKnown: boolean): string {
  return wasKnown ? "orca; hit; detail=directory" : "orca; fwd=miss; detail=origin";
}

/**
 * Of a response by expired metadata, because the origin fails: it was stale, and so long ago its lifetime ended. `fresh` is
 * what the status would be otherwise.
 */
export function staleCacheStatus({ expiredMs }: Staleness, fresh: string): string {
  const source = fresh.slice(fresh.lastIndexOf("detail="));
  return `orca; fwd=stale; ttl=-${Math.ceil(expiredMs / 1000)}; ${source}`;
}
