/**
 * The composition root: makes the parts of one replica out of its configuration, and starts and stops them in order.
 * Each part gets what it needs by its constructor; this is the only file that knows them all.
 *
 * Stopping goes from the outside in: not ready, no new connections, running responses finish, fills nobody waits for
 * end, commits finish, files and sockets close.
 */
import type { AddressInfo } from "node:net";
import type { Clock } from "./base/clock.ts";
import type { Logger } from "./base/logger.ts";
import { MemoryBudget } from "./base/memory-budget.ts";
import type { Random } from "./base/random.ts";
import { TlsFiles } from "./base/tls-files.ts";
import type { Config } from "./config/config.ts";
import type { OriginConfig } from "./config/origin-config.ts";
import { BucketHandler } from "./edge/bucket-handler.ts";
import { EdgeStats } from "./edge/edge-stats.ts";
import { ObjectHandler } from "./edge/object-handler.ts";
import { S3Listener } from "./edge/s3-listener.ts";
import { Filler } from "./fill/filler.ts";
import type { ReadPath } from "./fill/object-reader.ts";
import { Bucket } from "./object/bucket.ts";
import { Directory } from "./object/directory.ts";
import { Readiness } from "./ops/health.ts";
import { MetricsRegistry } from "./ops/metrics.ts";
import { OpsServer } from "./ops/ops-server.ts";
import { registerReplicaMetrics } from "./ops/replica-metrics.ts";
import { AzureBlobOrigin } from "./origin/azure-blob-origin.ts";
import { FileOrigin } from "./origin/file-origin.ts";
import { GuardedOrigin } from "./origin/guarded-origin.ts";
import type { Origin } from "./origin/origin.ts";
import { S3Origin } from "./origin/s3-origin.ts";
import { DiskTier } from "./store/disk-tier.ts";
import { MemoryTier } from "./store/memory-tier.ts";
import { S3Fifo } from "./store/s3-fifo.ts";

export interface ReplicaOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface ReplicaAddresses {
  readonly s3: AddressInfo;
  readonly ops: AddressInfo;
}

