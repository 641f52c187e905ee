/**
 * `orca demo`: a real origin, a cluster of three replicas in front of it, and what that is good for, in a minute. What it
 * shows is measured where it cannot be wrong: by the clients, who hash every byte, and at the origin, which counts what
 * it was asked.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { MiB } from "../base/units.ts";
import { DemoCluster, type DemoReplica } from "./demo-cluster.ts";
import { DemoOrigin, demoContainer } from "./demo-origin.ts";
import { type ReadingResult, readByAll } from "./demo-readers.ts";
import { Progress, type ProgressOutput } from "./progress.ts";
import { type Cell, formatTable } from "./table.ts";

export interface DemoOptions {
  readonly clock: Clock;
  readonly env: NodeJS.ProcessEnv;
  readonly execPath: string;
  /** Orca's own entry: what `orca` runs. */
  readonly mainPath: string;
  readonly stdout: ProgressOutput;
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
}

interface Act {
  readonly object: DemoObject;
  readonly label: string;
  readonly replicas: readonly DemoReplica[];
  readonly clients: number;
  /** Called once, when a quarter of all bytes has been read. */
  readonly onQuarter?: () => void;
}

interface ActResult extends ReadingResult {
  readonly row: readonly Cell[];
  readonly isRight: boolean;
}

const headings = ["object", "chunks", "read by", "MB/s", "HEADs", "GETs at the origin", "SHA-256"];
const objectSizes = { "medium.bin": 64 * MiB, "large.bin": 256 * MiB } as const;
/** Of objects below 1 GiB. */
const chunkSizeBytes = 8 * MiB;

/** Resolves with the exit code, when asked to stop or when what was read is wrong. */
export async function demo(options: DemoOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "orca-demo-"));
  const { stdout } = options;
  // What Ctrl-C interrupts ends by itself, as soon as what it talks to is gone.
  const stopped = options.stopAsked.then(() => undefined);
  let origin: DemoOrigin | undefined;
  let cluster: DemoCluster | undefined;
  try {
    stdout.write(
      "Starting Azurite, a real Azure Blob origin, and three replicas with mutual TLS between them\n",
    );
    origin = await DemoOrigin.start({ ...options, folder });
    cluster = await DemoCluster.start({ ...options, folder, origin });
    const isRight = await Promise.race([show({ origin, cluster, options }), stopped]);
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
  const ids = replicas.map(({ id }) => id);
  const [others, lost] = [replicas.slice(0, -1), replicas[replicas.length - 1] as DemoReplica];
  const herd = { object: medium, replicas, clients: 30 };
  const cold = await perform(stage, {
    ...herd,
    label: `cold, by ${herd.clients} clients of ${ids.join(", ")}`,
  });
  const warm = await perform(stage, { ...herd, label: "warm, by the same" });
  let killed: Promise<void> | undefined;
  const bereft = await perform(stage, {
    object: large,
    label: `cold, by 4 clients of ${others.map(({ id }) => id).join(", ")}; ${lost.id} is killed`,
    replicas: others,
    clients: 4,
    onQuarter: () => {
      killed = cluster.killReplica(lost.id);
    },
  });
  await killed;
  const results = [cold, warm, bereft];
  stdout.write(
    `\n${formatTable(
      headings,
      results.map(({ row }) => row),
    )}\n`,
  );
  if (!results.every(({ isRight }) => isRight)) {
    stdout.write("\nSome clients did not get what was stored: this is a bug, please report it.\n");
    return false;
  }
  cluster.startReplica(lost.id);
  await cluster.ready();
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

async function perform({ origin, options }: Stage, act: Act): Promise<ActResult> {
  const { object, label, replicas, clients, onQuarter } = act;
  const { clock, stdout } = options;
  const totalBytes = clients * object.sizeBytes;
  const before = await origin.requests(object.key);
  const progress = new Progress({ label: `${object.key} ${label}`, totalBytes, output: stdout, clock });
  let quarterPassed = false;
  const urls = Array.from({ length: clients }, (_, index) => {
    const { endpoint } = replicas[index % replicas.length] as DemoReplica;
    return `${endpoint}/${demoContainer}/${object.key}`;
  });
  const result = await readByAll({
    urls,
    sha256: object.sha256,
    clock,
    onBytes: (bytes) => {
      progress.add(bytes);
      if (quarterPassed || progress.doneBytes < totalBytes / 4) return;
      quarterPassed = true;
      onQuarter?.();
    },
  });
  progress.finish();
  const after = await origin.requests(object.key);
  return {
    ...result,
    isRight: result.right === clients,
    row: [
      object.key,
      object.sizeBytes / chunkSizeBytes,
      label,
      (totalBytes / 1e6 / result.seconds).toFixed(0),
      after.heads - before.heads,
      after.gets - before.gets,
      result.right === clients ? `${clients} equal` : `${clients - result.right} of ${clients} WRONG`,
    ],
  };
}

function invitation(replicas: readonly DemoReplica[], folder: string): string {
  const [{ endpoint, ops }] = replicas as [DemoReplica];
  const aws = `aws --no-sign-request --region us-east-1 --endpoint-url ${endpoint}`;
  const addresses = formatTable(
    ["replica", "S3", "health and metrics", "mesh"],
    replicas.map((replica) => [replica.id, replica.endpoint, replica.ops, replica.mesh]),
  );
  return `
The replica that was killed is back, and Orca stays up. Configurations, certificates and logs are in
${folder}

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
