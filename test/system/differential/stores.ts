/** Ceph RGW with one object of each kind, and a replica in front of it that keeps nothing of metadata, lists and verdicts. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { SystemClock } from "../../../src/base/clock.ts";
import { SeededRandom } from "../../../src/base/random.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { Replica } from "../../../src/replica/replica.ts";
import { patternBytes } from "../../support/pattern.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { type Rgw, startRgw } from "../../support/rgw.ts";
import { putInParts } from "../../support/s3-multipart.ts";
import type { Server } from "./answer.ts";
import { buckets, objects, type Version, versionedKeys } from "./reads.ts";

export interface Stores {
  readonly rgw: Server;
  readonly orca: Server;
  /** The ETag of an object of the main bucket, in quotes; some other one where there is no object. */
  readonly etagOf: (key: string) => string;
  /** Of the bucket with versions. */
  readonly versionsOf: (key: string) => readonly Version[];
  stop(): Promise<void>;
}

const stranger = { accessKeyId: "stranger", secretAccessKey: "secret-of-stranger" };

export async function openStores(): Promise<Stores> {
  const folder = mkdtempSync(join(tmpdir(), "orca-differential-"));
  const rgw = await startRgw();
  let replica: Replica | undefined;
  const stop = async (): Promise<void> => {
    await replica?.stop();
    await rgw.stop();
    rmSync(folder, { recursive: true });
  };
  try {
    const { etags, versions } = await seed(rgw);
    const owner = { accessKeyId: rgw.accessKey, secretAccessKey: rgw.secretKey };
    const keysFile = join(folder, "keys.yaml");
    const entries = [owner, stranger].map(
      ({ accessKeyId, secretAccessKey }) =>
        `  - { access_key: ${accessKeyId}, secret: ${secretAccessKey} }\n`,
    );
    writeFileSync(keysFile, `keys:\n${entries.join("")}`);
    replica = await openReplica(rgw, keysFile);
    const { s3 } = await replica.start();
    const keys = { owner, stranger };
    return {
      rgw: { endpoint: rgw.endpoint, keys },
      orca: { endpoint: `http://127.0.0.1:${s3.port}`, keys },
      etagOf: (key) => etags.get(key) ?? '"ffffffffffffffffffffffffffffffff"',
      versionsOf: (key) => versions.get(key) ?? [],
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function openReplica({ endpoint, accessKey, secretKey }: Rgw, keysFile: string): Promise<Replica> {
  const config = loadConfig({
    env: { ORCA_AWSS3_ACCESS_KEY: accessKey, ORCA_AWSS3_SECRET_KEY: secretKey },
    overrides: {
      server: {
        listen: "127.0.0.1:0",
        ops_listen: "127.0.0.1:0",
        auth: { enabled: true, access_keys_file: keysFile, authorize: "origin", authorize_ttl: "1s" },
      },
      origin: {
        id: "differential",
        driver: "awss3",
        awss3: { bucket: buckets.main, endpoint, use_path_style: true },
        buckets: {
          [buckets.main]: {},
          [buckets.open]: { bucket: buckets.open },
          [buckets.versioned]: { bucket: buckets.versioned },
        },
      },
      metadata: { ttl: "none", negative_ttl: "none" },
      list_cache: { ttl: "0s" },
      memory: { max_bytes: "256MiB" },
    },
  });
  return Replica.open({
    config,
    clock: new SystemClock(),
    random: new SeededRandom(1),
    logger: new RecordedLogger(),
  });
}

interface Seeded {
  /** Of the main bucket's objects. */
  readonly etags: Map<string, string>;
  readonly versions: Map<string, Version[]>;
}

async function seed(rgw: Rgw): Promise<Seeded> {
  const { accessKeyId, secretAccessKey } = stranger;
  const user = ["--uid=stranger", "--display-name=stranger"];
  await rgw.admin(
    "user",
    "create",
    ...user,
    `--access-key=${accessKeyId}`,
    `--secret-key=${secretAccessKey}`,
  );
  const client = new S3Client({
    endpoint: rgw.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    requestChecksumCalculation: "WHEN_REQUIRED",
    credentials: { accessKeyId: rgw.accessKey, secretAccessKey: rgw.secretKey },
  });
  const put = async (bucket: string, key: string, sizeBytes: number, more: object = {}) => {
    const Body = patternBytes(key.length, 0, sizeBytes);
    return client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body, ...more }));
  };
  const { main, open, versioned } = buckets;
  for (const bucket of [main, versioned]) await client.send(new CreateBucketCommand({ Bucket: bucket }));
  await client.send(new CreateBucketCommand({ Bucket: open, ACL: "public-read" }));
  await put(main, objects.empty, 0);
  await put(main, objects.small, 3000, {
    ContentType: "text/plain; charset=utf-8",
    ContentLanguage: "en",
    ContentEncoding: "identity",
    ContentDisposition: 'inline; filename="small.txt"',
    CacheControl: "max-age=60",
    Expires: new Date("2100-01-01T00:00:00Z"),
    Metadata: { colour: "blue", "two-words": "a b" },
  });
  const body = patternBytes(5, 0, 5 * MiB + KiB);
  await putInParts(client, { bucket: main, key: objects.multipart, body, partSizeBytes: 5 * MiB });
  for (const key of objects.odd) await put(main, key, 100);
  for (const bucket of [main, open]) await put(bucket, objects.public, 100, { ACL: "public-read" });
  await put(versioned, "before", 5);
  await client.send(
    new PutBucketVersioningCommand({
      Bucket: versioned,
      VersioningConfiguration: { Status: "Enabled" },
    }),
  );
  const versions = new Map<string, Version[]>();
  for (const key of versionedKeys) {
    const made: Version[] = [];
    for (const sizeBytes of [10, 20]) {
      const { VersionId: id = "", ETag: etag } = await put(versioned, key, sizeBytes);
      made.push({ id, etag });
    }
    versions.set(key, made);
  }
  const deleted = await client.send(new DeleteObjectCommand({ Bucket: versioned, Key: "deleted" }));
  versions.get("deleted")?.push({ id: deleted.VersionId ?? "", etag: undefined });
  const etags = new Map<string, string>();
  for (const key of [objects.empty, objects.small, objects.multipart, ...objects.odd]) {
    const { ETag = "" } = await client.send(new HeadObjectCommand({ Bucket: main, Key: key }));
    etags.set(key, ETag);
  }
  client.destroy();
  return { etags, versions };
}
