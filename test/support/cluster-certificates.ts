/**
 * The files of a cluster's certificates, in a directory of their own, and those that its replicas must refuse. They are
 * made by what `orca certs` is made of.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateAuthority, type IssuedCertificate } from "../../src/cli/certificate-authority.ts";

export const serverName = "orca.internal";

const hourMs = 3_600_000;

/** OpenSSL judges by the system's time, whatever the clock of a test says. */
const validity = { notBeforeMs: Date.now() - hourMs, notAfterMs: Date.now() + 24 * hourMs };

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

export interface CertificateOptions {
  readonly hosts?: readonly string[];
  readonly uris?: readonly string[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}

export class ClusterCertificates {
  readonly directory = mkdtempSync(join(tmpdir(), "orca-mesh-"));
  readonly #authority: CertificateAuthority;

  private constructor(authority: CertificateAuthority) {
    this.#authority = authority;
  }

  static async create(): Promise<ClusterCertificates> {
    return new ClusterCertificates(await CertificateAuthority.create("test CA", validity));
  }

  /** PEM. */
  get authorityCertificate(): string {
    return this.#authority.files.cert;
  }

  issue(name: string, options: CertificateOptions = {}): Promise<IssuedCertificate> {
    const hosts = [serverName, "localhost", "127.0.0.1"];
    return this.#authority.issue({ commonName: name, hosts, ...validity, ...options });
  }

  /** Files of a replica called `name`; a second call replaces them. */
  async files(name: string, options: CertificateOptions = {}): Promise<CertificateFiles> {
    const { cert, key } = await this.issue(name, options);
    const [certFile, keyFile, caFile] = ["crt", "key", "ca"].map((suffix) =>
      join(this.directory, `${name}.${suffix}`),
    ) as [string, string, string];
    writeFileSync(certFile, cert);
    writeFileSync(keyFile, key);
    writeFileSync(caFile, this.authorityCertificate);
    return { certFile, keyFile, caFile };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}
