/**
 * The configuration that all parts read: complete, checked and read-only. Choices that the settings leave open (one
 * origin or several, which buckets, which chunk sizes) are decided here, so that no part needs two settings to know
 * what one of them means.
 */
import type { ChunkTier } from "../chunk/chunk-layout.ts";
import { type ClusterConfig, clusterConfig, clusterSettings } from "./cluster-config.ts";
import type { Fault } from "./fault.ts";
import type { Plain } from "./field.ts";
import { type BucketConfig, everyOtherBucket, type OriginConfig, originConfig } from "./origin-config.ts";
import { type OriginSettings, type Settings, schema } from "./schema.ts";
import type { Secrets } from "./secret.ts";

export interface ChunkingConfig {
  /** In ascending order, the first one from 0 on, as `chunkSizeFor` expects them. */
  readonly tiers: readonly ChunkTier[];
  /** What a miss fetches of a chunk: the blocks that were asked for, or all. */
  readonly fill: "sparse" | "whole";
  /** Most chunks that are fetched ahead of the one that is being sent. */
  readonly readahead: number;
}

export interface Config
  extends Omit<Settings, "origin" | "origins" | "chunking" | "cluster" | "chunkCatalog"> {
  /** At least one. Ids, and the names of buckets over all of them, are unique. */
  readonly origins: readonly OriginConfig[];
  readonly chunking: ChunkingConfig;
  readonly cluster: ClusterConfig;
  readonly secrets: Secrets;
}

/** The Config of `settings`. Adds the faults of origins and cluster to `faults`; with any fault, Config is not used. */
export function configFrom(settings: Settings, secrets: Secrets, faults: Fault[]): Config {
  const { origin: _, origins: __, chunkCatalog, cachestore, chunking, cluster, ...rest } = settings;
  const { driver, s3, posixfs, maxHints } = cachestore;
  const tiers = [{ minObjectSizeBytes: 0, chunkSizeBytes: chunking.sizeBytes }, ...chunking.tiers];
  return {
    ...rest,
    cachestore: {
      ...cachestore,
      s3: driver === "s3" ? s3 : undefined,
      posixfs: driver === "posixfs" ? posixfs : undefined,
      maxHints: chunkCatalog.maxEntries ?? maxHints,
    },
    origins: originConfigs(settings, faults),
    chunking: { tiers, fill: chunking.fill, readahead: chunking.readahead },
    cluster: clusterConfig(cluster, faults),
    secrets,
  };
}

/** The tree that `config print` shows, and that loads as `config` again. It holds no secrets. */
export function treeOf(config: Config): Plain {
  const { origins, chunking, cluster, secrets: _, ...rest } = config;
  const [first, ...larger] = chunking.tiers;
  const noDriver = { awss3: undefined, azureblob: undefined, file: undefined };
  const all = origins.map(
    (origin): OriginSettings => ({ ...noDriver, ...origin, buckets: bucketSettings(origin) }),
  );
  return schema.print({
    ...rest,
    chunkCatalog: { maxEntries: undefined },
    origin: all.length === 1 ? all[0] : undefined,
    origins: all.length === 1 ? [] : all,
    chunking: {
      sizeBytes: first?.chunkSizeBytes ?? 0,
      tiers: larger,
      fill: chunking.fill,
      readahead: chunking.readahead,
    },
    cluster: clusterSettings(cluster),
  });
}

function bucketSettings({ buckets, otherBuckets }: OriginConfig): OriginSettings["buckets"] {
  const settings = new Map<string, Omit<BucketConfig, "bucket"> & { bucket: string | undefined }>(buckets);
  if (otherBuckets) settings.set(everyOtherBucket, { bucket: undefined, ...otherBuckets });
  const common = { metadata: undefined, diskShare: undefined, priority: "normal" } as const;
  return new Map([...settings].map(([name, bucket]) => [name, { ...common, ...bucket }]));
}

function originConfigs({ origin, origins }: Settings, faults: Fault[]): OriginConfig[] {
  if (origin && origins.length > 0)
    faults.push({ path: "origins", message: "set together with origin: keep only one of the two" });
  if (!origin && origins.length === 0) {
    const message = "required, but not set: set origin.id, origin.driver and the section of that driver";
    faults.push({ path: "origin", message });
  }
  const configs: OriginConfig[] = [];
  const pathsById = new Map<string, string>();
  const pathsByBucket = new Map<string, string>();
  const given = origin ? [origin] : origins;
  for (const [index, settings] of given.entries()) {
    const path = origin ? "origin" : `origins[${index}]`;
    const config = originConfig(settings, path, faults);
    if (config) configs.push(config);
    if (settings.id !== "") claim(settings.id, `${path}.id`, pathsById, faults);
    const names = [...(config?.buckets.keys() ?? []), ...(config?.otherBuckets ? [everyOtherBucket] : [])];
    for (const name of names) claim(name, `${path}.buckets`, pathsByBucket, faults);
  }
  return configs;
}

function claim(name: string, path: string, takenBy: Map<string, string>, faults: Fault[]): void {
  const taken = takenBy.get(name);
  if (taken === undefined) takenBy.set(name, path);
  else faults.push({ path, message: `expected a name of its own, got "${name}", which ${taken} has` });
}
