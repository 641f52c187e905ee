/** `origin.buckets: {"*": {}}` on Ceph RGW with two users: what a client sees is what its own key sees there. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Replica } from "../../src/replica/replica.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { type Rgw, startRgw } from "../support/rgw.ts";
import { radosgw, suiteWith } from "./installed.ts";

const users = ["alice", "bob"] as const;
type User = (typeof users)[number];

function clientOf(endpoint: string, accessKeyId: string, secretAccessKey: string): S3Client {
  return new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    requestChecksumCalculation: "WHEN_REQUIRED",
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey },
  });
}

async function namesOf(client: S3Client): Promise<string> {
  const { Buckets = [] } = await client.send(new ListBucketsCommand({}));
  return Buckets.map(({ Name }) => Name).join(" ");
}

/** The status or the code of what a call ends with. */
async function outcome(call: Promise<object>): Promise<string> {
  try {
    await call;
    return "ok";
  } catch (thrown) {
    const { name, $metadata } = thrown as Error & { $metadata?: { httpStatusCode?: number } };
    return `${$metadata?.httpStatusCode} ${name}`;
  }
}

suiteWith(radosgw, "every bucket of Ceph RGW", () => {
  const folder = mkdtempSync(join(tmpdir(), "orca-every-bucket-"));
  const replicas: Replica[] = [];
  let rgw: Rgw;
  /** At RGW itself. */
  const direct = new Map<string, S3Client>();

  before(async () => {
    rgw = await startRgw();
    for (const user of users) {
      const keys = [`--access-key=${user}`, `--secret-key=secret-of-${user}`];
      await rgw.admin("user", "create", `--uid=${user}`, `--display-name=${user}`, ...keys);
      direct.set(user, clientOf(rgw.endpoint, user, `secret-of-${user}`));
    }
    // Orca reads what every user has.
    await rgw.admin("user", "modify", "--uid=orca", "--admin");
    for (const user of users) {
      const client = direct.get(user) as S3Client;
      await client.send(new CreateBucketCommand({ Bucket: `${user}-bucket` }));
      await client.send(new PutObjectCommand({ Bucket: `${user}-bucket`, Key: "a", Body: user }));
    }
  });

  after(async () => {
    for (const replica of replicas) await replica.stop();
    for (const client of direct.values()) client.destroy();
    await rgw?.stop();
    rmSync(folder, { recursive: true });
  });

  /** Clients of a replica, by user. */
  async function clientsWith(authorize: "keys" | "origin", rights: (user: User) => string) {
    const file = join(folder, `${authorize}.yaml`);
    const entries = users.map(
      (user) => `  - { access_key: ${user}, secret: secret-of-${user}${rights(user)} }\n`,
    );
    writeFileSync(file, `keys:\n${entries.join("")}`);
    const config = loadConfig({
      env: { ORCA_AWSS3_ACCESS_KEY: rgw.accessKey, ORCA_AWSS3_SECRET_KEY: rgw.secretKey },
      overrides: {
        server: {
          listen: "127.0.0.1:0",
          ops_listen: "127.0.0.1:0",
          auth: { enabled: true, access_keys_file: file, authorize, authorize_ttl: "1s" },
        },
        origin: {
          id: `star-${authorize}`,
          awss3: { endpoint: rgw.endpoint, use_path_style: true },
          buckets: { "*": {} },
        },
        metadata: { ttl: "none", negative_ttl: "none" },
        list_cache: { ttl: "0s" },
        memory: { max_bytes: "256MiB" },
      },
    });
    const clock = new SystemClock();
    const replica = await Replica.open({
      config,
      clock,
      random: new SeededRandom(1),
      logger: new RecordedLogger(),
    });
    replicas.push(replica);
    const { s3 } = await replica.start();
    const endpoint = `http://127.0.0.1:${s3.port}`;
    return (user: User, secret = `secret-of-${user}`) => clientOf(endpoint, user, secret);
  }

  test("authorize origin: each user is listed and reads the own buckets, as at RGW", async () => {
    const via = await clientsWith("origin", () => "");
    for (const user of users) {
      const [mine, there] = [via(user), direct.get(user) as S3Client];
      assert.equal(await namesOf(mine), `${user}-bucket`);
      assert.equal(await namesOf(mine), await namesOf(there));
      for (const owner of users) {
        const Bucket = `${owner}-bucket`;
        for (const command of [
          new GetObjectCommand({ Bucket, Key: "a" }),
          new GetObjectCommand({ Bucket, Key: "absent" }),
          new HeadBucketCommand({ Bucket }),
          new ListObjectsV2Command({ Bucket }),
        ]) {
          const what = `${user} ${command.constructor.name} ${Bucket}`;
          assert.equal(
            await outcome(mine.send(command as never)),
            await outcome(there.send(command as never)),
            what,
          );
        }
      }
      const Bucket = "no-such-bucket";
      assert.equal(await outcome(mine.send(new GetObjectCommand({ Bucket, Key: "a" }))), "404 NoSuchBucket");
      assert.equal(await outcome(mine.send(new ListObjectsV2Command({ Bucket }))), "404 NoSuchBucket");
      assert.equal(await outcome(mine.send(new HeadBucketCommand({ Bucket }))), "404 NotFound");
    }
    assert.equal(
      await outcome(via("alice", "wrong").send(new ListBucketsCommand({}))),
      "403 SignatureDoesNotMatch",
    );
  });

  test("authorize keys: Orca's own credentials are asked, and a key is listed what the file says", async () => {
    const via = await clientsWith(
      "keys",
      (user) => `, buckets: ["${user === "alice" ? "*" : "bob-bucket"}"]`,
    );
    // An admin of RGW is listed its own buckets only: reading needs no right to list.
    assert.equal(await namesOf(via("alice")), "");
    for (const owner of users) {
      const Bucket = `${owner}-bucket`;
      assert.equal(await outcome(via("alice").send(new GetObjectCommand({ Bucket, Key: "a" }))), "ok");
      assert.equal(await outcome(via("alice").send(new HeadBucketCommand({ Bucket }))), "ok");
    }
    const Bucket = "alice-bucket";
    assert.equal(
      await outcome(via("bob").send(new GetObjectCommand({ Bucket, Key: "a" }))),
      "403 AccessDenied",
    );
  });

  test("a bucket that is made is there, and one that is gone is NoSuchBucket", async () => {
    const via = await clientsWith("origin", () => "");
    const [mine, there] = [via("alice"), direct.get("alice") as S3Client];
    const object = { Bucket: "short-lived", Key: "a" };
    assert.equal(await outcome(mine.send(new GetObjectCommand(object))), "404 NoSuchBucket");
    await there.send(new CreateBucketCommand({ Bucket: object.Bucket }));
    await there.send(new PutObjectCommand({ ...object, Body: "x" }));
    assert.equal(await outcome(mine.send(new GetObjectCommand(object))), "ok");
    await there.send(new DeleteObjectCommand(object));
    await there.send(new DeleteBucketCommand({ Bucket: object.Bucket }));
    assert.equal(await outcome(mine.send(new GetObjectCommand(object))), "404 NoSuchBucket");
    assert.equal(
      await outcome(mine.send(new ListObjectsV2Command({ Bucket: object.Bucket }))),
      "404 NoSuchBucket",
    );
    assert.equal(await outcome(mine.send(new HeadBucketCommand({ Bucket: object.Bucket }))), "404 NotFound");
  });
});
