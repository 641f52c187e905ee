/**
 * `orca certs`: an authority and certificates for a cluster under development, so that no cluster has to start with TLS
 * turned off. It overwrites no file: a running replica would load a key that was replaced.
 */
import fs from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import type { Clock } from "../base/clock.ts";
import { makeDirectories } from "../base/make-directories.ts";
import { OrcaError } from "../base/orca-error.ts";
import { replicaUri } from "../base/replica-uri.ts";
import type { CertificateAuthority, IssuedCertificate } from "./certificate-authority.ts";
import type { CommandContext, TextOutput } from "./command-context.ts";
import { OrcaCommand } from "./orca-command.ts";
import { formatTable } from "./table.ts";

interface CertsFlags {
  readonly out: string;
  readonly serverName: string;
  readonly replica: readonly string[];
  readonly host?: readonly string[];
}

const details = [
  "Writes DIR/ca.crt and DIR/ca.key, the certificate authority, and for each replica DIR/ID.crt and DIR/ID.key.",
  "If DIR already holds an authority, that one signs. No file is overwritten.",
  "Prints the settings to paste into the configuration of a replica.",
].join(" ");

export function certsCommand({ clock, stdout }: CommandContext): OrcaCommand {
  return new OrcaCommand("certs", "Write certificates for a cluster under development")
    .usage("--out DIR --server-name NAME --replica ID... [options]")
    .details(details)
    .requiredOption("--out <DIR>", "Write to DIR, and make it if it does not exist")
    .requiredOption("--server-name <NAME>", "Name the cluster NAME, as cluster.internal_tls.server_name does")
    .requiredOption("--replica <ID...>", "Write a certificate for replica ID; give one ID or several")
    .option("--host <HOST...>", "Add a name or address at which clients reach the replicas")
    .withExamples(
      "orca certs --out tls --server-name orca.internal --replica r1 r2 r3",
      "orca certs --out tls --server-name orca.internal --replica r4 --host cache.example.com 10.0.0.4",
    )
    .runs(({ out, serverName, replica: replicas, host: hosts = [] }: CertsFlags) =>
      certs({ out, serverName, replicas, hosts, clock, stdout }),
    );
}

export interface CertsOptions {
  /** A directory, made if it does not exist. */
  readonly out: string;
  /** `cluster.internal_tls.server_name`: a certificate with this name is one of the cluster. */
  readonly serverName: string;
  /** Ids of replicas, which also name the files. */
  readonly replicas: readonly string[];
  /** More names and addresses of the replicas. */
  readonly hosts: readonly string[];
  readonly clock: Clock;
  readonly stdout: TextOutput;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const authorityDays = 3650;
const replicaDays = 365;

const hostName = /^(?=.{1,253}$)(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)*[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/i;
/** As `cluster.replica_id` accepts it. */
const replicaId = /^(?!\.{1,2}$)[\w.-]{1,64}$/;

/**
 * Writes `ca.crt` and `ca.key`, unless both exist, and `ID.crt` and `ID.key` for each replica. Resolves with the exit
 * code.
 * @throws OrcaError `invalid_argument` for a name that is not valid, a file that exists and a directory that cannot be
 * written; `config_invalid` for an authority in the directory that cannot sign.
 */
export async function certs(options: CertsOptions): Promise<number> {
  checkNames(options);
  const folder = resolve(options.out);
  try {
    options.stdout.write(report(await issueInto(folder, options)));
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof Error && "syscall" in thrown)) throw thrown;
    throw new OrcaError(
      "invalid_argument",
      "config",
      `Cannot write to --out "${folder}": ${thrown.message}`,
      {
        cause: thrown,
      },
    );
  }
}

async function issueInto(folder: string, options: CertsOptions): Promise<Report> {
  const { serverName, replicas, clock } = options;
  makeDirectories(fs, folder);
  const taken = await existing(
    folder,
    replicas.flatMap((replica) => [`${replica}.crt`, `${replica}.key`]),
  );
  if (taken.length > 0) {
    throw cannot(
      `${taken.join(", ")} in "${folder}" would be overwritten. Remove them, or choose another --out`,
    );
  }
  // Clocks differ: a certificate that is valid from now on would not be valid yet on a host whose clock is behind.
  const notBeforeMs = clock.now() - hourMs;
  const { authority, reused } = await openAuthority(folder, `${serverName} development CA`, {
    notBeforeMs,
    notAfterMs: clock.now() + authorityDays * dayMs,
  });
  const notAfterMs = Math.min(authority.expiresMs, clock.now() + replicaDays * dayMs);
  if (notAfterMs <= clock.now())
    throw cannot(`the authority in "${folder}" has expired. Choose another --out`);
  const hosts = [...new Set([serverName, "localhost", "127.0.0.1", ...options.hosts])];
  for (const replica of replicas) {
    const uris = [replicaUri(replica)];
    const issued = await authority.issue({ commonName: replica, hosts, uris, notBeforeMs, notAfterMs });
    await writePair(folder, replica, issued);
  }
  return { folder, serverName, replicas, hosts, authority, reused, notAfterMs };
}

function checkNames({ serverName, replicas, hosts }: CertsOptions): void {
  if (!hostName.test(serverName) || isIP(serverName) !== 0) {
    throw cannot(`--server-name "${serverName}" is not a DNS name such as orca.internal`);
  }
  if (replicas.length === 0) throw cannot("give at least one --replica");
  for (const [index, replica] of replicas.entries()) {
    if (!replicaId.test(replica)) {
      throw cannot(`--replica "${replica}" is not 1 to 64 of the characters A-Z a-z 0-9 . _ -`);
    }
    if (replica.toLowerCase() === "ca")
      throw cannot(`--replica "${replica}" would write the files of the authority`);
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
    throw cannot(`"${folder}" holds ${found[0]} alone, which a new authority would overwrite`);
  }
  // Imported here, because every other command works without the libraries that write certificates.
  const { CertificateAuthority } = await import("./certificate-authority.ts");
  if (found.length === 2) {
    const [cert, key] = await Promise.all([readFile(certFile, "utf8"), readFile(keyFile, "utf8")]);
    return { authority: await CertificateAuthority.open({ cert, key }), reused: true };
  }
  const authority = await CertificateAuthority.create(commonName, validity);
  await writePair(folder, "ca", authority.files);
  return { authority, reused: false };
}

/** Writes the key first: after an interruption there is never a certificate without its key. */
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
  const same = others.length === 0 ? "" : ` (likewise for ${others.join(", ")}, each with its own files)`;
  const files = formatTable(
    ["certificate", "key", "for", "valid to"],
    [
      ["ca.crt", "ca.key", `the authority, ${reused ? "unchanged" : "new"}`, day(authority.expiresMs)],
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

The certificate of every replica is valid for ${hosts.join(", ")}.
That of a replica is for its replica_id alone, so replicas do not share one.
Keep ca.key away from replicas: it makes members of the cluster.

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
