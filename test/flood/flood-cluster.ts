/**
 * The replicas that are attacked: two processes of one cluster, with mutual TLS between them. `r0` serves clients over
 * TLS and is the one whose mesh is attacked, `r1` serves clients without TLS. Time limits are short and memory is small,
 * so that a test sees in a second what a replica does in a minute.
 */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KiB, MiB } from "../../src/base/units.ts";
import { agreedSettingsOf } from "../../src/config/agreed-settings.ts";
import { loadConfig } from "../../src/config/load.ts";
import { fingerprintOf } from "../../src/membership/agreed-settings.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { type CertificateFiles, ClusterCertificates, serverName } from "../support/cluster-certificates.ts";
import { httpGet } from "../support/http-get.ts";
import { type OrcaProcess, serveOrca } from "../support/orca-process.ts";
import { freePort } from "../support/process.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";
import type { AttackTarget } from "./attack.ts";

export const hotObject = { key: "hot", seed: 1, sizeBytes: 256 * KiB } as const;
/** More than memory holds, so that slow readers cannot be served from what is there. */
export const largeObject = { key: "large", seed: 2, sizeBytes: 192 * MiB } as const;
const listedObjects = 2000;

/** What a process holds, as the kernel counts it. */
export interface Held {
  readonly residentBytes: number;
  /** Apart from those of chunk files, of which the disk tier keeps many open on purpose. */
  readonly sockets: number;
}

export class Victim {
  readonly replica: OrcaProcess;
  readonly edgePort: number;
  readonly opsPort: number;
  readonly meshPort: number;

  constructor(replica: OrcaProcess, meshPort: number) {
    this.replica = replica;
    this.meshPort = meshPort;
    this.edgePort = Number(new URL(replica.endpoint).port);
    this.opsPort = Number(new URL(replica.opsEndpoint).port);
  }

  get name(): string {
    return this.replica.child.name;
  }

  held(): Held {
    const { pid } = this.replica.child;
    return { residentBytes: statusBytes(pid, "VmRSS"), sockets: socketsOf(pid) };
  }

  /** Resolves when the main thread has collected its garbage. The others do so at the same time (collect-garbage.ts). */
  async collectGarbage(): Promise<void> {
    const collections = (): Promise<number> =>
      this.replica.metric('nodejs_gc_duration_seconds_count{kind="major"}');
    const before = await collections();
    this.replica.child.signal("SIGUSR2");
    await until(async () => (await collections()) > before);
  }

  get pid(): number {
    return this.replica.child.pid;
  }

  /** The most memory since {@link forgetPeak}. */
  peakBytes(): number {
    return statusBytes(this.replica.child.pid, "VmHWM");
  }

  forgetPeak(): void {
    writeFileSync(`/proc/${this.replica.child.pid}/clear_refs`, "5");
  }

  /** Every series, by name and labels. */
  async metrics(): Promise<Map<string, number>> {
    const text = await (await httpGet(`${this.replica.opsEndpoint}/metrics`)).text();
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      lines.map((line) => {
        const space = line.lastIndexOf(" ");
        return [line.slice(0, space), Number(line.slice(space + 1))];
      }),
    );
  }
}

export class FloodCluster {
  readonly origin: S3Server;
  readonly certificates: ClusterCertificates;
  readonly folder = mkdtempSync(join(tmpdir(), "orca-flood-"));
  /** PEM of the certificate that clients see. */
  edgeCertificate = "";
  overTls!: Victim;
  plain!: Victim;
  #target: AttackTarget | undefined;
  /** Where threads of `r0` send chunks. */
  readonly #bytesPort: number | undefined;

  private constructor(origin: S3Server, certificates: ClusterCertificates, bytesPort: number | undefined) {
    this.origin = origin;
    this.certificates = certificates;
    this.#bytesPort = bytesPort;
  }

  /** With `hasBytesPort`, threads of `r0` send chunks at a port of their own, and that is attacked in place of the mesh port. */
  static async start(hasBytesPort: boolean): Promise<FloodCluster> {
    const origin = await S3Server.start({ buckets: [testBucket] });
    const bytesPort = hasBytesPort ? await freePort() : undefined;
    const cluster = new FloodCluster(origin, await ClusterCertificates.create(), bytesPort);
    try {
      await cluster.#start();
    } catch (thrown) {
      await cluster.stop();
      throw thrown;
    }
    return cluster;
  }

  get victims(): readonly Victim[] {
    return [this.overTls, this.plain].filter((victim) => victim !== undefined);
  }

