/**
 * The cluster of the demo: three replicas in front of one origin, with mutual TLS between them. Each replica is a
 * process of its own, started with `orca serve` and a configuration file. So the replicas exchange data only over the
 * mesh, and one of them can be killed. The configurations and certificates can be read while the demo runs.
 */
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { stringify } from "yaml";
import { type Clock, sleep } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { formatBytes, MiB } from "../../src/base/units.ts";
import { certs } from "../../src/cli/certs-command.ts";
import type { TextOutput } from "../../src/cli/command-context.ts";
import type { ClusterStatus } from "../../src/ops/endpoints/cluster-status.ts";
import { DemoChild } from "./demo-child.ts";
import { type DemoOrigin, demoContainer } from "./demo-origin.ts";

export interface DemoClusterOptions {
  readonly origin: DemoOrigin;
  readonly execPath: string;
  /** The main module of `orca`. */
  readonly mainPath: string;
  readonly env: NodeJS.ProcessEnv;
  /** Holds certificates, configurations, logs and disk tiers. */
  readonly folder: string;
  readonly clock: Clock;
  readonly stdout: TextOutput;
  /** `origin.buckets`; the origin's container alone where left out. */
  readonly buckets?: Readonly<Record<string, object>>;
}

export interface DemoReplica {
  readonly id: string;
  /** URL for S3 clients. */
  readonly endpoint: string;
  /** URL of the ops listener. */
  readonly ops: string;
  /** `host:port` for other replicas. */
  readonly mesh: string;
}

/** Smaller than the default, so that an object that is read in a moment has many chunks. */
export const demoChunkSizeBytes = MiB;

const serverName = "orca-demo.internal";
/** The default ports are for the first replica. The others add 10 and 20. */
const usualPorts = { s3: 8443, ops: 8442, mesh: 8444 } as const;
const replicaIds = ["r1", "r2", "r3"];

const readyTimeoutMs = 30_000;
const pollIntervalMs = 50;

export class DemoCluster {
  readonly replicas: readonly DemoReplica[];
  readonly #options: DemoClusterOptions;
  readonly #children = new Map<string, DemoChild>();
  #stopped = false;

  /** Resolves when all processes have started. They serve after {@link ready}. */
  static async start(options: DemoClusterOptions): Promise<DemoCluster> {
    const { folder, clock, stdout } = options;
    const replicas = await addressesFor(stdout);
    const silent: TextOutput = { write: () => true };
    await certs({ out: folder, serverName, replicas: replicaIds, hosts: [], clock, stdout: silent });
    const cluster = new DemoCluster(replicas, options);
    for (const { id } of replicas) cluster.startReplica(id);
    return cluster;
  }

