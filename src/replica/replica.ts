/**
 * The composition root: makes the parts of one replica out of its configuration, and starts and stops them in order.
 * Each part gets what it needs by its constructor. The larger groups of parts are made in files of their own beside this
 * one: where chunks are kept (tiers.ts), how they are come by (fills.ts), whom they come from (origins.ts), the two ends
 * of the mesh (cluster.ts, mesh.ts), and what people may ask about the cache (cache-view.ts).
 *
 * Stopping goes from the outside in: not ready, goodbye to the peers, no new connections, running responses finish,
 * fills nobody waits for end, commits finish, files and sockets close.
 */
import type { AddressInfo } from "node:net";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Random } from "../base/random.ts";
import { TlsFiles } from "../base/tls-files.ts";
import type { Config } from "../config/config.ts";
import { BucketHandler } from "../edge/bucket-handler.ts";
import { EdgeStats } from "../edge/edge-stats.ts";
import { ObjectHandler } from "../edge/object-handler.ts";
import { S3Listener } from "../edge/s3-listener.ts";
import type { ReadPath } from "../fill/object-reader.ts";
import type { MeshTls } from "../mesh/session/mesh-tls.ts";
import { Bucket } from "../object/bucket.ts";
import { registerCachestoreMetrics } from "../ops/metrics/cachestore-metrics.ts";
import { MetricsRegistry } from "../ops/metrics/metrics.ts";
import { registerReplicaMetrics } from "../ops/metrics/replica-metrics.ts";
import { registerReplicationMetrics } from "../ops/metrics/replication-metrics.ts";
import { OpsServer } from "../ops/ops-server.ts";
import { Readiness } from "../ops/readiness.ts";
import type { GuardedOrigin } from "../origin/guarded-origin.ts";
import { originShare } from "../placement/origin-share.ts";
import { CacheView } from "./cache-view.ts";
import { cachestoreNotice } from "./cachestore.ts";
import { MeshClient } from "./mesh-client.ts";
import { MeshService } from "./mesh-service.ts";
import { type OpenOrigin, openMetadata } from "./metadata.ts";
import { guardOrigins, regionOf } from "./origins.ts";
import { ReplicaReadPath } from "./read-path.ts";
import { openTiers, type Tiers } from "./tiers.ts";

export interface ReplicaOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface ReplicaAddresses {
  readonly s3: AddressInfo;
  readonly ops: AddressInfo;
  /** Undefined in a cluster of one. */
  readonly mesh: AddressInfo | undefined;
}

