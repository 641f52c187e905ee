/** How long metadata is trusted: what `metadata` says, and what the buckets of an origin say in its place. */
import type { Config } from "../config/config.ts";
import type { BucketConfig, OriginConfig } from "../config/origin-config.ts";
import type { Lifetime, LifetimePlace } from "../object/freshness/lifetimes.ts";

type MetadataConfig = Config["metadata"];

export function lifetimeOf(metadata: MetadataConfig, own?: BucketConfig["metadata"]): Lifetime {
  return {
    ttlMs: (own?.immutable ?? metadata.immutable) ? Infinity : (own?.ttlMs ?? metadata.ttlMs),
    negativeTtlMs: own?.negativeTtlMs ?? metadata.negativeTtlMs,
    refreshAhead: own?.refreshAhead ?? metadata.refreshAhead,
    staleIfErrorMs: own?.staleIfErrorMs ?? metadata.staleIfErrorMs,
  };
}

/** A bucket without settings of its own has a place, too: the settings of `"*"` are not for it. */
export function lifetimePlacesOf(
  { buckets, otherBuckets }: Pick<OriginConfig, "buckets" | "otherBuckets">,
  metadata: MetadataConfig,
): LifetimePlace[] {
  const named: (Omit<BucketConfig, "bucket"> & { bucket: string | undefined })[] = [...buckets.values()];
  const all = otherBuckets ? [...named, { bucket: undefined, ...otherBuckets }] : named;
  if (!all.some((place) => place.metadata)) return [];
  return all.map(({ bucket, prefix, metadata: own }) => ({
    bucket,
    prefix,
    lifetime: lifetimeOf(metadata, own),
  }));
}