  get target(): AttackTarget {
    if (!this.#target) throw new Error("the cluster has not started");
    return this.#target;
  }

  async stop(): Promise<void> {
    await Promise.all(this.victims.map(({ replica }) => replica.child.stop()));
    await this.origin.stop();
    this.certificates.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A certificate of a member called `id`. */
  certificateOf(id: string): Promise<CertificateFiles> {
    return this.certificates.files(id, { uris: [`urn:orca:replica:${id}`] });
  }

  async #start(): Promise<void> {
    for (const { key, ...object } of [hotObject, largeObject]) this.origin.put(testBucket, key, object);
    for (let index = 0; index < listedObjects; index += 1) {
      this.origin.put(testBucket, `listed/${index * 50}`, { seed: index, sizeBytes: 10 });
    }
    const { cert, key } = selfSignedCertificate();
    this.edgeCertificate = cert;
    const [certFile, keyFile] = [join(this.folder, "edge.crt"), join(this.folder, "edge.key")];
    writeFileSync(certFile, cert);
    writeFileSync(keyFile, key);
    const meshPorts = [await freePort(), await freePort()];
    const edgeTls = `, tls: { cert_file: ${certFile}, key_file: ${keyFile} }`;
    const replicas = await Promise.all([this.#serve(0, meshPorts, edgeTls), this.#serve(1, meshPorts, "")]);
    [this.overTls, this.plain] = replicas.map(
      (replica, index) => new Victim(replica, meshPorts[index] ?? 0),
    ) as [Victim, Victim];
    await until(async () => {
      const alive = await Promise.all(replicas.map(({ metric }) => metric("orca_members_answering")));
      return alive.every((members) => members === 2);
    });
    this.#target = await this.#makeTarget();
  }

  async #serve(index: number, meshPorts: readonly number[], edgeTls: string): Promise<OrcaProcess> {
    const { certFile, keyFile, caFile } = await this.certificateOf(`r${index}`);
    const bytesPort = index === 0 ? this.#bytesPort : undefined;
    return serveOrca(
      this.folder,
      `r${index}`,
      `server:
  listen: "127.0.0.1:0"
  ops_listen: "127.0.0.1:0"
  max_connections: 300
  max_requests: 256
  header_timeout: 2s
  client_stall_timeout: 2s
  keep_alive_timeout: 30s
  ${bytesPort === undefined ? "" : "threads: 2"}
  ${edgeTls.slice(2)}
origin:
  id: test
  driver: awss3
  target_global: 64
  awss3: { bucket: ${testBucket}, endpoint: "${this.origin.endpoint}", use_path_style: true }
chunking: { size: 1MiB, tiers: [] }
memory: { max_bytes: 64MiB }
disk: { root: ${join(this.folder, `disk-${index}`)}, max_bytes: 512MiB }
cluster:
  peers: [${meshPorts.map((port) => `"https://127.0.0.1:${port}"`).join(", ")}]
  internal_listen: "127.0.0.1:${meshPorts[index]}"
  replica_id: r${index}
  ${bytesPort === undefined ? "" : `bytes_listen: "127.0.0.1:${bytesPort}"`}
  stall_timeout: 1s
  internal_tls: { enabled: true, cert_file: ${certFile}, key_file: ${keyFile}, ca_file: ${caFile}, server_name: ${serverName} }
`,
      ["--expose-gc", "--import", new URL("collect-garbage.ts", import.meta.url).href],
    );
  }

  async #makeTarget(): Promise<AttackTarget> {
    const { certFile, keyFile } = await this.certificateOf("thief");
    const config = loadConfig({
      file: join(this.folder, "r0.yaml"),
      env: { ORCA_AWSS3_ACCESS_KEY: "test", ORCA_AWSS3_SECRET_KEY: "test-secret" },
    });
    const agreed = agreedSettingsOf(config);
    return {
      edgePort: this.plain.edgePort,
      edgeTlsPort: this.overTls.edgePort,
      opsPort: this.overTls.opsPort,
      meshPort: this.#bytesPort ?? this.overTls.meshPort,
      otherMeshPort: this.plain.meshPort,
      cert: readFileSync(certFile, "utf8"),
      key: readFileSync(keyFile, "utf8"),
      ca: this.certificates.authorityCertificate,
      fingerprint: fingerprintOf(agreed),
      clusterName: agreed.name,
      hotKey: hotObject.key,
      largeKey: largeObject.key,
      largeSizeBytes: largeObject.sizeBytes,
      largeEtag: this.origin.get(testBucket, largeObject.key)?.etag ?? "",
    };
  }
}

function socketsOf(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((name) => {
    try {
      return readlinkSync(join(folder, name)).startsWith("socket:");
    } catch {
      // It was closed meanwhile.
      return false;
    }
  }).length;
}

function statusBytes(pid: number, field: string): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? 0) * KiB;
}

/** How long the main thread of a process ran, and how long it waited for a core. Zeros where the kernel does not count. */
export function scheduled(pid: number): { readonly ranNs: number; readonly waitedNs: number } {
  const [ranNs = 0, waitedNs = 0] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8")
    .split(" ")
    .map(Number);
  return { ranNs, waitedNs };
}
