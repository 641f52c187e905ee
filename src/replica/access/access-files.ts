/**
 * The files of `server.auth`, which are read again while the replica runs. What they hold is plain here, because the main
 * thread sends it to the threads that serve clients: all of them use a change at the same time, and it is logged once.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { type AccessKeys, accessKeysFault, readAccessKeys } from "../../config/access-keys.ts";
import type { Config } from "../../config/config.ts";
import type { Fault } from "../../config/fault.ts";
import { tokenKeysOf } from "../../config/token-keys.ts";
import { type Read, Reloaded } from "../reloaded.ts";

type KeyEntry = AccessKeys["keys"][number];

/** What the files hold, with the secrets in the open. */
export interface AccessMaterial {
  readonly keys: readonly (Omit<KeyEntry, "secret" | "sessionToken"> & {
    readonly secret: string;
    readonly sessionToken: string | undefined;
  })[];
  readonly certificates: AccessKeys["certificates"];
  readonly tokenKeys: readonly string[];
}

/** Where the material comes from: the files, or in another thread the messages of the main thread. */
export interface AccessSource {
  readonly material: AccessMaterial;
  watch(onChange: (material: AccessMaterial) => void): void;
}

export interface AccessFilesOptions {
  readonly config: Pick<Config, "server">;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class AccessFiles implements AccessSource {
  readonly #keys: Reloaded<AccessKeys> | undefined;
  readonly #tokenKeys: Reloaded<readonly string[]> | undefined;
  readonly #watchers: ((material: AccessMaterial) => void)[] = [];

  private constructor(
    keys: Reloaded<AccessKeys> | undefined,
    tokenKeys: Reloaded<readonly string[]> | undefined,
  ) {
    this.#keys = keys;
    this.#tokenKeys = tokenKeys;
    keys?.watch(() => this.#tell());
    tokenKeys?.watch(() => this.#tell());
  }

  /**
   * Undefined where clients do not authenticate.
   * @throws OrcaError config_invalid for a file that cannot be used.
   */
  static async load({ config, clock, logger }: AccessFilesOptions): Promise<AccessFiles | undefined> {
    const { enabled, mode, accessKeysFile, bearerSecretFile, authorize } = config.server.auth;
    if (!enabled) return undefined;
    const keys =
      accessKeysFile === undefined
        ? undefined
        : await Reloaded.load({
            what: "access keys",
            path: accessKeysFile,
            read: () => Promise.resolve(accessKeysIn(accessKeysFile, authorize === "keys")),
            clock,
            logger,
          });
    const tokenKeys =
      bearerSecretFile === undefined || !mode.includes("bearer")
        ? undefined
        : await Reloaded.load({
            what: "keys of bearer tokens",
            path: bearerSecretFile,
            read: () => tokenKeysIn(bearerSecretFile),
            clock,
            logger,
          });
    return new AccessFiles(keys, tokenKeys);
  }

  get material(): AccessMaterial {
    const { keys = [], certificates = [] } = this.#keys?.value ?? {};
    return {
      keys: keys.map(({ secret, sessionToken, ...entry }) => ({
        ...entry,
        secret: secret.reveal(),
        sessionToken: sessionToken?.reveal(),
      })),
      certificates,
      tokenKeys: this.#tokenKeys?.value ?? [],
    };
  }

  watch(onChange: (material: AccessMaterial) => void): void {
    this.#watchers.push(onChange);
  }

  /** Why a file is not in use as it is; null if all are. */
  fault(): string | null {
    if (this.#keys?.isFailing) return "the access keys file cannot be used; the keys from before stay in use";
    if (this.#tokenKeys?.isFailing)
      return "the file of keys for bearer tokens cannot be used; those from before stay in use";
    return null;
  }

  get reloads(): number {
    return this.#sum("reloads");
  }

  get reloadFailures(): number {
    return this.#sum("reloadFailures");
  }

  stop(): void {
    this.#keys?.stop();
    this.#tokenKeys?.stop();
  }

  #tell(): void {
    const { material } = this;
    for (const onChange of this.#watchers) onChange(material);
  }

  #sum(name: keyof Reloaded<unknown>["stats"]): number {
    return (this.#keys?.stats[name] ?? 0) + (this.#tokenKeys?.stats[name] ?? 0);
  }
}

function accessKeysIn(path: string, bucketsRequired: boolean): Read<AccessKeys> {
  const faults: Fault[] = [];
  const value = readAccessKeys({ path, readText, bucketsRequired }, faults);
  if (faults.length === 0) return { value, fingerprint: value.fingerprint };
  const reason = accessKeysFault(path, faults);
  throw new OrcaError("config_invalid", "config", `Cannot load server.auth.access_keys_file: ${reason}`);
}

function readText(file: string): string {
  return readFileSync(file, "utf8");
}

async function tokenKeysIn(path: string): Promise<Read<readonly string[]>> {
  const action = `Cannot load server.auth.bearer_secret_file "${path}"`;
  try {
    const text = await readFile(path, "utf8");
    const value = tokenKeysOf(text);
    if (!("expected" in value)) {
      return { value, fingerprint: createHash("sha256").update(text).digest("hex") };
    }
    throw new OrcaError("config_invalid", "config", `${action}: expected ${value.expected}`);
  } catch (thrown) {
    throw OrcaError.from(thrown, "config_invalid", "config", action);
  }
}
