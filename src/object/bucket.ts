/**
 * A bucket as clients see it, and its place at an origin: a bucket there and a prefix in it. Only configured buckets
 * exist. A client cannot leave the prefix, because keys are opaque and the prefix is prepended to every key.
 */
import type { ListPage, ListRequest, ObjectLocation } from "../origin/origin.ts";
import type { Directory } from "./directory.ts";
import type { Listings } from "./listing-cache.ts";

export interface BucketOptions {
  /** The name that clients use. */
  readonly name: string;
  /** The name at the origin. */
  readonly originBucket: string;
  /** Prepended to every key; empty for a whole bucket. */
  readonly prefix: string;
  readonly directory: Directory;
  readonly listings: Listings;
}

/** A client's request for a page of keys: {@link ListRequest} without the bucket. */
export type BucketListRequest = Omit<ListRequest, "bucket">;

export class Bucket {
  readonly name: string;
  readonly directory: Directory;
  readonly #originBucket: string;
  readonly #prefix: string;
  readonly #listings: Listings;

  constructor(options: BucketOptions) {
    this.name = options.name;
    this.directory = options.directory;
    this.#originBucket = options.originBucket;
    this.#prefix = options.prefix;
    this.#listings = options.listings;
  }

  locate(key: string): ObjectLocation {
    return { bucket: this.#originBucket, key: this.#prefix + key };
  }

  /** One page as the origin sent it, with the keys that clients use. */
  async list(request: BucketListRequest): Promise<ListPage> {
    const page = await this.#listings.list({
      ...request,
      bucket: this.#originBucket,
      prefix: this.#prefix + request.prefix,
      startAfter: request.startAfter === "" ? "" : this.#prefix + request.startAfter,
    });
    if (this.#prefix === "") return page;
    const strip = (key: string): string => key.slice(this.#prefix.length);
    return {
      objects: page.objects.map((object) => ({ ...object, key: strip(object.key) })),
      commonPrefixes: page.commonPrefixes.map(strip),
      nextContinuationToken: page.nextContinuationToken,
    };
  }
}
