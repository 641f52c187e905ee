/**
 * A real Azure Blob service for tests: Azurite, as a child process that keeps its data in memory. It takes a port of
 * the kernel's choice and prints it, so any number of them run side by side. Telemetry is off: tests talk to nobody.
 */
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { TestProcess } from "./process.ts";

export interface Azurite {
  /** `http://127.0.0.1:<port>/<account>`. */
  readonly endpoint: string;
  readonly account: string;
  /** Base64. */
  readonly accountKey: string;
  /** The vendor's own client, for seeding. */
  readonly client: BlobServiceClient;
  stop(): Promise<void>;
}

export async function startAzurite(): Promise<Azurite> {
  const account = "orcatest";
  const accountKey = randomBytes(32).toString("base64");
  const main = createRequire(import.meta.url).resolve("azurite/dist/src/blob/main.js");
  const flags = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"];
  const server = new TestProcess(
    "azurite",
    process.execPath,
    [main, ...flags, "--blobHost", "127.0.0.1", "--blobPort", "0"],
    { cwd: tmpdir(), env: { ...process.env, AZURITE_ACCOUNTS: `${account}:${accountKey}` } },
  );
  const [, address] = await server.line(/successfully listens on (http:\S+)/);
  const endpoint = `${address}/${account}`;
  const client = new BlobServiceClient(endpoint, new StorageSharedKeyCredential(account, accountKey));
  return { endpoint, account, accountKey, client, stop: () => server.stop() };
}
