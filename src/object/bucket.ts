/**
 * A bucket as clients name it, and where it really lies: a bucket at an origin and a prefix there. Only configured
 * buckets exist; a key a client asks for can never leave its bucket's prefix, because keys are opaque and the prefix
 * is put in front of them.
 */
import type { ListPage, ListRequest, ObjectLocation } from "../origin/origin.ts";
import type { Directory } from "./directory.ts";

/** Where a bucket has its pages from, as {@link ListingCache} does. */
export interface ListSource {
  list(request: ListRequest): Promise<ListPage>;
}

export interface BucketOptions {
  /** What clients call it. */
  readonly name: string;
  /** Its name at the origin. */
  readonly originBucket: string;
  /** Put in front of every key; empty for a whole bucket. */
  readonly prefix: string;
  readonly directory: Directory;
  readonly lists: ListSource;
}

/** A page of keys asked for by a client: {@link ListRequest} without the bucket. */
export type BucketListRequest = Omit<ListRequest, "bucket">;

export class Bucket {
  readonly name: string;
  readonly directory: Directory;
  readonly #originBucket: string;
  readonly #prefix: string;
  readonly #lists: ListSource;

  constructor(options: BucketOptions) {
    this.name = options.name;
    this.directory = options.directory;
    this.#originBucket = options.originBucket;
    this.#prefix = options.prefix;
    this.#lists = options.lists;
  }

  locate(key: string): ObjectLocation {
    return { bucket: this.#originBucket, key: this.#prefix + key };
  }

  /** One page as the origin sent it, in the client's names. */
  async list(request: BucketListRequest): Promise<ListPage> {
    const page = await this.#lists.list({
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
