/**
 * What a cached page of a listing takes on the heap, estimated from above. It counts what V8 allocates (Node 26, 64 bits,
 * measured): its strings, with one or two bytes for a character, and its objects. Drivers make each string anew, so that
 * none keeps the bytes of an answer in memory.
 */
import type { ListPage } from "../origin/origin.ts";
import { textBytes } from "./heap-text.ts";

/** An object of five fields, the boxes of its two numbers, and its place in the array. */
const listedObjectBytes = 112;
/** What a listed version has more: an object of three fields, and a field for it. */
const listedVersionBytes = 64;
/** The page, its arrays, and its places in the maps. */
const pageBytes = 512;

/** @param name under which the page is cached. */
export function entryBytes(
  name: string,
  { objects, commonPrefixes, nextContinuationToken, nextVersion }: ListPage,
): number {
  let bytes = pageBytes + textBytes(name) + textBytes(nextContinuationToken);
  if (nextVersion) bytes += textBytes(nextVersion.startAfter) + textBytes(nextVersion.versionIdMarker);
  for (const { key, etag, storageClass, version } of objects) {
    bytes += listedObjectBytes + textBytes(key) + textBytes(etag);
    if (version) bytes += listedVersionBytes + textBytes(version.id);
    if (storageClass !== undefined) bytes += textBytes(storageClass);
  }
  for (const prefix of commonPrefixes) bytes += 8 + textBytes(prefix);
  return bytes;
}
