/**
 * `orca demo`: a real origin, a cluster of three replicas in front of it, and what that is good for, in a minute. What it
 * shows is measured where it cannot be wrong: by the clients, who hash every byte, and at the origin, which counts what
 * it was asked.
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
  /** Orca's own entry: what `orca` runs. */
  readonly mainPath: string;
  readonly stdout: TerminalOutput;
  readonly stopAsked: Promise<string>;
}

interface DemoObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** What all parts of the show need. */
interface Stage {
  readonly origin: DemoOrigin;
  readonly cluster: DemoCluster;
  readonly options: DemoOptions;
  /** Aborts when the demo is asked to stop. */
  readonly signal: AbortSignal;
}

/** One object read by many clients at once, as many of each replica. */
interface Act {
  readonly object: DemoObject;
  readonly temperature: "cold" | "warm";
  readonly replicas: readonly DemoReplica[];
  readonly clients: number;
  /** Killed when a quarter of all bytes has been read. */
  readonly victim?: DemoReplica;
}

interface ActResult {
  readonly isRight: boolean;
  readonly row: readonly Cell[];
}

const objectSizes = { "medium.bin": 16 * MiB, "large.bin": 128 * MiB } as const;
const headings = ["object", "chunks", "read", "by clients", "MB/s", "origin HEADs", "GETs", "SHA-256"];

/** Resolves with the exit code, when asked to stop or when what was read is wrong. */
export async function demo(options: DemoOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "orca-demo-"));
  const { stdout } = options;
  // What Ctrl-C interrupts ends by itself: reads by this, everything else as soon as what it talks to is gone.
  const stopping = new AbortController();
  const stopped = options.stopAsked.then(() => stopping.abort());
  let origin: DemoOrigin | undefined;
  let cluster: DemoCluster | undefined;
  try {
    stdout.write(
      "Starting Azurite, a real Azure Blob origin, and three replicas with mutual TLS between them\n",
    );
    origin = await DemoOrigin.start({ ...options, folder });
    cluster = await DemoCluster.start({ ...options, folder, origin });
    const isRight = await Promise.race([
      show({ origin, cluster, options, signal: stopping.signal }),
      stopped,
    ]);
    if (isRight === false) return 1;
    if (isRight) stdout.write(invitation(cluster.replicas, folder));
    await stopped;
    stdout.write("\nStopping, and removing what the demo made\n");
    return 0;
  } finally {
    await Promise.all([cluster?.stop(), origin?.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Resolves with whether every client had what was stored. */
async function show(stage: Stage): Promise<boolean> {
  const { cluster, options } = stage;
  const { stdout } = options;
  const medium = await seed(stage, "medium.bin");
  const large = await seed(stage, "large.bin");
  await cluster.ready();
  const { replicas } = cluster;
  const [victim, survivors] = [replicas[replicas.length - 1] as DemoReplica, replicas.slice(0, -1)];
  const results = [
    await perform(stage, { object: medium, temperature: "cold", replicas, clients: 30 }),
    await perform(stage, { object: medium, temperature: "warm", replicas, clients: 30 }),
    await perform(stage, { object: large, temperature: "cold", replicas: survivors, clients: 4, victim }),
  ];
  const rows = results.map(({ row }) => row);
  stdout.write(`\n${formatTable(headings, rows)}\n`);
  if (!results.every(({ isRight }) => isRight)) {
    stdout.write("\nSome clients did not get what was stored: this is a bug, please report it.\n");
    return false;
  }
  stdout.write(
    `\nNo client saw that ${victim.id} was gone (kill -9): what it would have brought, others did.\n`,
  );
  cluster.startReplica(victim.id);
  await cluster.ready();
  stdout.write(`It is started again, and all know each other.\n`);
  return true;
}

async function seed({ origin, options }: Stage, key: keyof typeof objectSizes): Promise<DemoObject> {
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

async function perform({ origin, cluster, options, signal }: Stage, act: Act): Promise<ActResult> {
  const { object, temperature, replicas, clients, victim } = act;
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
  const { right, seconds } = await readByAll({
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
    isRight: right === clients,
    row: [
      object.key,
      object.sizeBytes / demoChunkSizeBytes,
      temperature,
      `${clients} of ${ids}${victim ? `; ${victim.id} killed` : ""}`,
      (totalBytes / 1e6 / seconds).toFixed(0),
      after.heads - before.heads,
      after.gets - before.gets,
      right === clients ? `${clients} equal` : `${clients - right} of ${clients} WRONG`,
    ],
  };
}

function urlOf(replica: DemoReplica | undefined, key: string): string {
  return `${replica?.endpoint}/${demoContainer}/${key}`;
}

function invitation(replicas: readonly DemoReplica[], folder: string): string {
  const [{ endpoint, ops }] = replicas as [DemoReplica];
  const aws = `aws --no-sign-request --region us-east-1 --endpoint-url ${endpoint}`;
  const addresses = formatTable(
    ["replica", "S3", "health and metrics", "mesh"],
    replicas.map((replica) => [replica.id, replica.endpoint, replica.ops, replica.mesh]),
  );
  return `
Orca stays up. Configurations, certificates and logs are in ${folder}

${addresses}

Try:

  npm run -s orca -- status --ops ${ops}
  curl -sS -D- -o /dev/null ${endpoint}/${demoContainer}/large.bin
  curl -sS -r 1000000-1000099 ${endpoint}/${demoContainer}/large.bin | sha256sum
  ${aws} s3 ls s3://${demoContainer}/
  ${aws} s3 cp s3://${demoContainer}/large.bin /tmp/large.bin
  curl -sS ${ops}/metrics | grep ^orca_

Ctrl-C stops it and removes what it made.
`;
}
