/**
 * The cachestore of a configuration: the driver that it names, with breaker and catalog around it. No other file knows the
 * drivers of cachestores by name.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Config } from "../config/config.ts";
import type { Membership } from "../membership/membership.ts";
import { chunkOfRumor, rumorOfChunk } from "../mesh/codec/rumor-codec.ts";
import type { ReadinessCheck } from "../ops/readiness.ts";
import { Breaker } from "../store/cachestore/breaker.ts";
import { Catalog } from "../store/cachestore/catalog.ts";
import { GuardedCachestore } from "../store/cachestore/guarded-cachestore.ts";
import { PosixCachestore } from "../store/cachestore/posix/posix-cachestore.ts";
import { S3Cachestore } from "../store/cachestore/s3/s3-cachestore.ts";
import type { ChunkKey } from "../store/chunk-store.ts";

export interface CachestoreOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The cachestore, and those of its parts that metrics are read from. */
export interface OpenCachestore {
  readonly store: GuardedCachestore;
  readonly driver: S3Cachestore | PosixCachestore;
  readonly breaker: Breaker;
  readonly catalog: Catalog;
}

/** Undefined where none is configured. Nothing is asked of the store yet. */
export function openCachestore({ config, clock, logger }: CachestoreOptions): OpenCachestore | undefined {
  const driver = openDriver({ config, clock, logger });
  if (!driver) return undefined;
  const { breakerWindowMs: windowMs, breakerOpenMs: openMs, maxHints } = config.cachestore;
  const breaker = new Breaker({ clock, windowMs, openMs });
  const catalog = new Catalog(maxHints);
  const store = new GuardedCachestore({ driver, breaker, catalog, clock, logger });
  return { store, driver, breaker, catalog };
}

function openDriver({
  config: { cachestore, secrets },
  clock,
  logger,
}: CachestoreOptions): OpenCachestore["driver"] | undefined {
  const { s3, posixfs, connectTimeoutMs, attemptTimeoutMs, stallTimeoutMs, commitTimeoutMs } = cachestore;
  if (cachestore.driver === "s3" && s3?.bucket) {
    const { maxRequests, maxCommits, bucket, ...place } = s3;
    const { cachestoreS3AccessKey, cachestoreS3SecretKey } = secrets;
    const credentials = cachestoreS3AccessKey &&
      cachestoreS3SecretKey && {
        accessKeyId: cachestoreS3AccessKey.reveal(),
        secretAccessKey: cachestoreS3SecretKey.reveal(),
      };
    return new S3Cachestore({
      ...place,
      bucket,
      credentials,
      connectTimeoutMs,
      attemptTimeoutMs,
      stallTimeoutMs,
      connectionsIdleMax: maxRequests + maxCommits,
      readsInFlightMax: maxRequests,
      putsInFlightMax: maxCommits,
      clock,
      logger,
    });
  }
  if (cachestore.driver === "posixfs" && posixfs?.root) {
    return new PosixCachestore({
      root: posixfs.root,
      callTimeoutMs: attemptTimeoutMs,
      commitTimeoutMs,
      clock,
      logger,
    });
  }
  return undefined;
}

/**
 * Learns the chunks that other replicas announce as stored. The result announces a chunk to them: it is to be called with
 * each chunk that this replica stored.
 */
export function announcing(
  { membership }: { readonly membership: Pick<Membership, "listen" | "publish"> },
  { catalog }: Pick<OpenCachestore, "catalog">,
): (key: ChunkKey) => void {
  membership.listen("announcement", (announcement) => catalog.learn(chunkOfRumor(announcement)));
  return (key) => membership.publish(rumorOfChunk(key));
}

/**
 * The notice in /readyz. A replica without its cachestore serves on, more slowly. A replica that the cachestore denies access
 * needs a person.
 */
export function cachestoreNotice({ store }: OpenCachestore): ReadinessCheck {
  return () =>
    store.denied ? "the cachestore denies Orca's credentials or rights again and again; check both" : null;
}
