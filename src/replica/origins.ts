/**
 * The origins of a configuration, made into what the read path asks: a driver for each, with permits and retries around
 * it, and the two caches of metadata in front. It is the part of the composition that knows the drivers by name.
 */
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { Config } from "../config/config.ts";
import type { OriginConfig } from "../config/origin-config.ts";
import { AzureBlobOrigin } from "../origin/azure-blob-origin.ts";
import { FileOrigin } from "../origin/file-origin.ts";
import { GuardedOrigin } from "../origin/guarded-origin.ts";
import type { Origin } from "../origin/origin.ts";
import { S3Origin } from "../origin/s3-origin.ts";

export interface OriginsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
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
