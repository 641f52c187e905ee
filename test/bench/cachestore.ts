/**
 * Hits from an S3 cachestore, beside what the same chunks cost the bare wire client. Both read them from one Ceph RGW, turn
 * by turn in one run, from the same core and as many at a time; and each turn reads every chunk once, after Orca was told
 * to clear its memory, so that nothing comes from there. RGW has the other core, and where Orca is read it shares that
 * with the client: so Orca's figures are a little worse than they would be with a core for each.
 */
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { MiB } from "../../src/base/units.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import { type Rgw, rgwAvailable, startRgw } from "../support/rgw.ts";
import { type Contender, freePort, startNode } from "./contender.ts";
import { LoadConnection, load } from "./http-load.ts";
import { type SharedBucket, startOrca } from "./orca-config.ts";
import { eachMeasured, type Figures, medians, takeTurns } from "./workload.ts";

export const cachestoreBound = 0.6;

const chunkBytes = 8 * MiB;
const object = new ObjectVersion({
  originId: "bench",
  bucket: "bench",
  objectKey: `stored-${512 * MiB}`,
  etag: "bench",
  sizeBytes: 512 * MiB,
  chunkSizeBytes: chunkBytes,
});
const path = `/bench/${object.objectKey}`;
const readsAtOnce = 8;
const rounds = 7;
const quietWithinMs = 60_000;
const hitBytesSeries = "orca_cachestore_read_bytes_total";

/** `work` with a bucket of a gateway that is there for it alone; undefined where radosgw is not installed. */
export async function withBucket<Result>(
  work: (store: SharedBucket) => Promise<Result>,
): Promise<Result | undefined> {
  if (!rgwAvailable()) return undefined;
  const rgw = await startRgw();
  try {
    return await work(await makeBucket(rgw, "chunks"));
  } finally {
    await rgw.stop();
  }
}

/** Figures of "orca" and of the bare client; undefined where there is no RGW to read from. */
export function cachestoreHits(
  origin: Contender,
  folder: string,
  running: Contender[],
): Promise<Map<string, Figures | Error> | undefined> {
  return withBucket(async (cachestore) => {
    const opsPort = await freePort();
    const orca = await startOrca({
      originPort: origin.port,
      folder,
      memory: "256MiB",
      cachestore,
      opsPort,
    });
    running.push(orca);
    await store(orca.port, opsPort);
    const port = await freePort();
    const { endpoint, bucket } = cachestore;
    const args = ["test/bench/bare-s3-reader.ts", String(port), endpoint, bucket, String(readsAtOnce)];
    const bare = await startNode("bare wire client", port, args);
    running.push(bare);
    const measured = await takeTurns([orca, bare], rounds, async (contender, round) => {
      const read = (): Promise<Figures> =>
        contender === orca ? readThroughOrca(orca, opsPort) : timed(bare, () => readBare(port));
      // The first turn warms up what it measures.
      if (round === 0) await read();
      return read();
    });
    await orca.stop();
    return eachMeasured(measured, medians);
  });
}

async function makeBucket({ endpoint, accessKey, secretKey }: Rgw, bucket: string): Promise<SharedBucket> {
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  process.env["ORCA_CACHESTORE_S3_ACCESS_KEY"] = accessKey;
  process.env["ORCA_CACHESTORE_S3_SECRET_KEY"] = secretKey;
  return { endpoint, bucket };
}

/** Brings the object through Orca into the bucket. */
async function store(port: number, opsPort: number): Promise<void> {
  const whole = { path, range: "", bodyBytes: object.sizeBytes };
  await load({ port, connections: 1, durationMs: 0, next: () => whole });
  await quiet(opsPort);
  const stored = await metric(opsPort, 'orca_cachestore_commits_total{result="stored"}');
  if (stored !== object.chunkCount) throw new Error(`Orca stored ${stored} of ${object.chunkCount} chunks`);
}

/** All chunks, none of them from memory. */
async function readThroughOrca(orca: Contender, opsPort: number): Promise<Figures> {
  const headers = { "x-orca-action": "clear" };
  await fetch(`http://127.0.0.1:${opsPort}/cache/clear`, { method: "POST", headers });
  const before = await metric(opsPort, hitBytesSeries);
  const figures = await timed(orca, () => readRanges(orca.port));
  await quiet(opsPort);
  const hitBytes = (await metric(opsPort, hitBytesSeries)) - before;
  if (hitBytes !== object.sizeBytes) {
    throw new Error(`Orca had ${hitBytes} of ${object.sizeBytes} bytes from the cachestore`);
  }
  return figures;
}

/** Resolves when no chunk is on its way: the last bytes are sent before their flight has ended. */
async function quiet(opsPort: number): Promise<void> {
  const endMs = performance.now() + quietWithinMs;
  while ((await metric(opsPort, "orca_flights")) > 0) {
    if (performance.now() > endMs) throw new Error(`Orca was not quiet within ${quietWithinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A request for each chunk. */
async function readRanges(port: number): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    const connection = new LoadConnection(port);
    while (next < object.chunkCount) {
      const start = next * chunkBytes;
      next += 1;
      await connection.get({ path, range: `${start}-${start + chunkBytes - 1}`, bodyBytes: chunkBytes });
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: readsAtOnce }, lane));
}

async function readBare(port: number): Promise<void> {
  const keys = Array.from({ length: object.chunkCount }, (_, index) => object.chunkPath(index));
  const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: keys.join("\n") });
  const answer = await response.text();
  if (answer !== String(object.sizeBytes)) throw new Error(`the bare client answered ${answer}`);
}

async function timed(contender: Contender, read: () => Promise<void>): Promise<Figures> {
  const cpuBefore = contender.cpuSeconds();
  const startMs = performance.now();
  await read();
  const seconds = (performance.now() - startMs) / 1000;
  const gigabytes = object.sizeBytes / 1e9;
  return {
    gigabytesPerSecond: gigabytes / seconds,
    requestsPerSecond: object.chunkCount / seconds,
    cpuSecondsPerGigabyte: (contender.cpuSeconds() - cpuBefore) / gigabytes,
  };
}

async function metric(opsPort: number, series: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${opsPort}/metrics`);
  const line = (await response.text()).split("\n").find((each) => each.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? 0);
}
