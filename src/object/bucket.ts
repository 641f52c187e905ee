/**
 * A bucket as clients see it, and its place at an origin: a bucket there and a prefix in it. Keys are opaque, and the prefix is prepended to every key. Some servers, and proxies in front of them, resolve `.`
 * and `..` in a path, which would lead out of the prefix. Where that may be, such keys are rejected.
 */
import { assert } from "../base/assert.ts";
import { OrcaError } from "../base/orca-error.ts";
import type {
  ListPage,
  ListRequest,
  ObjectLocation,
  SubResourceAnswer,
  SubResourceQuestion,
} from "../origin/origin.ts";
import type { Listings } from "./listing-cache.ts";
import type { ObjectLookups, PartLookups } from "./object-lookups.ts";

export interface BucketOptions {
  /** The name that clients use. */
  readonly name: string;
  /** The name at the origin. */
  readonly originBucket: string;
  /** Prepended to every key; empty for a whole bucket. */
  readonly prefix: string;
  /** Whether the origin may resolve dot segments, so that two keys could name one object. */
  readonly rejectsDotSegments: boolean;
  /** The region in which the origin says that the bucket is. Undefined where it has no regions. */
  readonly region?: string | undefined;
  /** The account that owns the bucket at the origin. Undefined where it is not known. */
  readonly owner?: string | undefined;
  readonly directory: ObjectLookups;
  readonly listings: Listings;
  readonly parts: PartLookups;
  /** Undefined where the origin is not S3. */
  readonly subResources?: SubResources | undefined;
}

/** An origin that can be asked for sub-resources (GuardedOrigin). */
export interface SubResources {
  subResource(question: SubResourceQuestion): Promise<SubResourceAnswer>;
}

/** Of S3, for the key at the origin. */
export const keySizeBytesMax = 1024;

/** Some servers take a backslash for a slash. */
const dotSegment = /(?:^|[/\\])\.\.?(?:[/\\]|$)/;

/** A client's request for a page of keys: {@link ListRequest} without the bucket. */
export type BucketListRequest = Omit<ListRequest, "bucket">;

export class Bucket {
  readonly name: string;
  readonly directory: ObjectLookups;
  readonly parts: PartLookups;
  readonly region: string | undefined;
  readonly owner: string | undefined;
  readonly #originBucket: string;
  readonly #prefix: string;
  /** The last segment of the prefix, which a key may continue. */
  readonly #openSegment: string;
  readonly #keySizeBytesMax: number;
  readonly #rejectsDotSegments: boolean;
  readonly #listings: Listings;
  readonly #subResources: SubResources | undefined;

  constructor(options: BucketOptions) {
    this.name = options.name;
    this.directory = options.directory;
    this.parts = options.parts;
    this.region = options.region;
    this.owner = options.owner;
    this.#originBucket = options.originBucket;
    this.#prefix = options.prefix;
    this.#openSegment = options.prefix.slice(options.prefix.lastIndexOf("/") + 1);
    this.#keySizeBytesMax = keySizeBytesMax - Buffer.byteLength(options.prefix);
    this.#rejectsDotSegments = options.rejectsDotSegments;
    this.#listings = options.listings;
    this.#subResources = options.subResources;
  }

  /** Why a key cannot be asked for, if it cannot. To be asked before {@link locate}. */
  faultOf(key: string): OrcaError | undefined {
    if (this.#isTooLong(key)) return this.#tooLong(key);
    if (!this.#rejectsDotSegments || !dotSegment.test(this.#openSegment + key)) return undefined;
    const reason =
      "the origin may resolve its dot segments to another key. If it does not, set origin.allow_dot_segments";
    return new OrcaError("invalid_argument", "client", `Cannot serve the key: ${reason}`);
  }

  locate(key: string, versionId?: string): ObjectLocation {
    const location = { bucket: this.#originBucket, key: this.#prefix + key };
    return versionId === undefined ? location : { ...location, versionId };
  }

  /** Whether {@link subResource} can be asked. */
  get hasSubResources(): boolean {
    return this.#subResources !== undefined;
  }

  /** About the bucket itself where `key` is empty. @see Origin.subResource */
  subResource(
    key: string,
    question: Omit<SubResourceQuestion, "bucket" | "key">,
  ): Promise<SubResourceAnswer> {
    assert(this.#subResources !== undefined, "only S3 is asked for sub-resources");
    const location = key === "" ? { bucket: this.#originBucket, key } : this.locate(key);
    return this.#subResources.subResource({ ...question, ...location });
  }

  /** One page as the origin sent it, with the keys that clients use. */
  async list(request: BucketListRequest): Promise<ListPage> {
    if (this.#prefix !== "") {
      for (const text of [request.prefix, request.startAfter])
        if (this.#isTooLong(text)) throw this.#tooLong(text);
    }
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
      ...(page.nextVersion && {
        nextVersion: { ...page.nextVersion, startAfter: strip(page.nextVersion.startAfter) },
      }),
    };
  }

  #isTooLong(text: string): boolean {
    // A character of a string is at most three bytes of UTF-8.
    if (text.length * 3 <= this.#keySizeBytesMax) return false;
    return Buffer.byteLength(text) > this.#keySizeBytesMax;
  }

  #tooLong(text: string): OrcaError {
    const what = `a key of ${Buffer.byteLength(text)} bytes`;
    const message = `Cannot ask for ${what}: keys in bucket "${this.name}" have at most ${this.#keySizeBytesMax} bytes`;
    return new OrcaError("key_too_long", "client", message);
  }
}
