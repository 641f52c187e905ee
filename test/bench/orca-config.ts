/**
 * Orca as the bench runs it: the command a user would start, on a configuration file, in front of the bench origin.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CertificateFiles, serverName } from "../support/cluster-certificates.ts";
import { allCores, type Contender, freePort, startNode } from "./contender.ts";

export interface OrcaOptions {
  readonly originPort: number;
  readonly folder: string;
  readonly memory: string;
  /** No disk tier where left out. */
  readonly disk?: string;
  /** None where left out; `posixfs` has a directory of its own. */
  readonly cachestore?: "posixfs" | SharedBucket;
  /** Any free one where left out. */
  readonly opsPort?: number;
  /** Verifies signatures with the keys of this file. */
  readonly accessKeysFile?: string;
  /** `server.threads`: 1 where left out, else on all cores. */
  readonly threads?: number;
  /** `metadata.max_entries`; its default where left out. */
  readonly metadataEntries?: number;
  /** `orca` where left out. */
  readonly name?: string;
  /** A cluster of one where left out. */
  readonly mesh?: MeshOptions;
}

/** Its keys are in the environment, as Orca reads them. */
export interface SharedBucket {
  readonly endpoint: string;
  readonly bucket: string;
}

export interface MeshOptions {
  readonly replicaId: string;
  readonly port: number;
  /** Ports of all replicas. */
  readonly peerPorts: readonly number[];
  readonly files: CertificateFiles;
  /** `cluster.bytes_listen`; none where left out. */
  readonly bytesPort?: number;
  /** That of servers where left out. */
  readonly core?: string;
}

export async function startOrca(options: OrcaOptions): Promise<Contender> {
  const port = await freePort();
  const folder = mkdtempSync(join(options.folder, "orca-"));
  mkdirSync(join(folder, "disk"));
  mkdirSync(join(folder, "shared"));
  const config = join(folder, "orca.yaml");
  writeFileSync(
    config,
    `server: { listen: "127.0.0.1:${port}", ops_listen: "127.0.0.1:${options.opsPort ?? 0}", threads: ${options.threads ?? 1}${authSection(options)} }
origin:
  id: bench
  driver: awss3
  awss3: { bucket: bench, endpoint: "http://127.0.0.1:${options.originPort}", region: us-east-1, use_path_style: true }
memory: { max_bytes: ${options.memory} }
${options.metadataEntries ? `metadata: { max_entries: ${options.metadataEntries} }` : ""}
${options.disk ? `disk: { root: ${folder}/disk, max_bytes: ${options.disk} }` : ""}
${options.cachestore ? cachestoreSection(options.cachestore, join(folder, "shared")) : ""}
${options.mesh ? clusterSection(options.mesh) : ""}
logging: { level: warn }
`,
  );
  process.env.ORCA_AWSS3_ACCESS_KEY = "bench";
  process.env.ORCA_AWSS3_SECRET_KEY = "bench";
  return startNode(
    options.name ?? "orca",
    port,
    ["src/main.ts", "serve", "--config", config],
    options.threads === undefined ? options.mesh?.core : allCores,
  );
}

function authSection({ accessKeysFile }: OrcaOptions): string {
  return accessKeysFile === undefined ? "" : `, auth: { enabled: true, access_keys_file: ${accessKeysFile} }`;
}

function cachestoreSection(cachestore: "posixfs" | SharedBucket, root: string): string {
  if (cachestore === "posixfs") return `cachestore: { driver: posixfs, posixfs: { root: ${root} } }`;
  const { endpoint, bucket } = cachestore;
  return `cachestore: { driver: s3, s3: { endpoint: "${endpoint}", bucket: ${bucket}, use_path_style: true } }`;
}

function clusterSection({ replicaId, port, peerPorts, files, bytesPort }: MeshOptions): string {
  const peers = peerPorts.map((each) => `"https://127.0.0.1:${each}"`).join(", ");
  const { certFile, keyFile, caFile } = files;
  return `cluster:
  peers: [${peers}]
  internal_listen: "127.0.0.1:${port}"
  ${bytesPort === undefined ? "" : `bytes_listen: "127.0.0.1:${bytesPort}"`}
  replica_id: ${replicaId}
  internal_tls: { enabled: true, cert_file: ${certFile}, key_file: ${keyFile}, ca_file: ${caFile}, server_name: ${serverName} }`;
}
