/**
 * Several whole replicas on loopback in front of one in-repo S3 server, in this process: real sockets, real TLS, real
 * membership. What a test asserts is what clients saw and what the origin was asked.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { SettingsTree } from "../../src/config/load.ts";
import { ClusterCertificates, serverName } from "./cluster-certificates.ts";
import { freePort } from "./process.ts";
import {
  type ReplicaFixture,
  type ReplicaFixtureOptions,
  startReplica,
  testBucket,
} from "./replica-fixture.ts";
import { S3Server } from "./s3-server.ts";

export interface ReplicaClusterOptions extends Omit<ReplicaFixtureOptions, "origin" | "diskRoot"> {
  readonly versioning?: "Enabled";
  readonly replicas?: number;
  /** Without, the mesh speaks plain HTTP/2. */
  readonly tls?: boolean;
}

export interface ReplicaCluster {
  readonly origin: S3Server;
  readonly replicas: readonly ReplicaFixture[];
  /** `host:port` of each internal listener. */
  readonly meshAddresses: readonly string[];
  readonly certificates: ClusterCertificates | undefined;
  /** One replica more, that knows the others; with settings and certificates of its own where they are given. */
  readonly join: (settings?: SettingsTree, certificates?: ClusterCertificates) => Promise<ReplicaFixture>;
  readonly stop: () => Promise<void>;
}

const joinTimeoutMs = 10_000;

export async function startReplicas(options: ReplicaClusterOptions = {}): Promise<ReplicaCluster> {
  const { replicas: count = 3, tls = true, settings, versioning, ...rest } = options;
  const origin = await S3Server.start({ buckets: [testBucket], ...(versioning && { versioning }) });
  const certificates = tls ? await ClusterCertificates.create() : undefined;
  const ports: number[] = [];
  for (let index = 0; index <= count; index += 1) ports.push(await freePort());
  const replicas: ReplicaFixture[] = [];
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  const join: ReplicaCluster["join"] = async (own = {}, authority = certificates) => {
    const index = replicas.length;
    const asked = { ...settings, ...own };
    const cluster = { ...(await clusterSettings(index, authority)), ...(asked["cluster"] as object) };
    const started = await startReplica({ ...rest, origin, settings: { ...asked, cluster } });
    replicas.push(started);
    return started;
  };
  const clusterSettings = async (
    index: number,
    authority: ClusterCertificates | undefined,
  ): Promise<object> => {
    const files = await authority?.files(`r${index}`);
    return {
      peers: addresses.map((address) => `${tls ? "https" : "http"}://${address}`),
      internal_listen: addresses[index],
      replica_id: `r${index}`,
      internal_tls: {
        enabled: tls,
        ...(files && {
          cert_file: files.certFile,
          key_file: files.keyFile,
          ca_file: files.caFile,
          server_name: serverName,
        }),
      },
    };
  };
  const stop = async (): Promise<void> => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await origin.stop();
    certificates?.remove();
  };
  try {
    for (let index = 0; index < count; index += 1) await join();
    await allKnowAll(replicas);
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  return { origin, replicas, meshAddresses: addresses.slice(0, count), certificates, join, stop };
}

/** Resolves when every replica holds as many for live as there are. */
export async function allKnowAll(replicas: readonly ReplicaFixture[]): Promise<void> {
  const endMs = Date.now() + joinTimeoutMs;
  for (;;) {
    const live = replicas.map(({ replica }) => replica.liveMembers);
    if (live.every((count) => count === replicas.length)) return;
    if (Date.now() > endMs)
      throw new Error(`After ${joinTimeoutMs} ms replicas know ${live.join(", ")} members`);
    await sleep(20);
  }
}
