/**
 * The configuration as all parts take it: whole, checked, and read-only. Everything that could be undecided in the
 * settings is decided here (one origin or several, which buckets, which sizes of chunk), so that no part looks at two
 * settings to know what one of them means.
 */
import type { ChunkTier } from "../chunk/layout.ts";
import { type ClusterConfig, clusterConfig, clusterSettings } from "./cluster-config.ts";
import type { Fault } from "./fault.ts";
import type { Plain } from "./field.ts";
import { type OriginConfig, originConfig } from "./origin-config.ts";
import { type OriginSettings, type Settings, schema } from "./schema.ts";
import type { Secrets } from "./secret.ts";

export interface ChunkingConfig {
  /** In ascending order, the first one from 0 on, as `chunkSizeFor` takes them. */
  readonly tiers: readonly ChunkTier[];
  /** Chunks brought ahead of the one being sent. */
  readonly readahead: number;
}

export interface Config extends Omit<Settings, "origin" | "origins" | "chunking" | "cluster"> {
  /** At least one. Ids, and the names of buckets over all of them, are unique. */
  readonly origins: readonly OriginConfig[];
  readonly chunking: ChunkingConfig;
  readonly cluster: ClusterConfig;
  readonly secrets: Secrets;
}

/** Config made of `settings`. Adds to `faults` what is wrong about its origins and cluster; with any, it is not used. */
export function configFrom(settings: Settings, secrets: Secrets, faults: Fault[]): Config {
  const { origin: _, origins: __, chunking, cluster, ...rest } = settings;
  const tiers = [{ minObjectSizeBytes: 0, chunkSizeBytes: chunking.sizeBytes }, ...chunking.tiers];
  return {
    ...rest,
    origins: originConfigs(settings, faults),
    chunking: { tiers, readahead: chunking.readahead },
    cluster: clusterConfig(cluster, faults),
    secrets,
  };
}

/** The tree that loads as `config` again: what `config print` shows. Secrets are not in it. */
export function treeOf(config: Config): Plain {
  const { origins, chunking, cluster, secrets: _, ...rest } = config;
  const [first, ...larger] = chunking.tiers;
  const noDriver = { awss3: undefined, azureblob: undefined, file: undefined };
  const all = origins.map((origin): OriginSettings => ({ ...noDriver, ...origin }));
  return schema.print({
    ...rest,
    origin: all.length === 1 ? all[0] : undefined,
    origins: all.length === 1 ? [] : all,
    chunking: { sizeBytes: first?.chunkSizeBytes ?? 0, tiers: larger, readahead: chunking.readahead },
    cluster: clusterSettings(cluster),
  });
}

function originConfigs({ origin, origins }: Settings, faults: Fault[]): OriginConfig[] {
  if (origin && origins.length > 0)
    faults.push({ path: "origins", message: "given together with origin: choose one" });
  if (!origin && origins.length === 0) {
    faults.push({
      path: "origin",
      message: "required: say with origin.id and origin.driver where objects come from",
    });
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
    for (const name of config?.buckets.keys() ?? []) claim(name, `${path}.buckets`, pathsByBucket, faults);
  }
  return configs;
}

function claim(name: string, path: string, takenBy: Map<string, string>, faults: Fault[]): void {
  const taken = takenBy.get(name);
  if (taken === undefined) takenBy.set(name, path);
  else faults.push({ path, message: `"${name}" is taken by ${taken} already` });
}
