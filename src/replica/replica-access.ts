/**
 * The access control of a replica, made of `server.auth` and its files, which are read again while the replica runs. Every
 * change of a file replaces all keys at once, and forgets what origins have allowed.
 */
import { createHash, createSecretKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type AccessKeys, accessKeysFault, type Rights, readAccessKeys } from "../config/access-keys.ts";
import type { Config } from "../config/config.ts";
import type { Fault } from "../config/fault.ts";
import { tokenKeysOf } from "../config/token-keys.ts";
import { Authenticator } from "../edge/auth/authenticator.ts";
import { ClientAccess } from "../edge/auth/client-access.ts";
import { Grant } from "../edge/auth/grant.ts";
import type { AccessKey, Identity } from "../edge/auth/identity.ts";
import { type OriginRights, OriginVerdicts } from "../edge/auth/origin-verdicts.ts";
import type { Buckets, OtherLookups } from "../object/buckets.ts";
import type { AccessCounters } from "../ops/metrics/access-metrics.ts";
import { type Read, Reloaded } from "./reloaded.ts";

export interface ReplicaAccessOptions {
  readonly config: Pick<Config, "server">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Origins that can be asked for rights. */
interface AskedOrigins {
  readonly origin: OriginRights & { readonly id: string };
}

const noKeys: AccessKeys = { keys: [], certificates: [], fingerprint: "" };

export class ReplicaAccess {
  readonly #authenticator: Authenticator;
  readonly #config: Config["server"]["auth"];
  readonly #clock: Clock;
  readonly #keys: Reloaded<AccessKeys> | undefined;
  readonly #tokenKeys: Reloaded<readonly string[]> | undefined;
  #verdicts: OriginVerdicts | undefined;
  #bucketLists: OtherLookups["lists"] | undefined;
  #gate: ClientAccess | undefined;

  private constructor(
    { config, clock }: ReplicaAccessOptions,
    keys: Reloaded<AccessKeys> | undefined,
    tokenKeys: Reloaded<readonly string[]> | undefined,
  ) {
    this.#config = config.server.auth;
    this.#clock = clock;
    this.#keys = keys;
    this.#tokenKeys = tokenKeys;
    this.#authenticator = new Authenticator({ modes: this.#config.mode, clock });
    this.#use();
    keys?.watch(() => this.#use());
    tokenKeys?.watch(() => this.#use());
  }

  /**
   * Undefined where clients do not authenticate.
   * @throws OrcaError config_invalid for a file that cannot be used.
   */
  static async load(options: ReplicaAccessOptions): Promise<ReplicaAccess | undefined> {
    const { config, clock, logger } = options;
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
    return new ReplicaAccess(options, keys, tokenKeys);
  }

  /** The gate for clients. To be called once. */
  gate(origins: readonly AskedOrigins[], buckets: Buckets<OtherLookups>): ClientAccess {
    const { authorize, authorizeTtlMs } = this.#config;
    this.#bucketLists = buckets.others?.lists;
    if (authorize === "origin") {
      const byId = new Map(origins.map(({ origin }) => [origin.id, origin]));
      this.#verdicts = new OriginVerdicts({
        originOf: ({ directory }) => byId.get(directory.originId),
        ttlMs: authorizeTtlMs,
        clock: this.#clock,
      });
    }
    const anonymous = this.#config.anonymous.map((each) => {
      const slash = each.indexOf("/");
      const bucket = slash < 0 ? each : each.slice(0, slash);
      const prefixes = slash < 0 ? [] : [each.slice(slash + 1)];
      return new Grant({ buckets: [bucket], prefixes, actions: ["get", "list"] });
    });
    this.#gate = new ClientAccess({
      authenticator: this.#authenticator,
      anonymous,
      verdicts: this.#verdicts,
    });
    return this.#gate;
  }

  /** Why a file is not in use as it is; null if all are. */
  fault(): string | null {
    if (this.#keys?.isFailing) return "the access keys file cannot be used; the keys from before stay in use";
    if (this.#tokenKeys?.isFailing)
      return "the file of keys for bearer tokens cannot be used; those from before stay in use";
    return null;
  }

  /** After {@link gate}. */
  get counters(): AccessCounters {
    const files = [this.#keys?.stats, this.#tokenKeys?.stats].filter((stats) => stats !== undefined);
    return {
      denials: this.#gate?.denials ?? new Map(),
      verdicts: this.#verdicts?.stats,
      files: {
        get reloads() {
          return files.reduce((sum, { reloads }) => sum + reloads, 0);
        },
        get reloadFailures() {
          return files.reduce((sum, { reloadFailures }) => sum + reloadFailures, 0);
        },
      },
    };
  }

  /** Of requests that other threads have denied. */
  addDenials(denials: Iterable<readonly [code: OrcaError["code"], count: number]>): void {
    const counted = this.#gate?.denials;
    for (const [code, count] of denials) counted?.set(code, (counted.get(code) ?? 0) + count);
  }

  /** The requests that this thread has denied since the last call. */
  takeDenials(): (readonly [code: OrcaError["code"], count: number])[] {
    const denials = [...(this.#gate?.denials ?? [])];
    this.#gate?.denials.clear();
    return denials;
  }

  stop(): void {
    this.#keys?.stop();
    this.#tokenKeys?.stop();
  }

  #use(): void {
    const { keys, certificates } = this.#keys?.value ?? noKeys;
    this.#authenticator.use({
      accessKeys: keys.map(accessKeyOf),
      certificates: new Map(
        certificates.map((each) => [
          each.certificateName,
          { name: each.certificateName, grant: grantOf(each) } satisfies Identity,
        ]),
      ),
      tokenKeys: (this.#tokenKeys?.value ?? []).map((key) => createSecretKey(Buffer.from(key))),
    });
    this.#verdicts?.clear();
    this.#bucketLists?.clear();
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

function grantOf({ buckets, prefixes, allow }: Rights): Grant {
  return new Grant({ buckets, prefixes, actions: allow });
}

function accessKeyOf(entry: AccessKeys["keys"][number]): AccessKey {
  const { accessKey, expiresMs = Number.POSITIVE_INFINITY } = entry;
  const secret = entry.secret.reveal();
  const sessionToken = entry.sessionToken?.reveal();
  const originKey = {
    accessKeyId: accessKey,
    secretAccessKey: secret,
    ...(sessionToken !== undefined && { sessionToken }),
  };
  const identity: Identity = { name: accessKey, grant: grantOf(entry), originKey };
  return { id: accessKey, secret, sessionToken, expiresMs, identity };
}
