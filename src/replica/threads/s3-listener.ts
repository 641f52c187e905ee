/**
 * The listener for S3 clients, out of the configuration. A thread of the edge makes one, too, and loads no more of Orca than
 * this file needs.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { OrcaError } from "../../base/orca-error.ts";
import type { Random } from "../../base/random.ts";
import type { TlsSource } from "../../base/tls-files.ts";
import type { Config } from "../../config/config.ts";
import type { AccessLogger } from "../../edge/access-log/access-log.ts";
import type { ClientAccess } from "../../edge/auth/client-access.ts";
import { BucketHandler } from "../../edge/bucket-handler.ts";
import type { EdgeStats } from "../../edge/edge-stats.ts";
import { Cors } from "../../edge/headers/cors.ts";
import type { WarmRequests } from "../../edge/headers/warm-header.ts";
import { ObjectHandler } from "../../edge/object-handler.ts";
import { S3Listener } from "../../edge/s3-listener.ts";
import { SubResourceHandler } from "../../edge/sub-resources/sub-resource-handler.ts";
import type { ProcessLimits } from "../../edge/threads/process-limits.ts";
import type { Bodies } from "../../fill/bodies.ts";
import type { Buckets, OtherLookups } from "../../object/buckets.ts";
import type { Trace } from "../../trace/trace.ts";

export interface S3ListenerParts {
  readonly config: Config;
  readonly replicaId: string;
  readonly buckets: Buckets<OtherLookups>;
  /** Undefined where clients do not authenticate. */
  readonly access: ClientAccess | undefined;
  readonly bodies: Bodies;
  readonly warmRequests: WarmRequests | undefined;
  readonly stats: EdgeStats;
  /** @see S3ListenerOptions.processLimits */
  readonly processLimits?: ProcessLimits;
  readonly tls: TlsSource | undefined;
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
  const { processLimits } = parts;
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
    processLimits,
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
      warmRequests: server.warmHeader ? parts.warmRequests : undefined,
      chunkSizeBytesMin: Math.min(...config.chunking.tiers.map(({ chunkSizeBytes }) => chunkSizeBytes)),
    }),
    slowRequestMs: config.logging.slowRequestMs,
    accessMode: config.logging.access,
    accessLogger: parts.accessLogger,
    traceContexts: parts.trace.contexts,
    bucketHandler: new BucketHandler({ region: regionOf(config), clock, processLimits }),
    subResourceHandler: new SubResourceHandler({
      asksAsClient: asksAsClient(server.auth),
      clock,
      processLimits,
    }),
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

/** The region sent to clients. It is the first S3 origin's, because SDKs sign for one region per endpoint. */
function regionOf(config: Config): string {
  for (const origin of config.origins) if (origin.driver === "awss3") return origin.awss3.region;
  return "us-east-1";
}
