/**
 * Tokens for Azure Storage from the Azure SDK's credential chain. It is loaded only if no account key is configured,
 * because it is Orca's largest dependency. The SDK keeps tokens until shortly before they expire, so a token that Azure
 * denies earlier is replaced by that of a new chain. The token of a managed identity is kept for the whole process, and
 * by Azure's own metadata service, so nothing replaces that one early.
 */
import type { TokenCredential } from "@azure/identity";
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type Expiring, Renewed, type RenewedOptions } from "../base/renewed.ts";
import { withDeadline } from "../http-client/with-deadline.ts";
import { originFaults } from "./origin-faults.ts";

const storageScope = "https://storage.azure.com/.default";

async function loadDefaultCredential(): Promise<TokenCredential> {
  const { DefaultAzureCredential } = await import("@azure/identity");
  return new DefaultAzureCredential();
}

export interface AzureTokensOptions {
  readonly clock: Clock;
  /** Of the chain, to give a token. */
  readonly timeoutMs: number;
  /** Makes a chain without memory; that of the SDK by default. */
  readonly credential?: (() => Promise<TokenCredential>) | undefined;
  /** @see RenewedOptions */
  readonly onRenewal?: Pick<RenewedOptions<string>, "onFailure" | "onRecovery"> | undefined;
}

export class AzureTokens {
  readonly #options: AzureTokensOptions;
  readonly #token: Renewed<string>;
  /** Undefined before the first token, and after a token was denied. */
  #credential: Promise<TokenCredential> | undefined;

  constructor(options: AzureTokensOptions) {
    this.#options = options;
    const { clock, timeoutMs, onRenewal } = options;
    this.#token = new Renewed({
      clock,
      fetch: async () => azureToken(await this.#chain(), clock, timeoutMs),
      marginMs: 5 * 60_000,
      ...onRenewal,
    });
  }

  /** @throws OrcaError as {@link azureToken}. */
  get(): Promise<string> {
    return this.#token.get();
  }

  /** Whether {@link renew} might find another token than `denied`. */
  mayRenew(denied: string): boolean {
    return this.#token.mayRenew(denied);
  }

  /** Call it where Azure denied a token. Resolves when it was replaced, or could not be. */
  async renew(denied: string): Promise<void> {
    // The chain would give the same token again.
    this.#credential = undefined;
    await this.#token.renew(denied);
  }

  #chain(): Promise<TokenCredential> {
    if (!this.#credential) {
      const loading = (this.#options.credential ?? loadDefaultCredential)();
      this.#credential = loading;
      loading.catch(() => {
        if (this.#credential === loading) this.#credential = undefined;
      });
    }
    return this.#credential;
  }
}

/** @throws OrcaError origin_no_credentials if the chain has no token; origin_unavailable if it does not answer in time. */
async function azureToken(
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
