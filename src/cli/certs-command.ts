/**
 * `orca certs`: an authority and certificates for a cluster under development, so that nobody begins with TLS turned
 * off. It overwrites nothing: a key that was replaced under a running cluster would be taken up by it.
 */
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { CertificateAuthority, type IssuedCertificate } from "./certificate-authority.ts";
import type { TextOutput } from "./config-command.ts";
import { formatTable } from "./table.ts";

export interface CertsOptions {
  /** Directory, made if it is not there. */
  readonly out: string;
  /** `cluster.internal_tls.server_name`: what makes a certificate one of this cluster. */
  readonly serverName: string;
  /** Ids of replicas, which name the files. */
  readonly replicas: readonly string[];
  /** More names and addresses that the replicas are reached at. */
  readonly hosts: readonly string[];
  readonly clock: Clock;
  readonly stdout: TextOutput;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const authorityDays = 3650;
const replicaDays = 365;

const hostName = /^(?=.{1,253}$)(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)*[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/i;
/** As `cluster.replica_id` takes it. */
const replicaId = /^(?!\.{1,2}$)[\w.-]{1,64}$/;

/**
 * Writes `ca.crt` and `ca.key`, unless both are there already, and `R.crt` and `R.key` for each replica R. Resolves with
 * the exit code.
 * @throws OrcaError invalid_argument for names that cannot be used, and for files that are there already; config_invalid
 * for an authority in the directory that cannot sign.
 */
export async function certs(options: CertsOptions): Promise<number> {
  const { out, serverName, replicas, clock, stdout } = options;
  checkNames(options);
  const folder = resolve(out);
  await mkdir(folder, { recursive: true });
  const taken = await existing(
    folder,
    replicas.flatMap((replica) => [`${replica}.crt`, `${replica}.key`]),
  );
  if (taken.length > 0) {
    throw cannot(
      `${taken.join(", ")} in "${folder}" would be overwritten; remove them, or choose another --out`,
    );
  }
  // Clocks differ: a certificate that begins now has not begun yet elsewhere.
  const notBeforeMs = clock.now() - hourMs;
  const { authority, reused } = await openAuthority(folder, `${serverName} development CA`, {
    notBeforeMs,
    notAfterMs: clock.now() + authorityDays * dayMs,
  });
  const notAfterMs = Math.min(authority.expiresMs, clock.now() + replicaDays * dayMs);
  if (notAfterMs <= clock.now())
    throw cannot(`the authority in "${folder}" has expired; choose another --out`);
  const hosts = [...new Set([serverName, "localhost", "127.0.0.1", ...options.hosts])];
  for (const replica of replicas) {
    const issued = await authority.issue({ commonName: replica, hosts, notBeforeMs, notAfterMs });
    await writePair(folder, replica, issued);
  }
  stdout.write(report({ folder, serverName, replicas, hosts, authority, reused, notAfterMs }));
  return 0;
}

function checkNames({ serverName, replicas, hosts }: CertsOptions): void {
  if (!hostName.test(serverName) || isIP(serverName) !== 0) {
    throw cannot(`--server-name "${serverName}" is not a DNS name such as orca.internal`);
  }
  if (replicas.length === 0) throw cannot("no --replica is given");
  for (const [index, replica] of replicas.entries()) {
    if (!replicaId.test(replica)) {
      throw cannot(`--replica "${replica}" is not 1 to 64 of the characters A-Z a-z 0-9 . _ -`);
    }
    if (replica.toLowerCase() === "ca") throw cannot(`--replica "${replica}" would be the authority's files`);
    if (replicas.indexOf(replica) !== index) throw cannot(`--replica "${replica}" is given twice`);
  }
  const bad = hosts.find((host) => isIP(host) === 0 && !hostName.test(host));
  if (bad !== undefined) throw cannot(`--host "${bad}" is neither a DNS name nor an IP address`);
}

async function openAuthority(
  folder: string,
  commonName: string,
  validity: { readonly notBeforeMs: number; readonly notAfterMs: number },
): Promise<{ readonly authority: CertificateAuthority; readonly reused: boolean }> {
  const [certFile, keyFile] = [join(folder, "ca.crt"), join(folder, "ca.key")];
  const found = await existing(folder, ["ca.crt", "ca.key"]);
  if (found.length === 1) {
    throw cannot(`"${folder}" holds ${found[0]} alone, and a new authority would overwrite it`);
  }
  if (found.length === 2) {
    const [cert, key] = await Promise.all([readFile(certFile, "utf8"), readFile(keyFile, "utf8")]);
    return { authority: await CertificateAuthority.open({ cert, key }), reused: true };
  }
  const authority = await CertificateAuthority.create(commonName, validity);
  await writePair(folder, "ca", authority.files);
  return { authority, reused: false };
}

/** The key first: a certificate without its key says that something was interrupted. */
async function writePair(folder: string, name: string, { cert, key }: IssuedCertificate): Promise<void> {
  await writeFile(join(folder, `${name}.key`), key, { mode: 0o600, flag: "wx" });
  await writeFile(join(folder, `${name}.crt`), cert, { mode: 0o644, flag: "wx" });
}

async function existing(folder: string, names: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        () => true,
        () => false,
      ),
    ),
  );
  return names.filter((_, index) => found[index]);
}

interface Report {
  readonly folder: string;
  readonly serverName: string;
  readonly replicas: readonly string[];
  readonly hosts: readonly string[];
  readonly authority: CertificateAuthority;
  readonly reused: boolean;
  readonly notAfterMs: number;
}

function report({ folder, serverName, replicas, hosts, authority, reused, notAfterMs }: Report): string {
  const [first = "", ...others] = replicas;
  const same = others.length === 0 ? "" : ` (and so for ${others.join(", ")}, each with its own files)`;
  const files = formatTable(
    ["certificate", "key", "for", "valid to"],
    [
      ["ca.crt", "ca.key", `the authority, ${reused ? "as it was" : "new"}`, day(authority.expiresMs)],
      ...replicas.map((replica) => [
        `${replica}.crt`,
        `${replica}.key`,
        `replica ${replica}`,
        day(notAfterMs),
      ]),
    ],
  );
  return `In ${folder}:

${files}

Every replica's certificate is good for ${hosts.join(", ")}.
Whoever has ca.key can join the cluster: no replica needs it.

Configuration of replica ${first}${same}:

cluster:
  replica_id: ${first}
  internal_tls:
    enabled: true
    cert_file: ${JSON.stringify(join(folder, `${first}.crt`))}
    key_file: ${JSON.stringify(join(folder, `${first}.key`))}
    ca_file: ${JSON.stringify(join(folder, "ca.crt"))}
    server_name: ${serverName}
`;
}

function day(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10);
}

function cannot(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "config", `Cannot make certificates: ${reason}`);
}
