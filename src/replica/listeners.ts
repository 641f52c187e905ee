/**
 * The listeners that a replica opens besides the mesh: one for S3 clients, and one for the people who run it. What the
 * second shows comes from every part of the replica, so it is made last.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { OrcaError } from "../base/orca-error.ts";
import type { Random } from "../base/random.ts";
import type { TlsFiles } from "../base/tls-files.ts";
import type { Config } from "../config/config.ts";
import type { AccessLogger } from "../edge/access-log/access-log.ts";
import type { ClientAccess } from "../edge/auth/client-access.ts";
import { BucketHandler } from "../edge/bucket-handler.ts";
import type { EdgeStats } from "../edge/edge-stats.ts";
import { Cors } from "../edge/headers/cors.ts";
import { ObjectHandler } from "../edge/object-handler.ts";
import { S3Listener } from "../edge/s3-listener.ts";
import { SubResourceHandler } from "../edge/sub-resources/sub-resource-handler.ts";
import type { Bodies } from "../fill/bodies.ts";
import type { WarmQueue } from "../fill/warming/warm-queue.ts";
import type { Buckets, OtherBuckets, OtherLookups } from "../object/buckets.ts";
import { consoleEndpoints } from "../ops/console/console-endpoints.ts";
import { type ClusterStatusSource, clusterEndpoint } from "../ops/endpoints/cluster-status.ts";
import { logLevelEndpoints } from "../ops/endpoints/log-level-endpoints.ts";
import { probeEndpoints } from "../ops/endpoints/probe-endpoints.ts";
import { ClusterFigures } from "../ops/figures/cluster-figures.ts";
import { figuresEndpoint } from "../ops/figures/figures-endpoint.ts";
import type { ReplicaFiguresReader } from "../ops/figures/replica-figures-reader.ts";
import type { Log } from "../ops/logging.ts";
import { type AccessCounters, registerAccessMetrics } from "../ops/metrics/access-metrics.ts";
import { registerBucketMetrics } from "../ops/metrics/bucket-metrics.ts";
import { registerCachestoreMetrics } from "../ops/metrics/cachestore-metrics.ts";
import { MetricsRegistry } from "../ops/metrics/metrics.ts";
import {
  registerLogMetrics,
  registerOpsMetrics,
  registerSpanMetrics,
  registerStallMetrics,
} from "../ops/metrics/ops-metrics.ts";
import { registerReplicaMetrics } from "../ops/metrics/replica-metrics.ts";
import { registerReplicationMetrics } from "../ops/metrics/replication-metrics.ts";
import { OpsServer } from "../ops/ops-server.ts";
import { profileEndpoint } from "../ops/profile/profile-endpoint.ts";
import { Profiler } from "../ops/profile/profiler.ts";
import type { Readiness } from "../ops/readiness.ts";
import type { TokenGuard } from "../ops/token-guard.ts";
import type { Trace } from "../trace/trace.ts";
import type { CacheView } from "./cache-view.ts";
import type { MeshClient } from "./mesh-client.ts";
import type { MeshService } from "./mesh-service.ts";
import type { OpenOrigin } from "./metadata.ts";
import { regionOf } from "./origins.ts";
import type { ReplicaReadPath } from "./read-path.ts";
import { pricesOf } from "./replica-figures.ts";
import type { Tiers } from "./tiers.ts";

export interface S3ListenerParts {
  readonly config: Config;
  readonly replicaId: string;
  readonly buckets: Buckets<OtherLookups>;
  /** Undefined where clients do not authenticate. */
  readonly access: ClientAccess | undefined;
  readonly bodies: Bodies;
  readonly warmQueue: WarmQueue | undefined;
  readonly stats: EdgeStats;
  readonly tls: TlsFiles | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly accessLogger: AccessLogger;
  readonly trace: Trace;
  /** @see S3ListenerOptions.hasLane */
  readonly hasLane?: boolean | undefined;
  readonly onDied: (error: OrcaError) => void;
}

export function s3ListenerOf(parts: S3ListenerParts): S3Listener {
  const { config, replicaId, buckets, access, bodies, stats, tls, clock, random, logger, onDied } = parts;
  const { server } = config;
  const hostId = createHash("sha256").update(replicaId).digest("base64");
  return new S3Listener({
    ...server.listen,
    domain: server.domain,
    connectionsMax: server.maxConnections,
    requestsMax: server.maxRequests,
    clientStallTimeoutMs: server.clientStallTimeoutMs,
    clientMinRateBytes: server.clientMinRateBytes,
    keepAliveTimeoutMs: server.keepAliveTimeoutMs,
    headerTimeoutMs: server.headerTimeoutMs,
    hostId,
    cors: server.cors.origins.length > 0 ? new Cors(server.cors) : undefined,
    tls,
    certificatesOptional: areCertificatesOptional(server.auth),
    buckets,
    access,
    objectHandler: new ObjectHandler({
      clock,
      bodies,
      stats,
      hostId,
      strictRanges: server.strictRanges,
      warmQueue: server.warmHeader ? parts.warmQueue : undefined,
      chunkSizeBytesMin: Math.min(...config.chunking.tiers.map(({ chunkSizeBytes }) => chunkSizeBytes)),
    }),
    slowRequestMs: config.logging.slowRequestMs,
    accessMode: config.logging.access,
    accessLogger: parts.accessLogger,
    traceContexts: parts.trace.contexts,
    bucketHandler: new BucketHandler({ region: regionOf(config), clock }),
    subResourceHandler: new SubResourceHandler({ asksAsClient: asksAsClient(server.auth), clock }),
    hasLane: parts.hasLane,
    stats,
    clock,
    random,
    logger,
    onDied,
  });
}

