/**
 * The caches of metadata in front of each origin: a directory of objects, a cache of listings, and tables of parts. In a cluster each exists
 * twice. One answers this replica's clients and asks the coordinator. The other is the authority: it answers peers and
 * asks the origin.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { Config } from "../config/config.ts";
import type { OriginConfig } from "../config/origin-config.ts";
import type { Coordination } from "../membership/coordination.ts";
import { ClusterHeads } from "../object/cluster-heads.ts";
import { ClusterListings } from "../object/cluster-listings.ts";
import { Directory } from "../object/directory.ts";
import type { Revocations } from "../object/freshness/revocations.ts";
import type { HeadSource } from "../object/heads/head-source.ts";
import { type FirstBytesPlaces, OriginHeads } from "../object/heads/origin-heads.ts";
import type { HeapShare } from "../object/heap-share.ts";
import { ListingCache, type ListingSource, OriginListings } from "../object/listing-cache.ts";
import type { ObjectPeers } from "../object/object-peers.ts";
import type { ServedOrigin } from "../object/object-server.ts";
import { ClusterParts } from "../object/parts/cluster-parts.ts";
import { OriginParts } from "../object/parts/origin-parts.ts";
import { type PartSource, PartTables } from "../object/parts/part-tables.ts";
import type { GuardedOrigin } from "../origin/guarded-origin.ts";
import type { Trace } from "../trace/trace.ts";
import { lifetimeOf, lifetimePlacesOf } from "./metadata-lifetimes.ts";
import { StaleLog } from "./stale-log.ts";

/** One origin, and the metadata of its objects. */
export interface OpenOrigin extends ServedOrigin {
  readonly config: OriginConfig;
  readonly origin: GuardedOrigin;
  /** Answers this replica's own clients. */
  readonly listings: ListingCache;
  /** As {@link listings}. */
  readonly parts: PartTables;
}

/** The replicas that are asked for metadata, and which of them coordinates what. */
export interface MetadataPeers {
  readonly coordination: Coordination;
  readonly objectPeers: ObjectPeers;
}

/** What all caches share. */
export interface MetadataParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trace: Trace;
  /** Where the first bytes of objects go that are opened. Undefined where none is opened. */
  readonly places: FirstBytesPlaces | undefined;
  /** Bounds all directories together. */
  readonly metadataHeap: HeapShare;
  /** Undefined where no other thread serves clients. */
  readonly revocations: Revocations | undefined;
}

/** A store that evicts the chunks of outdated versions first. */
export interface SupersededTier {
  supersede(version: ObjectVersion): void;
}

/** The caches in front of `origin`. Without `peers`, in a cluster of one, the authority answers clients as well. */
export function openMetadata(
  origin: GuardedOrigin,
  originConfig: OriginConfig,
  { config, clock, logger, trace, metadataHeap: heap, places, revocations }: MetadataParts,
  peers: MetadataPeers | undefined,
  tiers: readonly SupersededTier[],
): OpenOrigin {
  const { metadata, listCache, chunking } = config;
  const staleLog = new StaleLog(origin.id, clock, logger);
  const lifetimePlaces = lifetimePlacesOf(originConfig, metadata);
  const directoryOf = (source: HeadSource): Directory =>
    new Directory({
      source,
      clock,
      chunkTiers: chunking.tiers,
      ...lifetimeOf(metadata),
      lifetimePlaces,
      entriesMax: metadata.maxEntries,
      heap,
      onSuperseded: (version) => {
        for (const tier of tiers) tier.supersede(version);
      },
      onStale: (error) => staleLog.answered(error),
      trace,
      revocations,
    });
  const listingCaches = peers ? 2 : 1;
  const listingsOf = (source: ListingSource): ListingCache =>
    new ListingCache({
      source,
      clock,
      ttlMs: listCache.ttlMs,
      entriesMax: listCache.maxEntries,
      bytesMax: Math.floor(listCache.maxBytes / listingCaches),
      responseBytesMax: listCache.maxResponseBytes,
      runningMax: listCache.maxRunning,
      queueTimeoutMs: originConfig.queueTimeoutMs,
    });
  const { ttlMs, maxEntries: entriesMax } = metadata;
  const partsOf = (source: PartSource): PartTables =>
    new PartTables({ originId: origin.id, source, clock, ttlMs, entriesMax, heap });
  const authority = directoryOf(new OriginHeads(origin, places && { places, chunkTiers: chunking.tiers }));
  const authorityListings = listingsOf(new OriginListings(origin));
  const authorityParts = partsOf(new OriginParts(origin));
  const known = { config: originConfig, origin, authority, authorityListings, authorityParts };
  if (!peers) return { ...known, directory: authority, listings: authorityListings, parts: authorityParts };
  const shared = { originId: origin.id, coordination: peers.coordination, peers: peers.objectPeers };
  return {
    ...known,
    directory: directoryOf(new ClusterHeads({ ...shared, authority, chunkTiers: chunking.tiers, trace })),
    listings: listingsOf(new ClusterListings({ ...shared, authority: authorityListings })),
    parts: partsOf(
      new ClusterParts({ ...shared, authority: authorityParts, hasParts: origin.hasParts, trace }),
    ),
  };
}

/** Ends the timers of the caches, and releases what the directories hold. */
export function closeMetadata(origins: readonly OpenOrigin[], metadataHeap: HeapShare): void {
  for (const { directory, authority, listings, authorityListings, parts, authorityParts } of origins) {
    for (const cache of [directory, authority, listings, authorityListings, parts, authorityParts])
      cache.close();
  }
  metadataHeap.close();
}
