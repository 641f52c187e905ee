/** The buckets that clients may name: those of the settings, and with `"*"` all others of one origin. */
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import type { BucketConfig } from "../config/origin-config.ts";
import { isOwnedByCachestore } from "../config/origins-apart.ts";
import { Bucket } from "../object/bucket.ts";
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

function bucketIn(
  { config, origin, directory, listings, parts }: OpenOrigin,
  name: string,
  { bucket: originBucket, prefix }: BucketConfig,
): Bucket {
  const rejectsDotSegments = mayResolveDotSegments(config, prefix);
  const { region, bucketOwner: owner } = accountOf(config);
  const subResources = origin.hasSubResources ? origin : undefined;
  const place = { name, originBucket, prefix, rejectsDotSegments, region, owner };
  return new Bucket({ ...place, directory, listings, parts, subResources });
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
