/**
 * The settings of a replica that has every part: TLS for clients and for peers, a disk, a cachestore in a directory, and
 * a peer that is not there. They name a folder of their own and the servers that the replica needs.
 */
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { SettingsTree } from "../../src/config/load.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { type CertificateFiles, ClusterCertificates, serverName } from "../support/cluster-certificates.ts";
import { freePort } from "../support/process.ts";
import { S3Server } from "../support/s3-server.ts";

/** Of all services that are asked. */
export const keys = {
  ORCA_AWSS3_ACCESS_KEY: "test",
  ORCA_AWSS3_SECRET_KEY: "test-secret",
  ORCA_CACHESTORE_S3_ACCESS_KEY: "test",
  ORCA_CACHESTORE_S3_SECRET_KEY: "test-secret",
};

/** Laid over the sections of the whole replica, key by key. */
export type Sections = Readonly<Record<string, SettingsTree>>;

export interface WholeReplica {
  /** Nothing is there yet. */
  readonly configFile: string;
  readonly diskRoot: string;
  readonly cachestoreRoot: string;
  readonly serverFiles: { readonly certFile: string; readonly keyFile: string };
  readonly meshFiles: CertificateFiles;
  readonly certificates: ClusterCertificates;
  /** Has the bucket of the origin (`models`), one for a cachestore (`kept`), and no other. */
  readonly s3: S3Server;
  /** Another server listens on it. */
  readonly takenAddress: string;
  readonly settings: (sections?: Sections) => SettingsTree;
}

export async function wholeReplica(context: TestContext): Promise<WholeReplica> {
  const folder = mkdtempSync(join(tmpdir(), "orca-whole-"));
  const [diskRoot, cachestoreRoot] = [join(folder, "disk"), join(folder, "cachestore")];
  mkdirSync(cachestoreRoot);
  const serverFiles = { certFile: join(folder, "server.crt"), keyFile: join(folder, "server.key") };
  const { cert, key } = selfSignedCertificate();
  writeFileSync(serverFiles.certFile, cert);
  writeFileSync(serverFiles.keyFile, key);
  const certificates = await ClusterCertificates.create();
  const meshFiles = await certificates.files("r0");
  const s3 = await S3Server.start({ buckets: ["models", "kept"] });
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const nobody = await freePort();
  context.after(async () => {
    taken.close();
    await s3.stop();
    certificates.remove();
    rmSync(folder, { recursive: true, force: true });
  });
  const whole: Sections = {
    server: {
      // Tests reach the listener for clients, and own its clock.
      threads: 1,
      listen: "127.0.0.1:0",
      ops_listen: "127.0.0.1:0",
      tls: { cert_file: serverFiles.certFile, key_file: serverFiles.keyFile },
    },
    origin: {
      id: "test",
      driver: "awss3",
      awss3: { bucket: "models", endpoint: s3.endpoint, use_path_style: true },
    },
    memory: { max_bytes: "256MiB" },
    disk: { root: diskRoot, max_bytes: "1GiB" },
    cachestore: { driver: "posixfs", posixfs: { root: cachestoreRoot } },
    cluster: {
      peers: [`https://127.0.0.1:${nobody}`],
      internal_listen: "127.0.0.1:0",
      replica_id: "r0",
      internal_tls: {
        enabled: true,
        cert_file: meshFiles.certFile,
        key_file: meshFiles.keyFile,
        ca_file: meshFiles.caFile,
        server_name: serverName,
      },
    },
  };
  return {
    configFile: join(folder, "orca.yaml"),
    diskRoot,
    cachestoreRoot,
    serverFiles,
    meshFiles,
    certificates,
    s3,
    takenAddress: `127.0.0.1:${(taken.address() as AddressInfo).port}`,
    settings: (sections = {}) =>
      Object.fromEntries(
        Object.entries(whole).map(([name, section]) => [name, { ...section, ...sections[name] }]),
      ),
  };
}

/** A cachestore in a bucket of `s3`. */
export function s3Cachestore({ endpoint }: Pick<S3Server, "endpoint">, bucket: string): SettingsTree {
  return { driver: "s3", posixfs: undefined, s3: { bucket, endpoint, use_path_style: true } };
}