/** Commits are worth waiting for even where responses are cut early: each one saves a refill. */
const commitsDrainMinMs = 30_000;

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #readiness = new Readiness();
  readonly #origins: readonly GuardedOrigin[];
  readonly #tiers: Tiers;
  readonly #fills: ReplicaReadPath;
  readonly #cluster: MeshClient | undefined;
  readonly #mesh: MeshService | undefined;
  readonly #listener: S3Listener;
  readonly #cacheView: CacheView;
  readonly #ops: OpsServer;

  /**
   * Makes all parts; nothing listens yet.
   * @throws OrcaError config_invalid where a part cannot be made: the disk is another process's, a certificate is unreadable.
   */
  static async open(options: ReplicaOptions): Promise<Replica> {
    const { config, clock, logger } = options;
    const { tls } = config.server;
    const tlsFiles = tls && (await TlsFiles.load({ ...tls, clock, logger }));
    return new Replica(options, tlsFiles, await MeshClient.loadTls(config, clock, logger));
  }

  private constructor(options: ReplicaOptions, tls: TlsFiles | undefined, meshTls: MeshTls | undefined) {
    this.#options = options;
    const { config, clock, logger } = options;
    // Before the disk is opened: an origin may refuse its settings, and the disk's thread would keep the process alive.
    this.#origins = guardOrigins(options);
    this.#tiers = openTiers(options);
    const { memory, disk, cachestore, budget, replicaId } = this.#tiers;
    if (cachestore) this.#readiness.addNotice("cachestore", cachestoreNotice(cachestore));
    const cluster = config.cluster.clustered
      ? new MeshClient({ ...options, replicaId, tls: meshTls })
      : undefined;
    this.#cluster = cluster;
    this.#fills = new ReplicaReadPath({ ...options, tiers: this.#tiers, origins: this.#origins, cluster });
    const { filler, relay, replicated, readPath } = this.#fills;
    const tiers = disk ? [memory, disk] : [memory];
    const open = this.#origins.map((origin, index) =>
      openMetadata(origin, config.origins[index] as Config["origins"][number], options, cluster, tiers),
    );
    const buckets = bucketsOf(open);
    this.#cacheView = new CacheView({
      replicaId,
      budget,
      memory,
      disk,
      cachestore,
      flights: readPath.flights,
      origins: open,
      buckets,
      cluster,
      clock,
      logger,
    });
    if (cluster && relay) {
      cluster.membership.subscribe(() => this.#shareOrigins());
      this.#mesh = new MeshService({
        ...options,
        cluster,
        tls: meshTls,
        readPath,
        filler,
        relay,
        disk,
        open,
        cache: this.#cacheView.held,
        lists: replicated?.lister,
      });
    }
    const stats = new EdgeStats();
    this.#listener = listenerOf(options, { buckets, readPath, stats, tls });
    this.#ops = new OpsServer({
      ...config.server.opsListen,
      readiness: this.#readiness,
      metrics: this.#metricsOf(stats, tls, open),
      cluster: {
        replicaId,
        zone: config.cluster.zone ?? "",
        origins: this.#origins,
        budget,
        disk,
        filler,
        relay,
        membership: cluster?.membership,
        peers: cluster?.peers,
      },
      endpoints: this.#cacheView.endpoints,
      actions: config.server.opsActions,
      logger,
    });
  }

  /** Replicas that this one holds for live, itself included. */
  get liveMembers(): number {
    return this.#cluster?.membership.live.length ?? 1;
  }

  /** Resolves when clients are served. @throws OrcaError config_invalid where a listener cannot be had. */
  async start(): Promise<ReplicaAddresses> {
    try {
      await this.#tiers.cachestore?.store.check();
      const ops = await this.#ops.start();
      const mesh = await this.#mesh?.start();
      // Clients come when the peers are known: until then, this replica would fill what others have.
      if (mesh) await this.#cluster?.join(mesh.port);
      this.#fills.start();
      const s3 = await this.#listener.start();
      this.#readiness.enter("serving");
      return { s3, ops, mesh };
    } catch (thrown) {
      await this.stop();
      throw thrown;
    }
  }

  /** Ends in order, within `server.drain_timeout` for responses and as much again for commits. */
  async stop(): Promise<void> {
    const { config, logger } = this.#options;
    const { drainTimeoutMs } = config.server;
    if (this.#readiness.phase !== "draining") this.#readiness.enter("draining");
    const copiesEnded = this.#fills.stopCopies();
    await this.#cluster?.leave();
    const meshDrained = this.#mesh?.drain(drainTimeoutMs);
    const cut = await this.#listener.drain(drainTimeoutMs);
    if (cut > 0)
      logger.warn({ responses: cut }, "Cut responses that did not finish within server.drain_timeout");
    // Peers wait for fills of this replica as clients do.
    await meshDrained;
    const flightsEnded = this.#fills.stop();
    await copiesEnded;
    await this.#cacheView.scrub?.stop();
    const commitsDrainMs = Math.max(drainTimeoutMs, commitsDrainMinMs);
    const { disk, cachestore } = this.#tiers;
    await Promise.all([disk?.close(commitsDrainMs), cachestore?.store.close(commitsDrainMs)]);
    await flightsEnded;
    this.#cluster?.stop();
    for (const origin of this.#origins) origin.close();
    await this.#ops.stop();
  }

  #metricsOf(edge: EdgeStats, tls: TlsFiles | undefined, open: readonly OpenOrigin[]): MetricsRegistry {
    const { budget, memory, disk, cachestore } = this.#tiers;
    const { filler, replicated, readPath } = this.#fills;
    const metrics = new MetricsRegistry();
    metrics.collectProcessMetrics();
    registerReplicaMetrics(metrics, {
      edge,
      listener: this.#listener,
      tls,
      readPath,
      filler,
      budget,
      memory,
      disk,
      origins: this.#origins,
      directories: new Map(open.map((each) => [each.origin.id, each.directory])),
      lists: new Map(open.map((each) => [each.origin.id, each.pages])),
    });
    this.#mesh?.register(metrics);
    if (replicated) registerReplicationMetrics(metrics, replicated);
    if (cachestore) registerCachestoreMetrics(metrics, cachestore);
    return metrics;
  }

  /**
   * All replicas together keep to `target_global`. One that has left keeps what it had, for the fills that it ends, while
   * the others share anew: until it is gone, the sum may pass the target by its share.
   */
  #shareOrigins(): void {
    if (this.#cluster?.membership.self.state === "left") return;
    const live = this.liveMembers;
    for (const [index, origin] of this.#origins.entries()) {
      origin.resize(originShare(this.#options.config.origins[index]?.targetGlobal ?? 1, live));
    }
  }
}

/** What the clients' side of a replica is made of. */
interface EdgeParts {
  readonly buckets: ReadonlyMap<string, Bucket>;
  readonly readPath: ReadPath;
  readonly stats: EdgeStats;
  readonly tls: TlsFiles | undefined;
}

function listenerOf(
  { config, clock, random, logger }: ReplicaOptions,
  { buckets, readPath, stats, tls }: EdgeParts,
): S3Listener {
  const { server } = config;
  return new S3Listener({
    ...server.listen,
    domain: server.domain,
    connectionsMax: server.maxConnections,
    requestsMax: server.maxRequests,
    clientStallTimeoutMs: server.clientStallTimeoutMs,
    keepAliveTimeoutMs: server.keepAliveTimeoutMs,
    headerTimeoutMs: server.headerTimeoutMs,
    tls,
    buckets,
    objectHandler: new ObjectHandler({ clock, readPath, stats }),
    bucketHandler: new BucketHandler({ region: regionOf(config) }),
    stats,
    clock,
    random,
    logger,
  });
}

function bucketsOf(origins: readonly OpenOrigin[]): ReadonlyMap<string, Bucket> {
  const buckets = new Map<string, Bucket>();
  for (const { config, directory, pages } of origins) {
    for (const [name, { bucket: originBucket, prefix }] of config.buckets) {
      buckets.set(name, new Bucket({ name, originBucket, prefix, directory, lists: pages }));
    }
  }
  return buckets;
}