  private constructor(replicas: readonly DemoReplica[], options: DemoClusterOptions) {
    this.replicas = replicas;
    this.#options = options;
    for (const replica of replicas) {
      writeFileSync(join(options.folder, `${replica.id}.yaml`), this.#configuration(replica));
    }
  }

  startReplica(id: string): void {
    const { execPath, mainPath, env, folder, origin } = this.#options;
    if (this.#stopped)
      throw new OrcaError("shutting_down", "config", "Cannot start a replica: the demo is stopping");
    const log = openSync(join(folder, `${id}.log`), "a");
    try {
      const args = [mainPath, "serve", "--config", join(folder, `${id}.yaml`)];
      const childEnv = { ...withoutSettings(env), ORCA_AZUREBLOB_ACCOUNT_KEY: origin.accountKey };
      this.#children.set(id, new DemoChild({ execPath, args, env: childEnv, folder, output: log }));
    } finally {
      closeSync(log);
    }
  }

  /** Kills the replica (`kill -9`). Resolves when it has ended. */
  async killReplica(id: string): Promise<void> {
    await this.#children.get(id)?.kill();
  }

  /** Resolves when every replica sees all others. @throws OrcaError if one ends, or does not see them in time. */
  async ready(): Promise<void> {
    const { clock } = this.#options;
    const endMs = clock.monotonic() + readyTimeoutMs;
    for (const { id, ops } of this.replicas) {
      while ((await liveMembers(ops)) < this.replicas.length) {
        if (this.#children.get(id)?.running !== true) throw this.#failure(id, "ended");
        if (clock.monotonic() > endMs)
          throw this.#failure(id, `did not see the others within ${readyTimeoutMs} ms`);
        await sleep(clock, pollIntervalMs);
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#children.values()].map((child) => child.kill()));
  }

  #configuration({ id, endpoint, ops, mesh }: DemoReplica): string {
    const { folder, origin, buckets } = this.#options;
    const { account, endpoint: originEndpoint } = origin;
    return stringify({
      server: { listen: new URL(endpoint).host, ops_listen: new URL(ops).host },
      origin: {
        id: "demo",
        driver: "azureblob",
        azureblob: { account, container: demoContainer, endpoint: originEndpoint },
        ...(buckets && { buckets }),
      },
      chunking: { size: formatBytes(demoChunkSizeBytes) },
      disk: { root: join(folder, `${id}-disk`) },
      cluster: {
        replica_id: id,
        peers: this.replicas.map((replica) => `https://${replica.mesh}`),
        internal_listen: mesh,
        internal_tls: {
          enabled: true,
          cert_file: join(folder, `${id}.crt`),
          key_file: join(folder, `${id}.key`),
          ca_file: join(folder, "ca.crt"),
          server_name: serverName,
        },
      },
    });
  }

  #failure(id: string, reason: string): OrcaError {
    const log = readFileSync(join(this.#options.folder, `${id}.log`), "utf8").trim();
    const last = log.split("\n").slice(-5).join("\n");
    return new OrcaError(
      "internal",
      "config",
      `Cannot run the demo: replica ${id} ${reason}. Its last log lines are:\n${last}`,
    );
  }
}

/** Drops the user's ORCA_ settings, which are for other replicas. The demo's replicas read theirs from their files. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("ORCA_")));
}

/** The number of live members that a replica sees. 0 if it does not answer or serve yet. */
async function liveMembers(ops: string): Promise<number> {
  try {
    const response = await fetch(`${ops}/cluster`);
    const { phase, members } = (await response.json()) as ClusterStatus;
    return phase === "serving" ? members.filter(({ state }) => state === "alive").length : 0;
  } catch {
    return 0;
  }
}

/** Finds free ports on loopback. All are held until the last one is found, so that no two are the same. */
async function addressesFor(stdout: TextOutput): Promise<DemoReplica[]> {
  const held: Server[] = [];
  const take = async (port: number, purpose: string): Promise<string> => {
    let server = await listen(port);
    if (!server) {
      stdout.write(`Port ${port} is in use, so ${purpose} another one\n`);
      server = await listen(0);
    }
    if (!server) throw new OrcaError("config_invalid", "config", "Cannot run the demo: no port is free");
    held.push(server);
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  try {
    const replicas: DemoReplica[] = [];
    for (const [index, id] of replicaIds.entries()) {
      const { s3, ops, mesh } = usualPorts;
      replicas.push({
        id,
        endpoint: `http://${await take(s3 + 10 * index, `S3 clients of ${id} get`)}`,
        ops: `http://${await take(ops + 10 * index, `health and metrics of ${id} get`)}`,
        mesh: await take(mesh + 10 * index, `the mesh of ${id} gets`),
      });
    }
    return replicas;
  } finally {
    await Promise.all(held.map((server) => closed(server)));
  }
}

function listen(port: number): Promise<Server | undefined> {
  const { promise, resolve } = Promise.withResolvers<Server | undefined>();
  const server = createServer()
    .once("error", () => resolve(undefined))
    .listen(port, "127.0.0.1", () => resolve(server));
  return promise;
}

function closed(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  return promise;
}
