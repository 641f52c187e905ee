/**
 * One look at each bucket of each origin, for a start and for `orca config check --connect`: what to look at, and what
 * was found. Where an origin serves every bucket it has, the look is at its list of them. Several looks run at once, and few enough that an origin of a thousand buckets does not notice them.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { Config } from "../config/config.ts";
import { everyOtherBucket, type OriginConfig } from "../config/origin-config.ts";
import { secretVariables } from "../config/secret.ts";
import { type Finding, findingOf, type LookedAt } from "../origin/bucket-finding.ts";
import { OriginAnswer } from "../origin/error-of-status.ts";
import type { BucketPart } from "../origin/origin.ts";
import { speaksTls } from "../origin/speaks-tls.ts";

/** The part of an origin that is needed to look at its buckets. */
export interface LookableOrigin {
  readonly id: string;
  look(part: BucketPart, signal: AbortSignal): Promise<void>;
  lookAtBuckets(signal: AbortSignal): Promise<void>;
}

export interface BucketLook {
  readonly originId: string;
  /** As clients name the bucket; `*` for the list of all. */
  readonly name: string;
  /** For a sentence: `bucket "models"`. */
  readonly what: string;
  readonly at: LookedAt;
  /** Resolves with what is wrong, or undefined. Settles within the origin's own timeouts; rejects only for bugs. */
  run(signal: AbortSignal): Promise<Finding | undefined>;
}

/** Looks at once, over all origins. */
export const looksAtOnceMax = 4;

const handshakeTimeoutMs = 5000;

/** `origins` are those of `config`, in its order. */
export function bucketLooksOf(
  config: Config,
  origins: readonly LookableOrigin[],
  clock: Clock,
): readonly BucketLook[] {
  return config.origins.flatMap((originConfig, index) => {
    const origin = origins[index] as LookableOrigin;
    const path = config.origins.length === 1 ? "origin" : `origins[${index}]`;
    const looks = [...originConfig.buckets].map(([name, part]): BucketLook => {
      const at = lookedAt(originConfig, path, part.bucket, config);
      const ask = (signal: AbortSignal): Promise<void> => origin.look(part, signal);
      return { originId: origin.id, name, what: `bucket "${name}"`, at, run: look(ask, at, clock) };
    });
    if (originConfig.otherBuckets) looks.push(lookAtBuckets(origin, originConfig, path, config, clock));
    return looks;
  });
}

function lookAtBuckets(
  origin: LookableOrigin,
  originConfig: OriginConfig,
  path: string,
  config: Config,
  clock: Clock,
): BucketLook {
  const at = { ...lookedAt(originConfig, path, everyOtherBucket, config), isEveryBucket: true };
  const ask = async (signal: AbortSignal): Promise<void> => {
    try {
      await origin.lookAtBuckets(signal);
    } catch (thrown) {
      // Clients list with their own keys there, so Orca needs no such right.
      if (config.server.auth.authorize === "origin" && isMissingRight(thrown)) return;
      throw thrown;
    }
  };
  const [name, what] = [everyOtherBucket, "the list of buckets"];
  return { originId: origin.id, name, what, at, run: look(ask, at, clock) };
}

function isMissingRight(thrown: unknown): boolean {
  return (
    thrown instanceof OriginAnswer && thrown.code === "origin_denied" && thrown.remoteCode === "AccessDenied"
  );
}

/** Runs all looks, and resolves with their findings in the same order. */
export async function runLooks(
  looks: readonly BucketLook[],
  signal: AbortSignal,
): Promise<(Finding | undefined)[]> {
  const findings: (Finding | undefined)[] = looks.map(() => undefined);
  const waiting = looks.entries();
  const worker = async (): Promise<void> => {
    for (const [index, each] of waiting) findings[index] = await each.run(signal);
  };
  await Promise.all(Array.from({ length: looksAtOnceMax }, worker));
  return findings;
}

function look(
  ask: (signal: AbortSignal) => Promise<void>,
  at: LookedAt,
  clock: Clock,
): (signal: AbortSignal) => Promise<Finding | undefined> {
  return async (signal) => {
    try {
      await ask(signal);
      return undefined;
    } catch (thrown) {
      const error = OrcaError.from(thrown, "origin_unavailable", "origin", `Cannot look at "${at.place}"`);
      return findingOf(error, at, (url) => speaksTls(url, clock, handshakeTimeoutMs, signal));
    }
  };
}

const awsChain =
  "AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY; AWS_PROFILE in ~/.aws, with SSO and credential_process; AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN; AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI; the metadata service of an instance";
const azureChain =
  "AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH; AZURE_FEDERATED_TOKEN_FILE; a managed identity; the logins of az, azd and PowerShell";

function lookedAt(config: OriginConfig, path: string, bucket: string, { secrets }: Config): LookedAt {
  switch (config.driver) {
    case "awss3": {
      const { endpoint, region } = config.awss3;
      return {
        driver: config.driver,
        place: bucket,
        path,
        url: new URL(endpoint ?? `https://s3.${region}.amazonaws.com`),
        credentials: {
          variables: [secretVariables.awss3AccessKey, secretVariables.awss3SecretKey],
          chain: awsChain,
          areSet: secrets.awss3AccessKey !== undefined,
        },
      };
    }
    case "azureblob": {
      const { endpoint, account } = config.azureblob;
      return {
        driver: config.driver,
        place: bucket,
        path,
        url: new URL(endpoint ?? `https://${account}.blob.core.windows.net`),
        account,
        credentials: {
          variables: [secretVariables.azureblobAccountKey],
          chain: azureChain,
          areSet: secrets.azureblobAccountKey !== undefined,
        },
      };
    }
    case "file":
      return {
        driver: config.driver,
        place: config.file.root,
        path,
        url: undefined,
        credentials: { variables: [], chain: "", areSet: true },
      };
  }
}
