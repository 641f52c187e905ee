/**
 * What an identity may read: buckets by the names that clients use, prefixes of keys in them, and whether it may get
 * objects, list them, or both.
 */

export type ReadAction = "get" | "list";

/** In {@link GrantOptions.buckets}: every bucket. */
const everyBucket = "*";

export interface GrantOptions {
  readonly buckets: readonly string[];
  /** The whole of each bucket where empty. */
  readonly prefixes: readonly string[];
  readonly actions: readonly ReadAction[];
}

/** Some servers take a backslash for a slash. */
const dotSegment = /(?:^|[/\\])\.\.?(?:[/\\]|$)/;

export class Grant {
  readonly #buckets: ReadonlySet<string>;
  readonly #isEveryBucket: boolean;
  readonly #prefixes: readonly string[];
  readonly #get: boolean;
  readonly #list: boolean;

  constructor({ buckets, prefixes, actions }: GrantOptions) {
    this.#buckets = new Set(buckets);
    this.#isEveryBucket = this.#buckets.has(everyBucket);
    this.#prefixes = prefixes.includes("") ? [] : prefixes;
    this.#get = actions.includes("get");
    this.#list = actions.includes("list");
  }

  /** Whether it reads anything of the bucket, so that it may know that the bucket exists. */
  allowsBucket(bucket: string): boolean {
    return this.#isEveryBucket || this.#buckets.has(bucket);
  }

  /** Whether it allows to get the object `text`, or to list the keys that begin with `text`. */
  allows(action: ReadAction, bucket: string, text: string): boolean {
    if (!(action === "get" ? this.#get : this.#list) || !this.allowsBucket(bucket)) return false;
    if (this.#prefixes.length === 0) return true;
    // An origin, or a proxy before it, may resolve such a key to one outside the prefix.
    if (action === "get" && dotSegment.test(text)) return false;
    for (const prefix of this.#prefixes) if (text.startsWith(prefix)) return true;
    return false;
  }
}
