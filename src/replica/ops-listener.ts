/**
 * The listener for the people who run a replica. What it shows comes from every part of the replica, so it is made last.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { OrcaError } from "../base/orca-error.ts";
import type { TlsFiles } from "../base/tls-files.ts";
import type { Config } from "../config/config.ts";
import type { EdgeStats } from "../edge/edge-stats.ts";
import type { OtherBuckets } from "../object/buckets.ts";
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
  registerEdgeThreadMetrics,
  registerLogMetrics,
  registerOpsMetrics,
  registerSpanMetrics,
  registerStallMetrics,
  registerThreadMetrics,
} from "../ops/metrics/ops-metrics.ts";
import { registerReplicaMetrics } from "../ops/metrics/replica-metrics.ts";
import { registerReplicationMetrics } from "../ops/metrics/replication-metrics.ts";
import { OpsServer } from "../ops/ops-server.ts";
import { profileEndpoint } from "../ops/profile/profile-endpoint.ts";
import { Profiler } from "../ops/profile/profiler.ts";
import type { Readiness } from "../ops/readiness.ts";
import type { ThreadLoads } from "../ops/thread-loads.ts";
import type { TokenGuard } from "../ops/token-guard.ts";
import type { Trace } from "../trace/trace.ts";
import type { CacheView } from "./cache-view.ts";
import type { MeshClient } from "./mesh-client.ts";
import type { MeshService } from "./mesh-service.ts";
import type { OpenOrigin } from "./metadata.ts";
import type { ReplicaReadPath } from "./read-path.ts";
import { pricesOf, readFigures } from "./replica-figures.ts";
import type { ClientListener } from "./threads/client-listener.ts";
import type { Tiers } from "./tiers.ts";

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
  readonly listener: ClientListener;
  readonly threadLoads: ThreadLoads;
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
    threads: parts.threadLoads,
  };
  const cluster = meshClient && { membership: meshClient.membership, figurePeers: meshClient.cachePeers };
  const own = { read: (slotsMax: number) => readFigures(parts.figures, parts.listener, slotsMax) };
  const figures = new ClusterFigures(own, { replicaId, zone }, cluster, clock);
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
  if (listener.collect) metrics.collectBeforePage(() => listener.collect?.() ?? Promise.resolve());
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
  if (parts.log) registerLogMetrics(metrics, parts.log, () => listener.linesDropped ?? 0);
  const { threadLoads } = parts;
  registerThreadMetrics(metrics, () => threadLoads.busySeconds());
  if (listener.loaded) registerEdgeThreadMetrics(metrics, listener.loaded);
  registerStallMetrics(metrics, parts.trace.stalls);
  const { contexts } = parts.trace;
  if (parts.config.tracing.otlpEndpoint !== undefined)
    registerSpanMetrics(metrics, () => contexts.spans?.sink);
  return metrics;
}
