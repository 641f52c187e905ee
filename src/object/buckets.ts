/**
 * The buckets that clients may name: the configured ones, and with `origin.buckets: {"*"}` all others of that origin. A
 * configured name has its own settings and hides a bucket of that name.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { ListedBucket, OriginKey } from "../origin/origin.ts";
import type { Bucket } from "./bucket.ts";
import type { BucketLists } from "./bucket-lists.ts";
import type { ConfiguredBuckets } from "./configured-buckets.ts";
import type { FoundBucket, OpenBuckets } from "./open-buckets.ts";

/** As the edge asks for them, in any thread. */
export interface OtherLookups {
  /** @see Bucket.region */
  readonly region: string | undefined;
  readonly open: Pick<OpenBuckets, "get" | "find" | "named" | "isName">;
  readonly lists: Pick<BucketLists, "list" | "clear">;
}

/** Of the origin with `"*"`. */
export interface OtherBuckets extends OtherLookups {
  readonly originId: string;
  readonly open: OpenBuckets;
  readonly lists: BucketLists;
}

export class Buckets<Others extends OtherLookups = OtherBuckets> {
  /** By the name that clients use. */
  readonly configured: ReadonlyMap<string, Bucket>;
  readonly others: Others | undefined;
  readonly #atOrigins: Pick<ConfiguredBuckets, "faultOf"> | undefined;

  constructor(
    configured: ReadonlyMap<string, Bucket>,
    others?: Others,
    atOrigins?: Pick<ConfiguredBuckets, "faultOf">,
  ) {
    this.configured = configured;
    this.others = others;
    this.#atOrigins = atOrigins;
  }

  /** The bucket, as far as that is known without a question. */
  get(name: string): Bucket | undefined {
    return this.configured.get(name) ?? this.others?.open.get(name);
  }

  /** The bucket as its origin knows it. Never rejects. */
  async find(name: string): Promise<FoundBucket | OrcaError> {
    const bucket = this.configured.get(name);
    if (bucket) return (await this.#atOrigins?.faultOf(name)) ?? { bucket, fault: undefined };
    return this.others ? this.others.open.find(name) : notConfigured(name);
  }

  /** The other buckets that the owner of `as`, or of Orca's own credentials, may know. @throws OrcaError */
  async listOthers(as: OriginKey | undefined): Promise<readonly ListedBucket[]> {
    if (this.others === undefined) return [];
    const { open, lists } = this.others;
    const listed = await lists.list(as);
    return listed.filter(({ name }) => open.isName(name) && !this.configured.has(name));
  }

  /** Of a bucket that is listed. @see Bucket.region */
  regionOf(name: string): string | undefined {
    const bucket = this.configured.get(name);
    return bucket ? bucket.region : this.others?.region;
  }

  /** For an operator, who may name a bucket that nobody has asked for yet. */
  named(name: string): Bucket | undefined {
    return this.configured.get(name) ?? this.others?.open.named(name);
  }

  /** As settings name them. */
  get names(): readonly string[] {
    return [...this.configured.keys(), ...(this.others ? ["*"] : [])];
  }
}

export function notConfigured(name: string): OrcaError {
  return new OrcaError("no_such_bucket", "client", `Cannot find bucket "${name}": it is not configured`);
}
