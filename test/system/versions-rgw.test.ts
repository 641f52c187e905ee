/** Versions of objects of a real store, through Orca, with the SDK for JavaScript and with boto3. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { MiB } from "../../src/base/units.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Replica } from "../../src/replica/replica.ts";
import { patternBytes } from "../support/pattern.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { type Rgw, startRgw } from "../support/rgw.ts";
import { programsOf } from "./clients/client.ts";
import { boto3, python } from "./clients/python-and-mount-clients.ts";
import { radosgw, suiteWith, testWith } from "./installed.ts";

const bucket = "versions";
const key = "dir a/é+b";
const sizes = [10 * MiB, 3000, 5];

/** The versions and delete markers of each page. */
async function pagesOf(client: S3Client, MaxKeys: number): Promise<string[][]> {
  const pages: string[][] = [];
  let place: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } | undefined = {};
  while (place) {
    const page: ListObjectVersionsCommandOutput = await client.send(
      new ListObjectVersionsCommand({ Bucket: bucket, MaxKeys, ...place }),
    );
    const entries = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
    pages.push(entries.map((each) => `${each.Key} ${each.VersionId} ${each.IsLatest}`));
    const { NextKeyMarker: KeyMarker, NextVersionIdMarker: VersionIdMarker } = page;
    place = page.IsTruncated ? { KeyMarker, VersionIdMarker } : undefined;
  }
  return pages;
}

suiteWith(radosgw, "versions on Ceph RGW", () => {
  const folder = mkdtempSync(join(tmpdir(), "orca-versions-"));
  let rgw: Rgw;
  let replica: Replica;
  let endpoint: string;
  let store: S3Client;
  let orca: S3Client;
  /** The oldest first. */
  const ids: string[] = [];
  let marker: string;

  const clientOf = (url: string): S3Client =>
    new S3Client({
      endpoint: url,
      region: "us-east-1",
      forcePathStyle: true,
      requestChecksumCalculation: "WHEN_REQUIRED",
      credentials: { accessKeyId: rgw.accessKey, secretAccessKey: rgw.secretKey },
      maxAttempts: 1,
    });

  before(async () => {
    rgw = await startRgw();
    store = clientOf(rgw.endpoint);
    await store.send(new CreateBucketCommand({ Bucket: bucket }));
    const VersioningConfiguration = { Status: "Enabled" } as const;
    await store.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
    for (const [seed, sizeBytes] of sizes.entries()) {
      const Body = patternBytes(seed, 0, sizeBytes);
      const { VersionId } = await store.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body }));
      ids.push(VersionId ?? "");
    }
    const deleted = await store.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    marker = deleted.VersionId ?? "";
    const config = loadConfig({
      env: { ORCA_AWSS3_ACCESS_KEY: rgw.accessKey, ORCA_AWSS3_SECRET_KEY: rgw.secretKey },
      overrides: {
        server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0" },
        origin: {
          id: "real",
          driver: "awss3",
          awss3: { bucket, endpoint: rgw.endpoint, use_path_style: true },
        },
        memory: { max_bytes: "256MiB" },
      },
    });
    const logger = new RecordedLogger();
    replica = await Replica.open({ config, clock: new SystemClock(), random: new SeededRandom(1), logger });
    endpoint = `http://127.0.0.1:${(await replica.start()).s3.port}`;
    orca = clientOf(endpoint);
  });
  after(async () => {
    store?.destroy();
    orca?.destroy();
    await replica?.stop();
    await rgw?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("the SDK reads each version by its id, whole and in ranges, while the object is deleted", async () => {
    for (const [seed, sizeBytes] of sizes.entries()) {
      const version = { Bucket: bucket, Key: key, VersionId: ids[seed] };
      const head = await orca.send(new HeadObjectCommand(version));
      assert.deepEqual([head.ContentLength, head.VersionId], [sizeBytes, ids[seed]]);
      const { Body, VersionId } = await orca.send(new GetObjectCommand(version));
      const bytes = await Body?.transformToByteArray();
      assert.ok(Buffer.from(bytes ?? []).equals(patternBytes(seed, 0, sizeBytes)));
      assert.equal(VersionId, ids[seed]);
      const ranged = await orca.send(new GetObjectCommand({ ...version, Range: "bytes=2-4" }));
      const range = await ranged.Body?.transformToByteArray();
      assert.ok(Buffer.from(range ?? []).equals(patternBytes(seed, 2, 3)));
    }
    const where = { Bucket: bucket, Key: key };
    await assert.rejects(orca.send(new GetObjectCommand(where)), { name: "NoSuchKey" });
    const unknown = orca.send(new GetObjectCommand({ ...where, VersionId: "unknown" }));
    await assert.rejects(unknown, { name: "NoSuchVersion" });
  });

  test("the SDK lists versions and delete markers as the store does, in pages of any size", async () => {
    for (const MaxKeys of [1, 2, 3, 1000]) {
      const [expected, found] = [await pagesOf(store, MaxKeys), await pagesOf(orca, MaxKeys)];
      assert.deepEqual(found, expected);
      assert.equal(found.flat().length, 4);
    }
  });

  testWith(boto3.required, "boto3 lists all versions, two a page, and reads each", async () => {
    const script = join(import.meta.dirname, "clients/boto3-versions.py");
    const anyKey = { accessKeyId: "any", secretAccessKey: "any" };
    const output = await programsOf(
      { endpoint, bucket, key: anyKey, folder },
      { ENDPOINT: endpoint, BUCKET: bucket },
    )(python, script);
    const lines = output.trim().split("\n").sort();
    const versions = sizes.map((sizeBytes, index) => `${key} ${ids[index]} Versions ${sizeBytes}`);
    // RGW says of the version of a delete marker only that there is none.
    assert.deepEqual(lines, [...versions, `${key} ${marker} DeleteMarkers NoSuchVersion`].sort());
  });
});
