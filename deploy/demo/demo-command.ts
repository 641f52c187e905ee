/**
 * `npm run demo`: starts an Azurite origin and three replicas in front of it, and shows in a minute what the cluster
 * does. The results come from independent measurements: the clients hash every byte, and the origin counts its
 * requests.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import type { TerminalOutput } from "../../src/cli/command-context.ts";
import { Progress } from "../../src/cli/progress.ts";
import { type Cell, formatTable } from "../../src/cli/table.ts";
import { DemoCluster, type DemoReplica, demoChunkSizeBytes } from "./demo-cluster.ts";
import { DemoOrigin, demoContainer } from "./demo-origin.ts";
import { readByAll } from "./demo-readers.ts";

export interface DemoOptions {
  readonly clock: Clock;
  readonly env: NodeJS.ProcessEnv;
  readonly execPath: string;
  /** The main module of `orca`. */
  readonly mainPath: string;
  readonly stdout: TerminalOutput;
  readonly stopAsked: Promise<string>;
}

interface DemoObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** What every step of the demo uses. */
interface Setup {
  readonly origin: DemoOrigin;
  readonly cluster: DemoCluster;
  readonly options: DemoOptions;
  /** Aborts when the demo must stop. */
  readonly signal: AbortSignal;
}

/** One object that many clients read at once, spread evenly over the replicas. */
interface Download {
  readonly object: DemoObject;
  readonly temperature: "cold" | "warm";
  readonly replicas: readonly DemoReplica[];
  readonly clients: number;
  /** This replica is killed when a quarter of all bytes has been read. */
  readonly victim?: DemoReplica;
}

interface DownloadResult {
  readonly isCorrect: boolean;
  readonly row: readonly Cell[];
}

const objectSizes = { "medium.bin": 16 * MiB, "large.bin": 128 * MiB } as const;
const headings = ["object", "chunks", "read", "by clients", "MB/s", "origin HEADs", "GETs", "SHA-256"];

