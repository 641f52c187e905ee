/**
 * The origins of a configuration: for each of them the driver that it names, with permits and retries around it. No other
 * file knows the drivers of origins by name.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { pages } from "../base/pages.ts";
import type { Random } from "../base/random.ts";
import type { Config } from "../config/config.ts";
import type { OriginConfig } from "../config/origin-config.ts";
import { AzureBlobOrigin } from "../origin/azure-blob-origin.ts";
import { FileOrigin } from "../origin/file-origin.ts";
import { GuardedOrigin } from "../origin/guarded-origin.ts";
import { Hedge } from "../origin/hedging/hedge.ts";
import type { Origin } from "../origin/origin.ts";
import { S3Origin } from "../origin/s3-origin.ts";
import { Throttle } from "../origin/throttling/throttle.ts";
import type { RenewalReport } from "../s3-client/signed-requests.ts";
import type { Trace } from "../trace/trace.ts";
import type { TraceContexts } from "../trace/trace-contexts.ts";
import { type ReleaseStack, step } from "./release-stack.ts";

export interface OriginsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly trace?: Trace | undefined;
  /** Left out: failures to renew credentials are not logged. */
  readonly logger?: Logger | undefined;
}

/** @throws OrcaError config_invalid where a driver rejects its settings. */
export function openOrigins(options: OriginsOptions, held: ReleaseStack): GuardedOrigin[] {
  return options.config.origins.map((each) => {
    const origin = openOrigin(each, options);
    held.add(step(`close origin "${origin.id}"`, () => origin.close()));
    return origin;
  });
}

/** The caller closes it. @throws OrcaError config_invalid where the driver rejects its settings. */
export function openOrigin(
  each: OriginConfig,
  { config, clock, random, trace, logger }: OriginsOptions,
): GuardedOrigin {
  const { id: originId, targetGlobal: share, queueTimeoutMs } = each;
  const throttle = new Throttle({ originId, clock, share, waitMaxMs: queueTimeoutMs });
  return new GuardedOrigin({
    origin: openDriver(each, config, clock, trace?.contexts, logger),
    clock,
    random,
    requestsInFlightMax: share,
    queueTimeoutMs,
    throttle,
    hedge: each.hedge ? new Hedge(clock, () => throttle.isCut) : undefined,
    retry: each.retry,
    minRate: { bytesPerSecond: each.minRateBytes, windowMs: each.minRateWindowMs },
    trace,
  });
}

function openDriver(
  config: OriginConfig,
  { secrets, metadata }: Config,
  clock: Clock,
  traceContexts: TraceContexts | undefined,
  logger: Logger | undefined,
): Origin {
  const { id, connectTimeoutMs, attemptTimeoutMs, stallTimeoutMs, targetGlobal } = config;
  const common = {
    id,
    connectTimeoutMs,
    attemptTimeoutMs,
    stallTimeoutMs,
    connectionsIdleMax: targetGlobal,
    bucketTtlMs: metadata.ttlMs,
    traceContexts,
    onRenewal: logger && renewalReport(id, logger),
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
      return new S3Origin({ ...common, ...config.awss3, credentials });
    }
    case "azureblob":
      return new AzureBlobOrigin({
        ...common,
        ...config.azureblob,
        accountKey: secrets.azureblobAccountKey?.reveal(),
      });
    case "file": {
      const [bucket] = config.buckets.values();
      const roots = config.otherBuckets
        ? { parent: config.file.root }
        : new Map(bucket ? [[bucket.bucket, config.file.root]] : []);
      return new FileOrigin({ id, roots, clock });
    }
  }
}

/** The lines of the log about credentials that cannot be renewed: one when it begins, and one when it is over. */
function renewalReport(originId: string, logger: Logger): RenewalReport {
  return {
    onFailure: (thrown, validUntilMs) => {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      const validUntil = Number.isFinite(validUntilMs) ? new Date(validUntilMs).toISOString() : "unknown";
      logger.warn(
        {
          event: "credentials_not_renewed",
          origin_id: originId,
          reason,
          valid_until: validUntil,
          see: pages.credentials,
        },
        "Cannot renew the credentials for an origin: the old ones are used until they expire, and Orca keeps trying",
      );
    },
    onRecovery: () =>
      logger.info(
        { event: "credentials_renewed", origin_id: originId },
        "Renewed the credentials for an origin, after attempts that failed",
      ),
  };
}

/**
 * Whether a key such as `a/../b` might reach another key of a bucket with this `prefix`. AWS takes keys as they are. Other
 * servers may resolve the segments. Below a prefix AWS gets no such key either, because a proxy before it may resolve
 * them. The drivers for Azure and for directories never send one.
 */
export function mayResolveDotSegments(config: OriginConfig, prefix: string): boolean {
  if (config.driver !== "awss3" || config.allowDotSegments) return false;
  const { endpoint } = config.awss3;
  return prefix !== "" || (endpoint !== undefined && !isAws(new URL(endpoint).hostname));
}

function isAws(hostname: string): boolean {
  return /(?:^|\.)amazonaws\.(?:com|com\.cn|eu)$/.test(hostname);
}
