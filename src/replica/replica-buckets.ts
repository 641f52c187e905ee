/** The buckets that clients may name: those of the settings, and with `"*"` all others of one origin. */
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import type { BucketConfig } from "../config/origin-config.ts";
import { isOwnedByCachestore } from "../config/origins-apart.ts";
import { Bucket, type BucketOptions } from "../object/bucket.ts";
import { BucketLists } from "../object/bucket-lists.ts";
import { isBucketName, isContainerName } from "../object/bucket-name.ts";
import { Buckets, type OtherBuckets } from "../object/buckets.ts";
import { ConfiguredBuckets } from "../object/configured-buckets.ts";
import { OpenBuckets } from "../object/open-buckets.ts";
import type { OpenOrigin } from "./metadata.ts";
import { mayResolveDotSegments } from "./origins.ts";

/** `origins` are those of `config`. At most one of them has other buckets. */
export function bucketsOf(config: Config, origins: readonly OpenOrigin[], clock: Clock): Buckets {
  const configured = new Map<string, Bucket>();
  const openOf = new Map<string, OpenBuckets>();
  let others: OtherBuckets | undefined;
  for (const opened of origins) {
    const { buckets: places, otherBuckets } = opened.config;
    const buckets = new Map([...places].map(([name, place]) => [name, bucketIn(opened, name, place)]));
    const open = openFor(opened, places, buckets, config, clock);
    for (const [name, bucket] of buckets) {
      configured.set(name, bucket);
      openOf.set(name, open);
    }
    if (otherBuckets) others = othersOf(opened, otherBuckets.prefix, config, clock);
  }
  return new Buckets(configured, others, new ConfiguredBuckets(openOf, clock));
}

/** For requests about a configured bucket itself. */
function openFor(
  { origin, config: { queueTimeoutMs } }: OpenOrigin,
  places: ReadonlyMap<string, BucketConfig>,
  buckets: ReadonlyMap<string, Bucket>,
  config: Config,
  clock: Clock,
): OpenBuckets {
  const { ttlMs, negativeTtlMs } = config.metadata;
  return new OpenBuckets({
    isName: (name) => buckets.has(name),
    bucketOf: (name) => buckets.get(name) as Bucket,
    ask: (name) => origin.lookFor(places.get(name) as BucketConfig),
    isConfigured: true,
    clock,
    ttlMs,
    negativeTtlMs,
    queueTimeoutMs,
  });
}

const noAccount = { region: undefined, bucketOwner: undefined };

function accountOf(config: OpenOrigin["config"]) {
  return config.driver === "awss3" ? config.awss3 : noAccount;
}

/** What another thread needs to know of a bucket. */
export interface BucketPlace
  extends Omit<BucketOptions, "directory" | "listings" | "parts" | "subResources"> {
  readonly originId: string;
  readonly hasSubResources: boolean;
}

/** The configured buckets, and the place of all others, with an empty name. */
export interface BucketPlaces {
  readonly configured: readonly BucketPlace[];
  readonly other: BucketPlace | undefined;
}

export function bucketPlacesOf(origins: readonly OpenOrigin[]): BucketPlaces {
  const configured = origins.flatMap((origin) =>
    [...origin.config.buckets].map(([name, place]) => placeOf(origin, name, place)),
  );
  const open = origins.find(({ config }) => config.otherBuckets);
  const prefix = open?.config.otherBuckets?.prefix ?? "";
  return { configured, other: open && placeOf(open, "", { bucket: "", prefix }) };
}

function placeOf(
  { config, origin }: OpenOrigin,
  name: string,
  { bucket: originBucket, prefix }: Pick<BucketConfig, "bucket" | "prefix">,
): BucketPlace {
  const rejectsDotSegments = mayResolveDotSegments(config, prefix);
  const { region, bucketOwner: owner } = accountOf(config);
  const { id: originId, hasSubResources } = origin;
  return { name, originBucket, prefix, rejectsDotSegments, region, owner, originId, hasSubResources };
}

function bucketIn(opened: OpenOrigin, name: string, config: Pick<BucketConfig, "bucket" | "prefix">): Bucket {
  const { origin, directory, listings, parts } = opened;
  const { originId: _, hasSubResources, ...place } = placeOf(opened, name, config);
  return new Bucket({
    ...place,
    directory,
    listings,
    parts,
    subResources: hasSubResources ? origin : undefined,
  });
}

function othersOf(opened: OpenOrigin, prefix: string, config: Config, clock: Clock): OtherBuckets {
  const { origin, config: originConfig } = opened;
  const { ttlMs, negativeTtlMs } = config.metadata;
  const isNameThere = originConfig.driver === "azureblob" ? isContainerName : isBucketName;
  const open = new OpenBuckets({
    isName: (name) => isNameThere(name) && !isOwnedByCachestore(config, originConfig, name),
    bucketOf: (name) => bucketIn(opened, name, { bucket: name, prefix }),
    ask: (bucket) => origin.lookFor({ bucket, prefix }),
    clock,
    ttlMs,
    negativeTtlMs,
    queueTimeoutMs: originConfig.queueTimeoutMs,
  });
  const clientTtlMs = config.server.auth.authorizeTtlMs;
  const lists = new BucketLists({ origin, clock, ttlMs, clientTtlMs, negativeTtlMs });
  return { originId: origin.id, region: accountOf(originConfig).region, open, lists };
}
