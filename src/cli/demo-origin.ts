/**
 * The origin of the demo: Azurite, Microsoft's own emulator of Azure Blob Storage, as a child process that keeps its
 * data in memory, and the four objects the demo reads. It is a development dependency, so the demo runs from a checkout.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { BlobServiceClient, type ContainerClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { OrcaError } from "../base/orca-error.ts";

export const demoContainer = "demo";
const account = "orcademo";

export interface DemoOrigin {
  readonly account: string;
  /** Base64. */
  readonly accountKey: string;
  readonly endpoint: string;
  /** Stores a block blob; `onProgress` is told the bytes stored so far. */
  upload(name: string, content: Buffer, onProgress: (loadedBytes: number) => void): Promise<void>;
  stop(): Promise<void>;
}

/** @throws OrcaError origin_unavailable where Azurite is not installed or does not start. */
export async function startDemoOrigin(execPath: string, env: NodeJS.ProcessEnv): Promise<DemoOrigin> {
  const accountKey = randomBytes(32).toString("base64");
  const flags = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"];
  const child = spawn(execPath, [azuriteMain(), ...flags, "--blobHost", "127.0.0.1", "--blobPort", "0"], {
    cwd: tmpdir(),
    env: { ...env, AZURITE_ACCOUNTS: `${account}:${accountKey}` },
    stdio: ["ignore", "pipe", "pipe"],
    // Ctrl-C goes to the whole foreground group; the origin must outlive the replica's drain.
    detached: true,
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stopping = new AbortController();
  const stop = async (): Promise<void> => {
    // The SDK would try an upload again and again. Azurite has nothing to save, and would wait for connections to end.
    stopping.abort();
    child.kill("SIGKILL");
    await ended;
  };
  let endpoint: string;
  let container: ContainerClient;
  try {
    endpoint = `${await listeningAddress(child)}/${account}`;
    const service = new BlobServiceClient(endpoint, new StorageSharedKeyCredential(account, accountKey));
    container = service.getContainerClient(demoContainer);
    await container.create();
  } catch (thrown) {
    // Nobody else knows of it yet, and in a group of its own it would outlive us.
    await stop();
    throw thrown;
  }
  return {
    account,
    accountKey,
    endpoint,
    upload: async (name, content, onProgress) => {
      await container.getBlockBlobClient(name).uploadData(content, {
        blockSize: 8 * 1024 * 1024,
        concurrency: 2,
        abortSignal: stopping.signal,
        blobHTTPHeaders: { blobContentType: "application/octet-stream" },
        onProgress: ({ loadedBytes }) => onProgress(loadedBytes),
      });
    },
    stop,
  };
}

function azuriteMain(): string {
  try {
    return createRequire(import.meta.url).resolve("azurite/dist/src/blob/main.js");
  } catch (cause) {
    const message =
      "Cannot start the demo's origin: Azurite is not installed. Run `npm ci` in a checkout of Orca first";
    throw new OrcaError("origin_unavailable", "origin", message, { cause });
  }
}

/** Azurite takes a port of the kernel's choice and says which. */
async function listeningAddress(child: ChildProcess): Promise<string> {
  const printed: string[] = [];
  if (!child.stdout) throw new OrcaError("internal", "origin", "Cannot read what Azurite prints");
  for await (const line of createInterface({ input: child.stdout })) {
    const address = /successfully listens on (http:\S+)/.exec(line)?.[1];
    if (address) {
      // From here on what it prints is read and thrown away, or the pipe would fill and stop it.
      child.stdout.resume();
      child.stderr?.resume();
      return address;
    }
    printed.push(line);
  }
  throw new OrcaError(
    "origin_unavailable",
    "origin",
    `Cannot start the demo's origin: Azurite ended and printed "${printed.join(" ")}"`,
  );
}
