/**
 * S3's rules for lists, written from AWS's API reference (ListObjects, ListObjectsV2) for a list of keys in memory. It
 * shares no code with Orca. Where the reference says nothing, answers that AWS gave decide:
 *
 * - A marker of ListObjects inside a common prefix leaves out that prefix. `start-after` leaves out keys only, unless it is
 *   a common prefix itself. (The last is RGW's answer: no recorded one of AWS is known.)
 * - `max-keys=0` is an empty list that is not truncated, whatever follows.
 */
export interface ListQuery {
  readonly version: 1 | 2;
  readonly prefix: string;
  readonly delimiter: string;
  /** `marker` or `start-after`. */
  readonly after: string;
  readonly maxKeys: number;
  readonly encodesKeys: boolean;
  readonly fetchesOwner: boolean;
}

export interface ModelPage {
  readonly keys: readonly string[];
  readonly commonPrefixes: readonly string[];
  readonly isTruncated: boolean;
  /** The last key or common prefix, after which the next page begins. */
  readonly last: string;
}

const maxKeysMax = 1000;

export function inOrder(keys: Iterable<string>): string[] {
  return [...keys].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
}

export function answeredMaxKeys({ maxKeys }: ListQuery): number {
  return Math.min(maxKeys, maxKeysMax);
}

/**
 * @param keys in order.
 * @param position the last key or common prefix of the page before; undefined for the first page.
 */
export function modelPage(
  keys: readonly string[],
  query: ListQuery,
  position: string | undefined,
): ModelPage {
  const found: { readonly name: string; readonly isKey: boolean }[] = [];
  const most = answeredMaxKeys(query);
  const after = position ?? query.after;
  const within = commonPrefixOf(after, query);
  const leftOut = query.version === 1 || within === after ? within : undefined;
  let isTruncated = false;
  for (const key of keys) {
    if (!key.startsWith(query.prefix) || !isBehind(key, after)) continue;
    if (leftOut !== undefined && key.startsWith(leftOut)) continue;
    const commonPrefix = commonPrefixOf(key, query);
    const name = commonPrefix ?? key;
    if (commonPrefix !== undefined && found.at(-1)?.name === name) continue;
    isTruncated = found.length === most && most > 0;
    if (found.length === most) break;
    found.push({ name, isKey: commonPrefix === undefined });
  }
  return {
    keys: found.filter(({ isKey }) => isKey).map(({ name }) => name),
    commonPrefixes: found.filter(({ isKey }) => !isKey).map(({ name }) => name),
    isTruncated,
    last: found.at(-1)?.name ?? "",
  };
}

function commonPrefixOf(key: string, { prefix, delimiter }: ListQuery): string | undefined {
  if (delimiter === "" || !key.startsWith(prefix)) return undefined;
  const at = key.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : key.slice(0, at + delimiter.length);
}

function isBehind(key: string, other: string): boolean {
  return Buffer.compare(Buffer.from(key), Buffer.from(other)) > 0;
}
