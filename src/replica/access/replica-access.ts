/**
 * The access control of a thread that serves clients, made of `server.auth` and what its files hold (access-files.ts). Every
 * change of a file replaces all keys at once, and forgets what origins have allowed.
 */
import { createSecretKey } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import type { OrcaError } from "../../base/orca-error.ts";
import type { Rights } from "../../config/access-keys.ts";
import type { Config } from "../../config/config.ts";
import { Authenticator } from "../../edge/auth/authenticator.ts";
import { ClientAccess } from "../../edge/auth/client-access.ts";
import { Grant } from "../../edge/auth/grant.ts";
import type { AccessKey, Identity } from "../../edge/auth/identity.ts";
import { type OriginRights, OriginVerdicts } from "../../edge/auth/origin-verdicts.ts";
import type { Buckets, OtherLookups } from "../../object/buckets.ts";
import type { AccessCounters } from "../../ops/metrics/access-metrics.ts";
import type { AccessMaterial, AccessSource } from "./access-files.ts";

export interface ReplicaAccessOptions {
  readonly config: Pick<Config, "server">;
  readonly source: AccessSource;
  readonly clock: Clock;
  /** In a thread that asks the engine for verdicts: how many such threads there are. */
  readonly threads?: number;
}

/** Origins that can be asked for rights. */
interface AskedOrigins {
  readonly origin: OriginRights & { readonly id: string };
}

/** What a thread has counted, for the counters of the replica. */
export interface AccessCounts {
  readonly denials: readonly (readonly [code: OrcaError["code"], count: number])[];
  readonly verdicts: Pick<OriginVerdicts["stats"], "hits" | "joined"> | undefined;
}

export class ReplicaAccess {
  readonly source: AccessSource;
  readonly #authenticator: Authenticator;
  readonly #config: Config["server"]["auth"];
  readonly #clock: Clock;
  readonly #threads: number;
  #verdicts: OriginVerdicts | undefined;
  #bucketLists: OtherLookups["lists"] | undefined;
  #gate: ClientAccess | undefined;

  constructor({ config, source, clock, threads = 1 }: ReplicaAccessOptions) {
    this.#threads = threads;
    this.source = source;
    this.#config = config.server.auth;
    this.#clock = clock;
    this.#authenticator = new Authenticator({ modes: this.#config.mode, clock });
    this.#use(source.material);
    source.watch((material) => this.#use(material));
  }

  /** The gate for clients. To be called once. */
  gate(origins: readonly AskedOrigins[], buckets: Buckets<OtherLookups>): ClientAccess {
    const { authorize, authorizeTtlMs } = this.#config;
    this.#bucketLists = buckets.others?.lists;
    if (authorize === "origin") {
      const byId = new Map(origins.map(({ origin }) => [origin.id, origin]));
      this.#verdicts = new OriginVerdicts({
        originOf: (id) => byId.get(id),
        ttlMs: authorizeTtlMs,
        clock: this.#clock,
        threads: this.#threads,
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

  /** What origins allow. Undefined for `authorize: keys`, and before {@link gate}. */
  get verdicts(): OriginVerdicts | undefined {
    return this.#verdicts;
  }

  /** After {@link gate}. */
  countersWith(files: AccessCounters["files"]): AccessCounters {
    return { denials: this.#gate?.denials ?? new Map(), verdicts: this.#verdicts?.stats, files };
  }

  /** Adds what another thread has counted. It has asked this one, which has counted questions and failures. */
  add({ denials, verdicts }: AccessCounts): void {
    const counted = this.#gate?.denials;
    for (const [code, count] of denials) counted?.set(code, (counted.get(code) ?? 0) + count);
    const stats = this.#verdicts?.stats;
    if (!stats || !verdicts) return;
    stats.hits += verdicts.hits;
    stats.joined += verdicts.joined;
  }

  /** What this thread has counted since the last call. */
  take(): AccessCounts {
    const denials = [...(this.#gate?.denials ?? [])];
    this.#gate?.denials.clear();
    const stats = this.#verdicts?.stats;
    const verdicts = stats && { hits: stats.hits, joined: stats.joined };
    if (stats) Object.assign(stats, { hits: 0, joined: 0 });
    return { denials, verdicts };
  }

  #use({ keys, certificates, tokenKeys }: AccessMaterial): void {
    this.#authenticator.use({
      accessKeys: keys.map(accessKeyOf),
      certificates: new Map(
        certificates.map((each) => [
          each.certificateName,
          { name: each.certificateName, grant: grantOf(each) } satisfies Identity,
        ]),
      ),
      tokenKeys: tokenKeys.map((key) => createSecretKey(Buffer.from(key))),
    });
    this.#verdicts?.clear();
    this.#bucketLists?.clear();
  }
}

function grantOf({ buckets, prefixes, allow }: Rights): Grant {
  return new Grant({ buckets, prefixes, actions: allow });
}

function accessKeyOf(entry: AccessMaterial["keys"][number]): AccessKey {
  const { accessKey, secret, sessionToken, expiresMs = Number.POSITIVE_INFINITY } = entry;
  const originKey = {
    accessKeyId: accessKey,
    secretAccessKey: secret,
    ...(sessionToken !== undefined && { sessionToken }),
  };
  const identity: Identity = { name: accessKey, grant: grantOf(entry), originKey };
  return { id: accessKey, secret, sessionToken, expiresMs, identity };
}
