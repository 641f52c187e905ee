/**
 * The `Cache-Status` of a response (RFC 9211): where its first byte came from, or, where there is no body, who knew the
 * object's metadata. Fixed strings, because one is sent with every response.
 */
import type { ReadSource } from "../fill/object-reader.ts";

export const bodyCacheStatus: Readonly<Record<ReadSource, string>> = {
  memory: "orca; hit; detail=memory",
  disk: "orca; hit; detail=disk",
  cachestore: "orca; hit; detail=cachestore",
  peer: "orca; fwd=miss; detail=peer",
  origin: "orca; fwd=miss; detail=origin",
  join: "orca; fwd=miss; collapsed; detail=join",
};

/** For HEAD, 304 and empty objects, by whether the directory knew the object before it was asked for. */
export function metadataCacheStatus(wasKnown: boolean): string {
  return wasKnown ? "orca; hit; detail=directory" : "orca; fwd=miss; detail=origin";
}