/** Resolves with the exit code, when the demo must stop or when a client read wrong bytes. */
export async function demo(options: DemoOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "orca-demo-"));
  const { stdout } = options;
  // Ctrl-C ends reads through this signal. All other work fails as soon as the replicas and the origin have ended.
  const stopping = new AbortController();
  const stopped = options.stopAsked.then(() => stopping.abort());
  let origin: DemoOrigin | undefined;
  let cluster: DemoCluster | undefined;
  try {
    stdout.write(
      "Starting Azurite, an emulator of Azure Blob Storage, and three replicas with mutual TLS between them\n",
    );
    origin = await DemoOrigin.start({ ...options, folder });
    cluster = await DemoCluster.start({ ...options, folder, origin });
    const isCorrect = await Promise.race([
      run({ origin, cluster, options, signal: stopping.signal }),
      stopped,
    ]);
    if (isCorrect === false) return 1;
    if (isCorrect) stdout.write(instructions(cluster.replicas, folder));
    await stopped;
    stdout.write("\nStopping the demo, and removing its files\n");
    return 0;
  } finally {
    await Promise.all([cluster?.stop(), origin?.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Resolves with whether every client read the stored bytes. */
async function run(setup: Setup): Promise<boolean> {
  const { cluster, options } = setup;
  const { stdout } = options;
  const medium = await seed(setup, "medium.bin");
  const large = await seed(setup, "large.bin");
  await cluster.ready();
  const { replicas } = cluster;
  const [victim, survivors] = [replicas[replicas.length - 1] as DemoReplica, replicas.slice(0, -1)];
  const results = [
    await download(setup, { object: medium, temperature: "cold", replicas, clients: 30 }),
    await download(setup, { object: medium, temperature: "warm", replicas, clients: 30 }),
    await download(setup, { object: large, temperature: "cold", replicas: survivors, clients: 4, victim }),
  ];
  const rows = results.map(({ row }) => row);
  stdout.write(`\n${formatTable(headings, rows)}\n`);
  if (!results.every(({ isCorrect }) => isCorrect)) {
    stdout.write("\nSome clients did not read the stored bytes. This is a bug; please report it.\n");
    return false;
  }
  stdout.write(
    `\nNo client noticed that ${victim.id} was killed (kill -9): the other replicas fetched its chunks.\n`,
  );
  cluster.startReplica(victim.id);
  await cluster.ready();
  stdout.write(`${victim.id} is running again, and all replicas see each other.\n`);
  return true;
}

async function seed({ origin, options }: Setup, key: keyof typeof objectSizes): Promise<DemoObject> {
  const sizeBytes = objectSizes[key];
  const { clock, stdout } = options;
  const progress = new Progress({ label: `seed ${key}`, totalBytes: sizeBytes, output: stdout, clock });
  const content = randomBytes(sizeBytes);
  let stored = 0;
  await origin.upload(key, content, (loadedBytes) => {
    progress.add(loadedBytes - stored);
    stored = loadedBytes;
  });
  progress.add(sizeBytes - stored);
  progress.finish();
  return { key, sizeBytes, sha256: createHash("sha256").update(content).digest("hex") };
}

async function download(
  { origin, cluster, options, signal }: Setup,
  { object, temperature, replicas, clients, victim }: Download,
): Promise<DownloadResult> {
  const { clock, stdout } = options;
  const totalBytes = clients * object.sizeBytes;
  const progress = new Progress({
    label: `${temperature} ${object.key}`,
    totalBytes,
    output: stdout,
    clock,
  });
  const before = await origin.requests(object.key);
  let killed: Promise<void> | undefined;
  const { correct, seconds } = await readByAll({
    urls: Array.from({ length: clients }, (_, index) => urlOf(replicas[index % replicas.length], object.key)),
    sha256: object.sha256,
    clock,
    signal,
    onBytes: (bytes) => {
      progress.add(bytes);
      if (victim && progress.doneBytes >= totalBytes / 4) killed ??= cluster.killReplica(victim.id);
    },
  });
  progress.finish();
  await killed;
  const after = await origin.requests(object.key);
  const ids = replicas.map(({ id }) => id).join(", ");
  return {
    isCorrect: correct === clients,
    row: [
      object.key,
      object.sizeBytes / demoChunkSizeBytes,
      temperature,
      `${clients} of ${ids}${victim ? `; ${victim.id} killed` : ""}`,
      (totalBytes / 1e6 / seconds).toFixed(0),
      after.heads - before.heads,
      after.gets - before.gets,
      correct === clients ? `${clients} equal` : `${clients - correct} of ${clients} WRONG`,
    ],
  };
}

function urlOf(replica: DemoReplica | undefined, key: string): string {
  return `${replica?.endpoint}/${demoContainer}/${key}`;
}

function instructions(replicas: readonly DemoReplica[], folder: string): string {
  const [{ endpoint, ops }] = replicas as [DemoReplica];
  const aws = `aws --no-sign-request --region us-east-1 --endpoint-url ${endpoint}`;
  const addresses = formatTable(
    ["replica", "S3", "health and metrics", "mesh"],
    replicas.map((replica) => [replica.id, replica.endpoint, replica.ops, replica.mesh]),
  );
  return `
The cluster keeps running. Configurations, certificates and logs are in ${folder}

${addresses}

Try:

  npm run -s orca -- status --ops ${ops}
  curl -sS -D- -o /dev/null ${endpoint}/${demoContainer}/large.bin
  curl -sS -r 1000000-1000099 ${endpoint}/${demoContainer}/large.bin | sha256sum
  ${aws} s3 ls s3://${demoContainer}/
  ${aws} s3 cp s3://${demoContainer}/large.bin /tmp/large.bin
  curl -sS ${ops}/metrics | grep ^orca_

Ctrl-C stops it, and removes its files.
`;
}
