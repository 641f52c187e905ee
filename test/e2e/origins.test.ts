import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startAzurite } from "../support/azurite.ts";
import { startSignedS3Server } from "../support/s3-fixture.ts";
import { everyBucket, key, objectBytes, readThrough, readThroughS3 } from "./read-through.ts";

/** Azure knows no ranges that count from the end. The last five bytes are a block of their own. */
const azureAtEnd = { head: 1, get: 2 };
/** The attributes of a file cost no round trip. */
const filesAtEnd = { head: 1, get: 2 };

test("replica in front of the in-repo S3 server: reads cold, warm, ranged and listed", async () => {
  const server = await startSignedS3Server();
  try {
    await readThroughS3(server);
  } finally {
    await server.stop();
  }
});

test("replica in front of Azurite: reads cold, warm, ranged and listed", async () => {
  const azurite = await startAzurite();
  try {
    const container = azurite.client.getContainerClient("weights");
    await container.create();
    await container.getBlockBlobClient(key).uploadData(objectBytes());
    const { account, endpoint } = azurite;
    await readThrough(
      "weights",
      { driver: "azureblob", azureblob: { account, container: "weights", endpoint } },
      { ORCA_AZUREBLOB_ACCOUNT_KEY: azurite.accountKey },
      azureAtEnd,
    );
  } finally {
    await azurite.stop();
  }
});

test('replica in front of Azurite with "*": every container is a bucket', async () => {
  const azurite = await startAzurite();
  try {
    const { account, endpoint, accountKey } = azurite;
    for (const name of ["weights", "other-weights"]) {
      const container = azurite.client.getContainerClient(name);
      await container.create();
      await container.getBlockBlobClient(key).uploadData(objectBytes());
    }
    const origin = { driver: "azureblob", azureblob: { account, endpoint }, buckets: { "*": {} } };
    const env = { ORCA_AZUREBLOB_ACCOUNT_KEY: accountKey };
    await readThrough("weights", origin, env, azureAtEnd);
    await everyBucket(origin, env, ["other-weights", "weights"], () =>
      azurite.client.getContainerClient("weights").delete(),
    );
  } finally {
    await azurite.stop();
  }
});

test('replica in front of a directory of directories with "*": every directory is a bucket', async () => {
  const root = mkdtempSync(join(tmpdir(), "orca-directories-"));
  for (const name of ["weights", "other-weights", ".hidden"]) {
    mkdirSync(join(root, name, "dir a"), { recursive: true });
    writeFileSync(join(root, name, key), objectBytes());
  }
  const origin = { driver: "file", file: { root }, buckets: { "*": {} } };
  await readThrough("weights", origin, {}, filesAtEnd);
  await everyBucket(origin, {}, ["other-weights", "weights"], async () =>
    rmSync(join(root, "weights"), { recursive: true }),
  );
  rmSync(root, { recursive: true });
});

test("replica in front of a directory: reads cold, warm, ranged and listed", async () => {
  const root = join(mkdtempSync(join(tmpdir(), "orca-directory-")), "weights");
  mkdirSync(join(root, "dir a"), { recursive: true });
  writeFileSync(join(root, key), objectBytes());
  await readThrough("weights", { driver: "file", file: { root } }, {}, filesAtEnd);
  rmSync(join(root, ".."), { recursive: true });
});
