/**
 * `orca demo`: a real origin, a replica on its defaults in front of it, and what that is good for, in a minute. What it
 * shows is measured through the same doors a user has: HTTP for the bytes, `/metrics` for the counts.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { KiB, MiB } from "../base/units.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { type DemoOrigin, demoContainer, startDemoOrigin } from "./demo-origin.ts";
import { Progress } from "./progress.ts";
import type { RunnableReplica } from "./serve-command.ts";
import { formatTable } from "./table.ts";

export interface DemoOptions {
  readonly clock: Clock;
  readonly env: NodeJS.ProcessEnv;
  readonly execPath: string;
  readonly stdout: { readonly isTTY?: boolean; write(text: string): unknown };
  readonly stopAsked: Promise<string>;
  openReplica(config: Config): Promise<RunnableReplica>;
}

interface DemoObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

interface Reading {
  readonly megabytesPerSecond: string;
  readonly isRight: boolean;
  readonly originGets: number;
}

const objectSizes = [
  ["empty.bin", 0],
  ["small.bin", KiB],
  ["medium.bin", 20 * MiB],
  ["large.bin", 256 * MiB],
] as const;

/** Resolves with the exit code, when asked to stop or when what was read is wrong. */
export async function demo(options: DemoOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "orca-demo-"));
  // What Ctrl-C interrupts ends by itself, as soon as what it talks to is gone.
  const stopped = options.stopAsked.then(() => undefined);
  let origin: DemoOrigin | undefined;
  let replica: RunnableReplica | undefined;
  try {
    options.stdout.write("Starting Azurite, a real Azure Blob origin\n");
    origin = await startDemoOrigin(options.execPath, options.env);
    const objects = await Promise.race([seed(origin, options), stopped]);
    if (objects !== undefined) {
      replica = await options.openReplica(await demoConfig(origin, folder, options));
      const { s3, ops } = await replica.start();
      const isRight = await Promise.race([showReads(objects, s3, ops, options), stopped]);
      if (isRight === false) return 1;
      if (isRight) options.stdout.write(invitation(s3, ops));
    }
    await stopped;
    options.stdout.write("\nStopping, and removing what the demo made\n");
    return 0;
  } finally {
    await replica?.stop();
    await origin?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function seed(origin: DemoOrigin, { stdout, clock }: DemoOptions): Promise<DemoObject[]> {
  const objects: DemoObject[] = [];
  const totalBytes = objectSizes.reduce((sum, [, sizeBytes]) => sum + sizeBytes, 0);
  const progress = new Progress({ label: "seed", totalBytes, output: stdout, clock });
  for (const [key, sizeBytes] of objectSizes) {
    const content = randomBytes(sizeBytes);
    let stored = 0;
    await origin.upload(key, content, (loadedBytes) => {
      progress.add(loadedBytes - stored);
      stored = loadedBytes;
    });
    progress.add(sizeBytes - stored);
    objects.push({ key, sizeBytes, sha256: createHash("sha256").update(content).digest("hex") });
  }
  progress.finish();
  return objects;
}

async function demoConfig(origin: DemoOrigin, folder: string, { env, stdout }: DemoOptions): Promise<Config> {
  const { account, endpoint, accountKey } = origin;
  return loadConfig({
    env: { ...env, ORCA_AZUREBLOB_ACCOUNT_KEY: accountKey },
    overrides: {
      server: {
        listen: await addressFor(8443, "S3 clients", stdout),
        ops_listen: await addressFor(8442, "health and metrics", stdout),
      },
      origin: { id: "demo", driver: "azureblob", azureblob: { account, container: demoContainer, endpoint } },
      disk: { root: join(folder, "disk") },
    },
  });
}

/** The usual port on loopback, or one of the kernel's choice where somebody else has it. */
async function addressFor(port: number, purpose: string, stdout: DemoOptions["stdout"]): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = createServer()
    .once("error", () => resolve(false))
    .listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  if (await promise) return `127.0.0.1:${port}`;
  stdout.write(`Port ${port} is taken, so ${purpose} get another one\n`);
  return "127.0.0.1:0";
}

/** Reads every object cold and warm, prints the table, and says whether all bytes were right. */
async function showReads(
  objects: readonly DemoObject[],
  s3: AddressInfo,
  ops: AddressInfo,
  options: DemoOptions,
): Promise<boolean> {
  const rows: string[][] = [];
  let allRight = true;
  for (const object of objects) {
    const cold = await read(object, "cold", s3, ops, options);
    const warm = await read(object, "warm", s3, ops, options);
    const isRight = cold.isRight && warm.isRight;
    allRight &&= isRight;
    rows.push([
      object.key,
      `${object.sizeBytes}`,
      cold.megabytesPerSecond,
      warm.megabytesPerSecond,
      `${cold.originGets}`,
      `${warm.originGets}`,
      isRight ? "equal" : "DIFFERS",
    ]);
  }
  const headings = ["object", "bytes", "cold MB/s", "warm MB/s", "origin GETs cold", "warm", "SHA-256"];
  options.stdout.write(`\n${formatTable(headings, rows)}\n`);
  if (!allRight)
    options.stdout.write("\nSome bytes differ from what was stored: this is a bug, please report it.\n");
  return allRight;
}

async function read(
  object: DemoObject,
  temperature: string,
  s3: AddressInfo,
  ops: AddressInfo,
  { clock, stdout }: DemoOptions,
): Promise<Reading> {
  const getsBefore = await originGets(ops);
  const label = `${temperature} ${object.key}`;
  const progress = new Progress({ label, totalBytes: object.sizeBytes, output: stdout, clock });
  const pieces: Uint8Array[] = [];
  const startedMs = clock.monotonic();
  const response = await fetch(`http://127.0.0.1:${s3.port}/${demoContainer}/${object.key}`);
  for await (const piece of response.body ?? []) {
    pieces.push(piece);
    progress.add(piece.length);
  }
  const seconds = (clock.monotonic() - startedMs) / 1000;
  progress.finish();
  // Hashed after the clock has stopped: it is Orca that is shown here, not SHA-256.
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return {
    megabytesPerSecond: object.sizeBytes < MiB ? "-" : (object.sizeBytes / 1e6 / seconds).toFixed(0),
    isRight: response.status === 200 && hash.digest("hex") === object.sha256,
    originGets: (await originGets(ops)) - getsBefore,
  };
}

/** What the replica counts as GETs sent to its origin. */
async function originGets(ops: AddressInfo): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${ops.port}/metrics`);
  const line = /^orca_origin_requests_total\{[^}]*operation="get"[^}]*\} (\d+)$/m.exec(await response.text());
  return Number(line?.[1] ?? 0);
}

function invitation(s3: AddressInfo, ops: AddressInfo): string {
  const endpoint = `http://127.0.0.1:${s3.port}`;
  const aws = `aws --no-sign-request --region us-east-1 --endpoint-url ${endpoint}`;
  return `
Orca stays up. Try:

  curl -sS -D- -o /dev/null ${endpoint}/${demoContainer}/large.bin
  curl -sS -r 1000000-1000099 ${endpoint}/${demoContainer}/large.bin | sha256sum
  ${aws} s3 ls s3://${demoContainer}/
  ${aws} s3 cp s3://${demoContainer}/large.bin /tmp/large.bin
  curl -sS http://127.0.0.1:${ops.port}/metrics | grep ^orca_

Ctrl-C stops it and removes what it made.
`;
}
