import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startAzurite } from "../support/azurite.ts";
import { startSignedS3Server } from "../support/s3-fixture.ts";
import { key, objectBytes, readThrough, readThroughS3 } from "./read-through.ts";

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
    );
  } finally {
    await azurite.stop();
  }
});

test("replica in front of a directory: reads cold, warm, ranged and listed", async () => {
  const root = join(mkdtempSync(join(tmpdir(), "orca-directory-")), "weights");
  mkdirSync(join(root, "dir a"), { recursive: true });
  writeFileSync(join(root, key), objectBytes());
  await readThrough("weights", { driver: "file", file: { root } }, {});
  rmSync(join(root, ".."), { recursive: true });
});
