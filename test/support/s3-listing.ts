/**
 * ListObjectsV2 over a bucket in memory (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html):
 * UTF-8 byte order, and keys under one delimiter rolled up into a common prefix that counts as one entry.
 */
import type { S3Object } from "./s3-object.ts";

export interface ListedEntry {
  /** The key, or the common prefix where there is no `object`. */
  readonly key: string;
  readonly object?: S3Object;
}

export interface ListQuery {
  readonly prefix: string;
  readonly delimiter: string;
  readonly startAfter: string;
  readonly continuationToken: string;
  readonly maxKeys: number;
}

export interface Listing {
  readonly entries: readonly ListedEntry[];
  /** Empty on the last page. */
  readonly nextContinuationToken: string;
}

/** `keys` in the order of {@link compareKeys}. */
export function listPage(
  keys: readonly string[],
  objects: ReadonlyMap<string, S3Object>,
  query: ListQuery,
): Listing {
  const entries: ListedEntry[] = [];
  const resumeAfter = Buffer.from(query.continuationToken, "base64url").toString("utf8");
  const after = resumeAfter || query.startAfter;
  // A page that ended with a common prefix goes on behind all the keys that are rolled up in it.
  const rolledUp = isCommonPrefix(resumeAfter, query) ? resumeAfter : undefined;
  for (const key of keys) {
    if (!key.startsWith(query.prefix) || compareKeys(key, after) <= 0) continue;
    if (rolledUp !== undefined && key.startsWith(rolledUp)) continue;
    const commonPrefix = commonPrefixOf(key, query);
    const last = entries.at(-1);
    if (commonPrefix !== undefined && last?.key === commonPrefix && !last.object) continue;
    if (entries.length === query.maxKeys) {
      return { entries, nextContinuationToken: Buffer.from(last?.key ?? "").toString("base64url") };
    }
    const object = objects.get(key);
    entries.push(commonPrefix !== undefined || !object ? { key: commonPrefix ?? key } : { key, object });
  }
  return { entries, nextContinuationToken: "" };
}

/** JavaScript compares UTF-16 units, which puts U+1F600 before U+FF5E; S3 compares UTF-8 bytes. */
export function compareKeys(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

function commonPrefixOf(key: string, query: ListQuery): string | undefined {
  if (query.delimiter === "") return undefined;
  const at = key.indexOf(query.delimiter, query.prefix.length);
  return at < 0 ? undefined : key.slice(0, at + query.delimiter.length);
}

function isCommonPrefix(name: string, query: ListQuery): boolean {
  return commonPrefixOf(name, query) === name;
}
