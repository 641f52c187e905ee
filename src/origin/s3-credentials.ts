/**
 * Credentials for S3 from the chain of the AWS SDK, loaded only where none are configured: it brings a dozen clients
 * for token services with it.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { Expiring } from "./renewed.ts";
import { withDeadline } from "./with-deadline.ts";

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** @throws OrcaError origin_denied where the chain has none; origin_unavailable where it does not answer in time. */
export async function awsChainCredentials(
  clock: Clock,
  timeoutMs: number,
): Promise<Expiring<AwsCredentials>> {
  const action = "Cannot get AWS credentials";
  try {
    const { fromNodeProviderChain } = await import("@aws-sdk/credential-providers");
    const found = await withDeadline(clock, timeoutMs, action, undefined, () => fromNodeProviderChain()());
    return { value: found, expiresAtMs: found.expiration?.getTime() ?? Number.POSITIVE_INFINITY };
  } catch (thrown) {
    throw OrcaError.from(thrown, "origin_denied", "origin", action);
  }
}
