/**
 * The origins of a configuration, made into what the read path asks: a driver for each, with permits and retries around
 * it, and the two caches of metadata in front. It is the part of the composition that knows the drivers by name.
 */
import type { Clock } from "./base/clock.ts";
import type { Random } from "./base/random.ts";
import type { ObjectVersion } from "./chunk/object-version.ts";
import type { Config } from "./config/config.ts";
import type { OriginConfig } from "./config/origin-config.ts";
import type { Coordination } from "./membership/coordination.ts";
import { ClusterHeads } from "./object/cluster-heads.ts";
import { ClusterLists } from "./object/cluster-lists.ts";
import { Directory, type HeadSource } from "./object/directory.ts";
import { type ListAnswerSource, ListCache } from "./object/list-cache.ts";
import type { ObjectPeers } from "./object/object-peers.ts";
import type { ServedOrigin } from "./object/object-server.ts";
import { OriginHeads } from "./object/origin-heads.ts";
import { OriginLists } from "./object/origin-lists.ts";
import { AzureBlobOrigin } from "./origin/azure-blob-origin.ts";
import { FileOrigin } from "./origin/file-origin.ts";
import { GuardedOrigin } from "./origin/guarded-origin.ts";
import type { Origin } from "./origin/origin.ts";
import { S3Origin } from "./origin/s3-origin.ts";

export interface OriginsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
}

/** One origin and what is known of its objects. */
export interface OpenOrigin extends ServedOrigin {
  readonly config: OriginConfig;
  readonly origin: GuardedOrigin;
  /** Listings that this replica's own clients are answered from. */
  readonly pages: ListCache;
}

/** Where metadata is asked for in a cluster. */
export interface MetadataPeers {
  readonly coordination: Coordination;
  readonly objectPeers: ObjectPeers;
}

/** @throws OrcaError config_invalid where an origin refuses its settings. */
export function guardOrigins({ config, clock, random }: OriginsOptions): GuardedOrigin[] {
  return config.origins.map(
    (each) =>
      new GuardedOrigin({
        origin: openOrigin(each, config, clock),
        clock,
        random,
        requestsInFlightMax: each.targetGlobal,
        queueTimeoutMs: each.queueTimeoutMs,
        retry: each.retry,
      }),
  );
}

/** What lets go of the chunks of versions that are no more. */
export interface SupersededTier {
  supersede(version: ObjectVersion): void;
}

/** The metadata of `origin`; without `peers`, of a cluster of one, whose authority answers its clients as well. */
export function openMetadata(
  origin: GuardedOrigin,
  originConfig: OriginConfig,
  { config, clock }: OriginsOptions,
  peers: MetadataPeers | undefined,
  tiers: readonly SupersededTier[],
): OpenOrigin {
  const { metadata, listCache, chunking } = config;
  const directoryOf = (source: HeadSource): Directory =>
    new Directory({
      source,
      clock,
      chunkTiers: chunking.tiers,
      ttlMs: metadata.ttlMs,
      negativeTtlMs: metadata.negativeTtlMs,
      entriesMax: metadata.maxEntries,
      onSuperseded: (version) => {
        for (const tier of tiers) tier.supersede(version);
      },
    });
  const listsOf = (source: ListAnswerSource): ListCache =>
    new ListCache({
      source,
      clock,
      ttlMs: listCache.ttlMs,
      entriesMax: listCache.maxEntries,
      responseBytesMax: listCache.maxResponseBytes,
    });
  const authority = directoryOf(new OriginHeads(origin));
  const lists = listsOf(new OriginLists(origin));
  const known = { config: originConfig, origin, authority, lists };
  if (!peers) return { ...known, directory: authority, pages: lists };
  const shared = { originId: origin.id, coordination: peers.coordination, peers: peers.objectPeers };
  return {
    ...known,
    directory: directoryOf(new ClusterHeads({ ...shared, authority })),
    pages: listsOf(new ClusterLists({ ...shared, authority: lists })),
  };
}

function openOrigin(config: OriginConfig, { secrets }: Config, clock: Clock): Origin {
  const { id, connectTimeoutMs, attemptTimeoutMs, stallTimeoutMs, targetGlobal } = config;
  const wire = {
    id,
    connectTimeoutMs,
    attemptTimeoutMs,
    stallTimeoutMs,
    connectionsIdleMax: targetGlobal,
    clock,
  };
  switch (config.driver) {
    case "awss3": {
      const { awss3AccessKey, awss3SecretKey, awss3SessionToken } = secrets;
      const credentials = awss3AccessKey &&
        awss3SecretKey && {
          accessKeyId: awss3AccessKey.reveal(),
          secretAccessKey: awss3SecretKey.reveal(),
          ...(awss3SessionToken && { sessionToken: awss3SessionToken.reveal() }),
        };
      return new S3Origin({ ...wire, ...config.awss3, credentials });
    }
    case "azureblob":
      return new AzureBlobOrigin({
        ...wire,
        ...config.azureblob,
        accountKey: secrets.azureblobAccountKey?.reveal(),
      });
    case "file": {
      const [bucket] = config.buckets.values();
      return new FileOrigin({ id, roots: new Map(bucket ? [[bucket.bucket, config.file.root]] : []) });
    }
  }
}

/** What clients are told: the region of the first S3 origin, since SDKs sign for one region per endpoint. */
export function regionOf(config: Config): string {
  for (const origin of config.origins) if (origin.driver === "awss3") return origin.awss3.region;
  return "us-east-1";
}
