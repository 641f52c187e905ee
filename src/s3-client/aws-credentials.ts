/**
 * Credentials for S3 from the chain of the AWS SDK. The SDK's package is loaded only where none are configured, because it
 * contains a dozen clients for token services. A chain is made for each fetch, and reads files anew: the SDK's own copies
 * would hide a shared credentials file that was edited.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { Expiring } from "../base/renewed.ts";
import type { RemoteFaults } from "../http-client/remote-faults.ts";
import { withDeadline } from "../http-client/with-deadline.ts";

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** A file of credentials tells no end, and may be edited at any time. */
const rereadMs = 60_000;

export interface AwsChainOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly faults: RemoteFaults;
  /**
   * Where STS is asked, as for each client of the SDK. Else the SDK would ask in `AWS_REGION` or, without it, in
   * us-east-1, where a role of another partition does not exist.
   */
  readonly region: string;
}

/** @throws OrcaError of `faults`: noCredentials where the chain has no credentials, unavailable where it takes too long. */
export async function awsChainCredentials({
  clock,
  timeoutMs,
  faults,
  region,
}: AwsChainOptions): Promise<Expiring<AwsCredentials>> {
  const action = "Cannot get AWS credentials";
  try {
    const { fromNodeProviderChain } = await import("@aws-sdk/credential-providers");
    const callerClientConfig = { region: () => Promise.resolve(region) };
    const found = await withDeadline({ clock, timeoutMs, action, faults }, () =>
      fromNodeProviderChain({ ignoreCache: true })({ callerClientConfig }),
    );
    if (found.expiration) return { value: found, expiresAtMs: found.expiration.getTime() };
    return { value: found, expiresAtMs: Number.POSITIVE_INFINITY, renewAtMs: clock.now() + rereadMs };
  } catch (thrown) {
    throw OrcaError.from(thrown, faults.noCredentials, faults.source, action);
  }
}

export function isSameKey(left: AwsCredentials, right: AwsCredentials): boolean {
  return (
    left.accessKeyId === right.accessKeyId &&
    left.secretAccessKey === right.secretAccessKey &&
    left.sessionToken === right.sessionToken
  );
}