/** Commits are worth waiting for even where responses are cut early: each one saves a refill. */
const commitsDrainMinMs = 30_000;

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #readiness = new Readiness();
  readonly #origins: readonly GuardedOrigin[];
  readonly #disk: DiskTier | undefined;
  readonly #filler: Filler;
  readonly #listener: S3Listener;
  readonly #ops: OpsServer;

  /**
   * Makes all parts; nothing listens yet.
   * @throws OrcaError config_invalid where a part cannot be made: the disk is another process's, a certificate is unreadable.
   */
  static async open(options: ReplicaOptions): Promise<Replica> {
    const { config, clock, logger } = options;
    const { tls } = config.server;
    const tlsFiles = tls && (await TlsFiles.load({ ...tls, clock, logger }));
    return new Replica(options, tlsFiles);
  }

  private constructor(options: ReplicaOptions, tls: TlsFiles | undefined) {
    this.#options = options;
    const { config, clock, random, logger } = options;
    const budget = new MemoryBudget({ maxBytes: config.memory.maxBytes, clock });
    const memory = new MemoryTier({ budget });
    // Before the disk is opened: an origin may refuse its settings, and the disk's thread would keep the process alive.
    this.#origins = config.origins.map((origin) => guard(origin, options));
    const disk = openDisk(options);
    this.#disk = disk;
    if (disk) budget.addLastResort((missingBytes) => disk.dropQueued(missingBytes));
    const directories = new Map(this.#origins.map((origin) => [origin.id, openDirectory(origin, options)]));
    const { queueTimeoutMs } = config.memory;
    this.#filler = new Filler({
      origins: new Map(this.#origins.map((origin) => [origin.id, origin])),
      memory,
      disk: this.#disk,
      budget,
      queueTimeoutMs,
    });
    const readPath: ReadPath = {
      memory,
      disk: this.#disk,
      filler: this.#filler,
      budget,
      queueTimeoutMs,
      readAheadMax: config.chunking.readahead,
      sentBytes: { memory: 0, disk: 0, origin: 0, join: 0 },
    };
    const stats = new EdgeStats();
    this.#listener = new S3Listener({
      ...config.server.listen,
      domain: config.server.domain,
      connectionsMax: config.server.maxConnections,
      requestsMax: config.server.maxRequests,
      clientStallTimeoutMs: config.server.clientStallTimeoutMs,
      keepAliveTimeoutMs: config.server.keepAliveTimeoutMs,
      headerTimeoutMs: config.server.headerTimeoutMs,
      tls,
      buckets: this.#openBuckets(directories),
      objectHandler: new ObjectHandler({ clock, readPath, stats }),
      bucketHandler: new BucketHandler({ region: regionOf(config) }),
      stats,
      clock,
      random,
      logger,
    });
    const metrics = new MetricsRegistry();
    metrics.collectProcessMetrics();
    registerReplicaMetrics(metrics, {
      edge: stats,
      listener: this.#listener,
      tls,
      readPath,
      filler: this.#filler,
      budget,
      memory,
      disk: this.#disk,
      origins: this.#origins,
      directories,
    });
    this.#ops = new OpsServer({ ...config.server.opsListen, readiness: this.#readiness, metrics, logger });
  }

  /** Resolves when clients are served. @throws OrcaError config_invalid where a listener cannot be had. */
  async start(): Promise<ReplicaAddresses> {
    try {
      const ops = await this.#ops.start();
      const s3 = await this.#listener.start();
      this.#readiness.enter("serving");
      return { s3, ops };
    } catch (thrown) {
      await this.stop();
      throw thrown;
    }
  }

  /** Ends in order, within `server.drain_timeout` for responses and as much again for commits. */
  async stop(): Promise<void> {
    const { config, logger } = this.#options;
    if (this.#readiness.phase !== "draining") this.#readiness.enter("draining");
    const cut = await this.#listener.drain(config.server.drainTimeoutMs);
    if (cut > 0)
      logger.warn({ responses: cut }, "Cut responses that did not finish within server.drain_timeout");
    const fillsEnded = this.#filler.stop();
    await this.#disk?.close(Math.max(config.server.drainTimeoutMs, commitsDrainMinMs));
    await fillsEnded;
    for (const origin of this.#origins) origin.close();
    await this.#ops.stop();
  }

  #openBuckets(directories: ReadonlyMap<string, Directory>): ReadonlyMap<string, Bucket> {
    const buckets = new Map<string, Bucket>();
    for (const [index, origin] of this.#origins.entries()) {
      const directory = directories.get(origin.id);
      for (const [name, place] of this.#options.config.origins[index]?.buckets ?? []) {
        if (!directory) continue;
        buckets.set(
          name,
          new Bucket({ name, originBucket: place.bucket, prefix: place.prefix, directory, origin }),
        );
      }
    }
    return buckets;
  }
}

function openDisk({ config, clock, logger }: ReplicaOptions): DiskTier | undefined {
  const { disk, cluster } = config;
  if (!disk) return undefined;
  return DiskTier.open({ ...disk, replicaId: cluster.replicaId, policy: new S3Fifo(), clock, logger });
}

function openDirectory(origin: GuardedOrigin, { config, clock }: ReplicaOptions): Directory {
  const { ttlMs, negativeTtlMs, maxEntries } = config.metadata;
  return new Directory({
    origin,
    clock,
    chunkTiers: config.chunking.tiers,
    ttlMs,
    negativeTtlMs,
    entriesMax: maxEntries,
  });
}

function guard(config: OriginConfig, options: ReplicaOptions): GuardedOrigin {
  return new GuardedOrigin({
    origin: openOrigin(config, options),
    clock: options.clock,
    random: options.random,
    requestsInFlightMax: config.targetGlobal,
    queueTimeoutMs: config.queueTimeoutMs,
    retry: config.retry,
  });
}

function openOrigin(config: OriginConfig, { config: { secrets }, clock }: ReplicaOptions): Origin {
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
function regionOf(config: Config): string {
  for (const origin of config.origins) if (origin.driver === "awss3") return origin.awss3.region;
  return "us-east-1";
}
