/**
 * Credentials for S3 from the chain of the AWS SDK. The SDK's package is loaded only where none are configured, because it
 * contains a dozen clients for token services.
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

/** @throws OrcaError of `faults`: noCredentials where the chain has no credentials, unavailable where it takes too long. */
export async function awsChainCredentials(
  clock: Clock,
  timeoutMs: number,
  faults: RemoteFaults,
): Promise<Expiring<AwsCredentials>> {
  const action = "Cannot get AWS credentials";
  try {
    const { fromNodeProviderChain } = await import("@aws-sdk/credential-providers");
    const found = await withDeadline({ clock, timeoutMs, action, faults }, () => fromNodeProviderChain()());
    return { value: found, expiresAtMs: found.expiration?.getTime() ?? Number.POSITIVE_INFINITY };
  } catch (thrown) {
    throw OrcaError.from(thrown, faults.noCredentials, faults.source, action);
  }
}
