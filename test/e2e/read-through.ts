/** Reads one object of a real store through a whole replica, cold and warm, ranged and listed. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import { Replica } from "../../src/replica/replica.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { threadsOfTests } from "../support/replica-fixture.ts";
import type { S3Endpoint } from "../support/s3-fixture.ts";

/** The object, which the store's owner puts there. */
export const key = "dir a/weights+1.bin";
const sizeBytes = 20 * MiB + 5;
const server = { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0", threads: threadsOfTests };

export function objectBytes(): Buffer {
  return patternBytes(9, 0, sizeBytes);
}

/** What a replica with `"*"` answers about buckets: `names` at first, and after `remove` one less, which is `weights`. */
export async function everyBucket(
  origin: SettingsTree,
  env: Record<string, string>,
  names: readonly string[],
  remove: () => Promise<unknown>,
): Promise<void> {
  const config = loadConfig({
    env,
    overrides: {
      server,
      origin: { id: "real", ...origin },
      metadata: { ttl: "none", negative_ttl: "none" },
      list_cache: { ttl: "0s" },
    },
  });
  const clock = new SystemClock();
  const replica = await Replica.open({
    config,
    clock,
    random: new SeededRandom(1),
    logger: new RecordedLogger(),
  });
  try {
    const { s3 } = await replica.start();
    const base = `http://127.0.0.1:${s3.port}`;
    const answerTo = async (target: string, method = "GET"): Promise<string> => {
      const response = await fetch(base + target, { method });
      return `${response.status} ${/<Code>(\w+)/.exec(await response.text())?.[1] ?? ""}`.trim();
    };
    const listed = async (): Promise<string[]> => {
      const xml = await (await fetch(`${base}/`)).text();
      return [...xml.matchAll(/<Bucket><Name>([^<]*)/g)].map(([, name = ""]) => name);
    };
    assert.deepEqual(await listed(), names);
    const reads = ["/weights/absent", "/weights?list-type=2", "/weights?location"];
    assert.deepEqual(await Promise.all(reads.map((target) => answerTo(target))), [
      "404 NoSuchKey",
      "200",
      "200",
    ]);
    assert.equal(await answerTo("/weights", "HEAD"), "200");
    await remove();
    assert.deepEqual(
      await listed(),
      names.filter((name) => name !== "weights"),
    );
    for (const target of [...reads, "/unknown/a", "/No_Name/a", "/a.b/a"])
      assert.equal(await answerTo(target), "404 NoSuchBucket", target);
    for (const target of ["/weights", "/weights/absent"]) assert.equal(await answerTo(target, "HEAD"), "404");
  } finally {
    await replica.stop();
  }
}

/** Reads the end of the object, of which nothing is known, and more of it after that. @returns what the origin was asked. */
async function readEnd(replica: Replica, bucket: string): Promise<{ head: number; get: number }> {
  const { s3, ops } = await replica.start();
  await replica.scanned;
  for (const lastBytes of [5, 64 * KiB]) {
    const range = await fetch(`http://127.0.0.1:${s3.port}/${bucket}/dir%20a/weights%2B1.bin`, {
      headers: { range: `bytes=-${lastBytes}` },
    });
    const bytes = Buffer.from(await range.arrayBuffer());
    assert.deepEqual([range.status, bytes.length], [206, lastBytes]);
    assertPattern(bytes, 9, sizeBytes - lastBytes);
  }
  const metrics = await (await fetch(`http://127.0.0.1:${ops.port}/metrics`)).text();
  const requests = (operation: string): number =>
    Number(
      new RegExp(`^orca_origin_requests_total\\{origin="real",operation="${operation}"\\} (\\d+)`, "m").exec(
        metrics,
      )?.[1],
    );
  return { head: requests("head"), get: requests("get") };
}

/** `atEnd`: what the origin is asked for the end of an unknown object. */
export async function readThrough(
  bucket: string,
  origin: SettingsTree,
  env: Record<string, string>,
  atEnd: { head: number; get: number },
): Promise<void> {
  const open = { clock: new SystemClock(), random: new SeededRandom(1), logger: new RecordedLogger() };
  const config = loadConfig({ env, overrides: { server, origin: { id: "real", ...origin } } });
  const replica = await Replica.open({ config, ...open });
  try {
    assert.deepEqual(await readEnd(replica, bucket), atEnd);
  } finally {
    await replica.stop();
  }
  await readAll(bucket, origin, env);
}

async function readAll(bucket: string, origin: SettingsTree, env: Record<string, string>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "orca-origins-"));
  const config = loadConfig({
    env,
    overrides: {
      server,
      origin: { id: "real", ...origin },
      disk: { root: folder },
    },
  });
  const replica = await Replica.open({
    config,
    clock: new SystemClock(),
    random: new SeededRandom(1),
    logger: new RecordedLogger(),
  });
  try {
    const { s3 } = await replica.start();
    const base = `http://127.0.0.1:${s3.port}/${bucket}`;
    for (const status of ["orca; fwd=miss; detail=origin", "orca; hit; detail=memory"]) {
      const response = await fetch(`${base}/dir%20a/weights%2B1.bin`);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("cache-status"), status);
      const bytes = Buffer.from(await response.arrayBuffer());
      assert.equal(bytes.length, sizeBytes);
      assertPattern(bytes, 9, 0);
    }
    const range = await fetch(`${base}/dir%20a/weights%2B1.bin`, { headers: { range: "bytes=-5" } });
    assertPattern(Buffer.from(await range.arrayBuffer()), 9, sizeBytes - 5);
    const part = await fetch(`${base}/dir%20a/weights%2B1.bin?partNumber=1`);
    assert.deepEqual(
      [part.status, part.headers.get("content-range"), part.headers.get("x-amz-mp-parts-count")],
      [206, `bytes 0-${sizeBytes - 1}/${sizeBytes}`, null],
    );
    assertPattern(Buffer.from(await part.arrayBuffer()), 9, 0);
    const next = await fetch(`${base}/dir%20a/weights%2B1.bin?partNumber=2`);
    assert.equal(next.status, 416);
    assert.match(await next.text(), /<ActualPartCount>1<\/ActualPartCount>/);
    assert.equal((await fetch(`${base}/nothing`)).status, 404);
    const list = await (await fetch(`${base}?list-type=2&prefix=dir%20`)).text();
    assert.match(list, /<Key>dir a\/weights\+1\.bin<\/Key>/);
  } finally {
    await replica.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Puts the object into a bucket of an S3 store, and reads it through a replica. */
export async function readThroughS3({ endpoint, accessKey, secretKey }: S3Endpoint): Promise<void> {
  const bucket = "weights";
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    requestChecksumCalculation: "WHEN_REQUIRED",
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: objectBytes() }));
    await readThrough(
      bucket,
      { driver: "awss3", awss3: { bucket, endpoint, use_path_style: true } },
      { ORCA_AWSS3_ACCESS_KEY: accessKey, ORCA_AWSS3_SECRET_KEY: secretKey },
      { head: 0, get: 1 },
    );
  } finally {
    client.destroy();
  }
}
