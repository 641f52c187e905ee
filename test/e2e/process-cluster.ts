/** A cluster whose replicas are processes: they can be killed and stopped, and none holds up another's event loop. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClusterCertificates, serverName } from "../support/cluster-certificates.ts";
import { type OrcaProcess, serveOrca } from "../support/orca-process.ts";
import { freePort } from "../support/process.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

export interface ProcessClusterOptions {
  /** YAML of what a replica has beside origin, listeners and cluster. */
  readonly settings: (index: number, folder: string) => string;
  /** YAML of settings below `cluster`, each line indented. */
  readonly clusterSettings: string;
  /** More of the flow mapping `server`, each with a comma in front. */
  readonly serverSettings?: string;
  /** Of each process, before Orca. */
  readonly nodeOptions?: readonly string[];
  /** How many start; 3 without. */
  readonly replicas?: number;
  /** How many they have the addresses of; one more than start, without. */
  readonly replicasMax?: number;
}

export class ProcessCluster {
  readonly origin: S3Server;
  readonly replicas: OrcaProcess[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), "orca-cluster-"));
  readonly #options: ProcessClusterOptions;
  readonly #certificates: ClusterCertificates;
  readonly #ports: readonly number[];

  private constructor(
    options: ProcessClusterOptions,
    origin: S3Server,
    certificates: ClusterCertificates,
    ports: readonly number[],
  ) {
    this.#options = options;
    this.origin = origin;
    this.#certificates = certificates;
    this.#ports = ports;
  }

  /** Replicas that know each other, and would know those that join. */
  static async start(options: ProcessClusterOptions): Promise<ProcessCluster> {
    const { replicas: count = 3, replicasMax = count + 1 } = options;
    const origin = await S3Server.start({ buckets: [testBucket] });
    const ports: number[] = [];
    while (ports.length < replicasMax) ports.push(await freePort());
    const cluster = new ProcessCluster(options, origin, await ClusterCertificates.create(), ports);
    try {
      await Promise.all(Array.from({ length: count }, (_, index) => cluster.serve(index)));
      await cluster.allKnow(count);
    } catch (thrown) {
      await cluster.stop();
      throw thrown;
    }
    return cluster;
  }

  /** Starts a replica, or starts it again. */
  async serve(index: number): Promise<OrcaProcess> {
    const { certFile, keyFile, caFile } = await this.#certificates.files(`r${index}`);
    const { settings, clusterSettings, serverSettings = "", nodeOptions } = this.#options;
    const replica = await serveOrca(
      this.folder,
      `r${index}`,
      `server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0"${serverSettings} }
origin:
  id: test
  driver: awss3
  awss3: { bucket: ${testBucket}, endpoint: "${this.origin.endpoint}", use_path_style: true }
chunking: { size: 1MiB, tiers: [] }
${settings(index, this.folder)}
cluster:
  peers: [${this.#ports.map((port) => `"https://127.0.0.1:${port}"`).join(", ")}]
  internal_listen: "127.0.0.1:${this.#ports[index]}"
  replica_id: r${index}
  internal_tls: { enabled: true, cert_file: ${certFile}, key_file: ${keyFile}, ca_file: ${caFile}, server_name: ${serverName} }
${clusterSettings}
`,
      nodeOptions,
    );
    this.replicas[index] = replica;
    return replica;
  }

  /** Resolves when each replica that runs holds `count` members for alive. */
  async allKnow(count: number): Promise<void> {
    const running = this.replicas.filter(({ child }) => child.running);
    await until(async () => (await Promise.all(running.map(liveMembers))).every((live) => live === count));
  }

  async stop(): Promise<void> {
    await Promise.all(this.replicas.map(({ child }) => child.stop()));
    await this.origin.stop();
    this.#certificates.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** How many members a replica holds for alive, itself included. */
export async function liveMembers({ opsEndpoint }: OrcaProcess): Promise<number> {
  const response = await fetch(`${opsEndpoint}/cluster`);
  const status = (await response.json()) as { members: { state: string }[] };
  return status.members.filter(({ state }) => state === "alive").length;
}
