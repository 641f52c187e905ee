/**
 * The composition root: makes the parts of one replica out of its configuration, and starts and stops them in order.
 * Each part gets what it needs by its constructor; this file, origins.ts and the two ends of the mesh (cluster.ts,
 * mesh.ts) are the only ones that know them all.
 *
 * Stopping goes from the outside in: not ready, goodbye to the peers, no new connections, running responses finish,
 * fills nobody waits for end, commits finish, files and sockets close.
 */
import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import type { Clock } from "./base/clock.ts";
import type { Logger } from "./base/logger.ts";
import { MemoryBudget } from "./base/memory-budget.ts";
import type { Random } from "./base/random.ts";
import { TlsFiles } from "./base/tls-files.ts";
import { Cluster } from "./cluster.ts";
import type { Config } from "./config/config.ts";
import { BucketHandler } from "./edge/bucket-handler.ts";
import { EdgeStats } from "./edge/edge-stats.ts";
import { ObjectHandler } from "./edge/object-handler.ts";
import { S3Listener } from "./edge/s3-listener.ts";
import { Filler } from "./fill/filler.ts";
import type { ReadPath } from "./fill/object-reader.ts";
import { Relay } from "./fill/relay.ts";
import type { MeshTls } from "./mesh/mesh-tls.ts";
import { Mesh } from "./mesh.ts";
import { Bucket } from "./object/bucket.ts";
import { Readiness } from "./ops/health.ts";
import { MetricsRegistry } from "./ops/metrics.ts";
import { OpsServer } from "./ops/ops-server.ts";
import { registerReplicaMetrics } from "./ops/replica-metrics.ts";
import type { GuardedOrigin } from "./origin/guarded-origin.ts";
import { guardOrigins, type OpenOrigin, openMetadata, regionOf } from "./origins.ts";
import { originShare } from "./placement/origin-share.ts";
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
  /** Undefined in a cluster of one. */
  readonly mesh: AddressInfo | undefined;
}

/** Commits are worth waiting for even where responses are cut early: each one saves a refill. */
const commitsDrainMinMs = 30_000;

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #readiness = new Readiness();
  readonly #origins: readonly GuardedOrigin[];
  readonly #disk: DiskTier | undefined;
  readonly #filler: Filler;
  readonly #relay: Relay | undefined;
  readonly #cluster: Cluster | undefined;
  readonly #mesh: Mesh | undefined;
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
    return new Replica(options, tlsFiles, await Cluster.loadTls(config, clock, logger));
  }

  private constructor(options: ReplicaOptions, tls: TlsFiles | undefined, meshTls: MeshTls | undefined) {
    this.#options = options;
    const { config, clock, random, logger } = options;
    const { queueTimeoutMs } = config.memory;
    const budget = new MemoryBudget({ maxBytes: config.memory.maxBytes, clock });
    const memory = new MemoryTier({ budget });
    // Before the disk is opened: an origin may refuse its settings, and the disk's thread would keep the process alive.
    this.#origins = guardOrigins(options);
    const disk = openDisk(options);
    this.#disk = disk;
    if (disk) budget.addLastResort((missingBytes) => disk.dropQueued(missingBytes));
    const replicaId = disk?.replicaId ?? config.cluster.replicaId ?? randomBytes(8).toString("hex");
    const cluster = config.cluster.clustered
      ? new Cluster({ ...options, replicaId, tls: meshTls })
      : undefined;
    this.#cluster = cluster;
    const tiers = { memory, disk, budget, queueTimeoutMs };
    this.#filler = new Filler({
      ...tiers,
      origins: new Map(this.#origins.map((origin) => [origin.id, origin])),
    });
    const filler = this.#filler;
    this.#relay =
      cluster &&
      new Relay({
        ...tiers,
        filler,
        peers: cluster.chunkPeers,
        coordination: cluster.coordination,
        clock,
      });
    const readPath: ReadPath = {
      ...tiers,
      flights: this.#relay ?? filler,
      readAheadMax: config.chunking.readahead,
      sentBytes: { memory: 0, disk: 0, peer: 0, origin: 0, join: 0 },
    };
    const open = this.#origins.map((origin, index) =>
      openMetadata(origin, config.origins[index] as Config["origins"][number], options, cluster),
    );
    if (cluster && this.#relay) {
      cluster.membership.subscribe(() => this.#shareOrigins());
      this.#mesh = new Mesh({
        ...options,
        cluster,
        tls: meshTls,
        readPath,
        filler,
        relay: this.#relay,
        disk,
        open,
      });
    }
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
      buckets: bucketsOf(open),
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
      filler,
      budget,
      memory,
      disk,
      origins: this.#origins,
      directories: new Map(open.map((each) => [each.origin.id, each.directory])),
      lists: new Map(open.map((each) => [each.origin.id, each.pages])),
    });
    this.#mesh?.register(metrics);
    this.#ops = new OpsServer({
      ...config.server.opsListen,
      readiness: this.#readiness,
      metrics,
      cluster: {
        replicaId,
        zone: config.cluster.zone ?? "",
        origins: this.#origins,
        budget,
        disk,
        filler,
        relay: this.#relay,
        membership: cluster?.membership,
        peers: cluster?.peers,
      },
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
      const ops = await this.#ops.start();
      const mesh = await this.#mesh?.start();
      // Clients come when the peers are known: until then, this replica would fill what others have.
      if (mesh) await this.#cluster?.join(mesh.port);
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
    await this.#cluster?.leave();
    const meshDrained = this.#mesh?.drain(drainTimeoutMs);
    const cut = await this.#listener.drain(drainTimeoutMs);
    if (cut > 0)
      logger.warn({ responses: cut }, "Cut responses that did not finish within server.drain_timeout");
    // Peers wait for fills of this replica as clients do.
    await meshDrained;
    const flightsEnded = Promise.all([this.#relay?.stop(), this.#filler.stop()]);
    await this.#disk?.close(Math.max(drainTimeoutMs, commitsDrainMinMs));
    await flightsEnded;
    this.#cluster?.stop();
    for (const origin of this.#origins) origin.close();
    await this.#ops.stop();
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

function openDisk({ config, clock, logger }: ReplicaOptions): DiskTier | undefined {
  const { disk, cluster } = config;
  if (!disk) return undefined;
  return DiskTier.open({ ...disk, replicaId: cluster.replicaId, policy: new S3Fifo(), clock, logger });
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
