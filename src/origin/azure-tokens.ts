/**
 * Tokens for Azure Storage from the Azure SDK's credential chain. It is loaded only if no account key is configured,
 * because it is Orca's largest dependency.
 */
import type { TokenCredential } from "@azure/identity";
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { Expiring } from "../base/renewed.ts";
import { withDeadline } from "../http-client/with-deadline.ts";
import { originFaults } from "./origin-faults.ts";

const storageScope = "https://storage.azure.com/.default";

export async function loadDefaultCredential(): Promise<TokenCredential> {
  const { DefaultAzureCredential } = await import("@azure/identity");
  return new DefaultAzureCredential();
}

/** @throws OrcaError origin_no_credentials if the chain has no token; origin_unavailable if it does not answer in time. */
export async function azureToken(
  credential: TokenCredential,
  clock: Clock,
  timeoutMs: number,
): Promise<Expiring<string>> {
  const action = "Cannot get an Azure token";
  try {
    const found = await withDeadline({ clock, timeoutMs, action, faults: originFaults }, (abortSignal) =>
      credential.getToken(storageScope, { abortSignal }),
    );
    if (!found) throw new Error("no credential of the chain gave one");
    return { value: found.token, expiresAtMs: found.expiresOnTimestamp };
  } catch (thrown) {
    throw OrcaError.from(thrown, "origin_no_credentials", "origin", action);
  }
}
