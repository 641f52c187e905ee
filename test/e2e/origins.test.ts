import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { MiB } from "../../src/base/units.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import { Replica } from "../../src/replica/replica.ts";
import { startAzurite } from "../support/azurite.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { rgwAvailable, startRgw } from "../support/rgw.ts";
import { S3Server } from "../support/s3-server.ts";

const sizeBytes = 20 * MiB + 5;

/** Reads one object through a whole replica, cold and warm, ranged and listed. */
async function readThrough(bucket: string, origin: SettingsTree, env: Record<string, string>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "orca-origins-"));
  const config = loadConfig({
    env,
    overrides: {
      server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0" },
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
    assert.equal((await fetch(`${base}/nothing`)).status, 404);
    const list = await (await fetch(`${base}?list-type=2&prefix=dir%20`)).text();
    assert.match(list, /<Key>dir a\/weights\+1\.bin<\/Key>/);
  } finally {
    await replica.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const key = "dir a/weights+1.bin";

test(`replica in front of ${rgwAvailable() ? "Ceph RGW" : "the in-repo S3 server"}: reads cold, warm, ranged and listed`, async () => {
  const credentials = { accessKey: "orcatest", secretKey: "orcatestsecret" };
  const server = rgwAvailable() ? undefined : await S3Server.start();
  const store = server
    ? { endpoint: server.endpoint, ...credentials, stop: () => server.stop() }
    : await startRgw();
  const client = new S3Client({
    endpoint: store.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    requestChecksumCalculation: "WHEN_REQUIRED",
    credentials: { accessKeyId: store.accessKey, secretAccessKey: store.secretKey },
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: "weights" }));
    await client.send(
      new PutObjectCommand({ Bucket: "weights", Key: key, Body: patternBytes(9, 0, sizeBytes) }),
    );
    await readThrough(
      "weights",
      { driver: "awss3", awss3: { bucket: "weights", endpoint: store.endpoint, use_path_style: true } },
      { ORCA_AWSS3_ACCESS_KEY: store.accessKey, ORCA_AWSS3_SECRET_KEY: store.secretKey },
    );
  } finally {
    client.destroy();
    await store.stop();
  }
});

test("replica in front of Azurite: reads cold, warm, ranged and listed", async () => {
  const azurite = await startAzurite();
  try {
    const container = azurite.client.getContainerClient("weights");
    await container.create();
    await container.getBlockBlobClient(key).uploadData(patternBytes(9, 0, sizeBytes));
    const { account, endpoint } = azurite;
    await readThrough(
      "weights",
      { driver: "azureblob", azureblob: { account, container: "weights", endpoint } },
      { ORCA_AZUREBLOB_ACCOUNT_KEY: azurite.accountKey },
    );
  } finally {
    await azurite.stop();
  }
});

test("replica in front of a directory: reads cold, warm, ranged and listed", async () => {
  const root = join(mkdtempSync(join(tmpdir(), "orca-directory-")), "weights");
  mkdirSync(join(root, "dir a"), { recursive: true });
  writeFileSync(join(root, key), patternBytes(9, 0, sizeBytes));
  await readThrough("weights", { driver: "file", file: { root } }, {});
  rmSync(join(root, ".."), { recursive: true });
});
