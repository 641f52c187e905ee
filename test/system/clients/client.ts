/** What a client of S3 must be able to do, and how a test runs one that is a program. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findOnPath, run } from "../../support/process.ts";
import type { ClientKey } from "../../support/signed-get.ts";
import type { Requirement } from "../installed.ts";

/** What a user tells a client. */
export interface Access {
  /** `http://127.0.0.1:<port>`. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly key: ClientKey;
  /** The client's own, for its configuration and what it downloads. */
  readonly folder: string;
}

/** A client that is set up. Each call fails where the program fails. */
export interface Session {
  /** What lies directly below a prefix that ends with a slash, without the prefix. */
  list(prefix: string): Promise<string[]>;
  /** The size in bytes. */
  head(key: string): Promise<number>;
  read(key: string): Promise<Uint8Array>;
  /** Both ends count. */
  readRange(key: string, first: number, last: number): Promise<Uint8Array>;
  close?(): Promise<void>;
}

export interface Client {
  readonly name: string;
  readonly required: Requirement;
  /** Rejects where the client checks its key at once. */
  readonly open: (access: Access) => Promise<Session>;
  /** What it says where the key does not exist. */
  readonly missing: RegExp;
  /** What it says where its secret is wrong. */
  readonly denied: RegExp;
  /** What it says where nobody has its access key; {@link denied} by default. */
  readonly unknown?: RegExp;
  /** The ranges in which it reads an object of 20 MiB and 5 bytes: 0 for one that reads it in one piece. Left out for a file system. */
  readonly rangesOfLarge?: number;
}

/** A Debian package; by default it is installed where a program of that name is. */
export function debian(
  packageName: string,
  isInstalled = (): boolean => findOnPath(packageName) !== undefined,
): Requirement {
  return {
    name: packageName,
    isInstalled,
    install: `apt-get install --no-install-recommends ${packageName}`,
    isInstalledByCi: true,
  };
}

export type Program = (command: string, ...args: readonly string[]) => Promise<string>;

/** Runs programs with the keys of `access`, in the environment of a new user: nothing else of this machine's counts. */
export function programsOf(access: Access, more: Readonly<Record<string, string>> = {}): Program {
  const env = {
    PATH: process.env["PATH"],
    HOME: access.folder,
    LC_ALL: "C.UTF-8",
    AWS_ACCESS_KEY_ID: access.key.accessKeyId,
    AWS_SECRET_ACCESS_KEY: access.key.secretAccessKey,
    AWS_DEFAULT_REGION: "us-east-1",
    AWS_REGION: "us-east-1",
    AWS_EC2_METADATA_DISABLED: "true",
    ...more,
  };
  return (command, ...args) => run(command, args, 30_000, env);
}

/** Has a program write a file, and reads it. */
export async function downloaded(
  access: Access,
  download: (file: string) => Promise<unknown>,
): Promise<Buffer> {
  const file = join(access.folder, `download-${crypto.randomUUID()}`);
  await download(file);
  return readFileSync(file);
}

/** A key as it stands in a path. */
export function pathOf(key: string): string {
  return key.split("/").map(encodeURIComponent).join("/");
}

export function linesOf(output: string): string[] {
  return output.split("\n").filter((line) => line !== "");
}

/** Path and query of a ListObjectsV2. */
export function listTarget(prefix: string): string {
  return `?delimiter=%2F&encoding-type=url&list-type=2&prefix=${encodeURIComponent(prefix)}`;
}

/** The names in the answer to it. */
export function namesIn(xml: string, prefix: string): string[] {
  return [...xml.matchAll(/<(?:Key|Prefix)>([^<]*)<\/(?:Key|Prefix)>/g)]
    .map(([, name = ""]) => decodeURIComponent(name).slice(prefix.length))
    .filter((name) => name !== "");
}