/** Whether the origin decides what each client may read. */
function asksAsClient({ enabled, authorize }: Config["server"]["auth"]): boolean {
  return enabled && authorize === "origin";
}

/** With other ways to authenticate, or objects that everybody may read, a client need not have a certificate. */
function areCertificatesOptional({ enabled, mode, anonymous }: Config["server"]["auth"]): boolean {
  return enabled && mode.includes("mtls") && (mode.length > 1 || anonymous.length > 0);
}

/** The parts of a replica that the ops listener shows. */
export interface OpsParts {
  readonly config: Config;
  readonly readiness: Readiness;
  readonly tiers: Tiers;
  readonly origins: readonly OpenOrigin[];
  readonly readPath: ReplicaReadPath;
  readonly cacheView: CacheView;
  readonly figures: ReplicaFiguresReader;
  /** This and the next are undefined in a cluster of one. */
  readonly meshClient: MeshClient | undefined;
  readonly meshService: MeshService | undefined;
  readonly listener: S3Listener;
  readonly edge: EdgeStats;
  readonly tls: TlsFiles | undefined;
  /** Undefined where no origin has `"*"` among its buckets. */
  readonly others: OtherBuckets | undefined;
  /** Undefined where clients do not authenticate. */
  readonly accessCounters: AccessCounters | undefined;
  /** Undefined where `server.ops_token_file` is not set. */
  readonly tokenGuard: TokenGuard | undefined;
  readonly trace: Trace;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onDied: (error: OrcaError) => void;
  readonly log?: Log;
}

export function opsServerOf(parts: OpsParts): OpsServer {
  const { config, readiness, tiers, origins, readPath, cacheView, meshClient, clock, logger, onDied } = parts;
  const { budget, disk, replicaId } = tiers;
  const { zone = "" } = config.cluster;
  const status: ClusterStatusSource = {
    replicaId,
    zone,
    origins: origins.map(({ origin }) => origin),
    budget,
    disk,
    filler: readPath.filler,
    relay: readPath.relay,
    membership: meshClient?.membership,
    peers: meshClient?.peers,
  };
  const cluster = meshClient && { membership: meshClient.membership, figurePeers: meshClient.cachePeers };
  const figures = new ClusterFigures(parts.figures, { replicaId, zone }, cluster, clock);
  const metrics = metricsOf(parts, () => server.acceptErrors);
  const server = new OpsServer({
    ...config.server.opsListen,
    endpoints: [
      ...probeEndpoints(readiness, metrics),
      clusterEndpoint(status, readiness),
      figuresEndpoint(figures),
      ...consoleEndpoints(parts.tokenGuard !== undefined),
      ...cacheView.endpoints,
      profileEndpoint(new Profiler(clock), parts.tokenGuard !== undefined),
      ...(parts.log ? logLevelEndpoints(parts.log.level) : []),
    ],
    actions: config.server.opsActions,
    tokenGuard: parts.tokenGuard,
    tls: config.server.opsTls ? parts.tls : undefined,
    clock,
    logger,
    onDied,
  });
  registerOpsMetrics(metrics, server);
  cacheView.warmUps.reachedAt(() => ({ port: server.port, isTls: config.server.opsTls }));
  return server;
}

function metricsOf(parts: OpsParts, opsAcceptErrors: () => number): MetricsRegistry {
  const { tiers, origins, readPath, cacheView, meshService, listener, edge, tls } = parts;
  const { budget, memory, disk, cachestore } = tiers;
  const { filler, replicated, forReaders } = readPath;
  const metrics = new MetricsRegistry(parts.clock);
  metrics.collectProcessMetrics();
  registerReplicaMetrics(metrics, {
    edge,
    listener,
    acceptErrors: () => ({
      s3: listener.acceptErrors,
      ops: opsAcceptErrors(),
      ...(meshService && { mesh: meshService.acceptErrors }),
    }),
    tls,
    readPath: forReaders,
    filler,
    warmer: readPath.warmer,
    warmUps: cacheView.warmUps,
    warmQueue: cacheView.warmQueue,
    budget,
    memory,
    disk,
    scrub: cacheView.scrub,
    origins: origins.map(({ origin }) => origin),
    prices: pricesOf(parts.config),
    directories: new Map(origins.map(({ origin, directory }) => [origin.id, directory])),
    parts: new Map(origins.map(({ origin, parts: tables }) => [origin.id, tables])),
    lists: new Map(origins.map(({ origin, listings }) => [origin.id, listings])),
    authorityLists: new Map(origins.map(({ origin, authorityListings }) => [origin.id, authorityListings])),
  });
  if (parts.others) registerBucketMetrics(metrics, parts.others);
  if (parts.accessCounters) registerAccessMetrics(metrics, parts.accessCounters);
  meshService?.register(metrics);
  if (replicated) registerReplicationMetrics(metrics, replicated);
  if (cachestore) registerCachestoreMetrics(metrics, cachestore);
  if (parts.log) registerLogMetrics(metrics, parts.log);
  registerStallMetrics(metrics, parts.trace.stalls);
  const { contexts } = parts.trace;
  if (parts.config.tracing.otlpEndpoint !== undefined)
    registerSpanMetrics(metrics, () => contexts.spans?.sink);
  return metrics;
}
