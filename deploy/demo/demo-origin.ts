/**
 * The origin of the demo: Azurite, Microsoft's own emulator of Azure Blob Storage, as a child process that keeps its
 * data in memory. It writes a line for each request, and what the demo says the origin was asked is counted there. It is
 * a development dependency, so the demo runs from a checkout.
 */
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface, type Interface } from "node:readline";
import { BlobServiceClient, type ContainerClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { type Clock, sleep } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { DemoChild } from "./demo-child.ts";

export const demoContainer = "demo";
const account = "orcademo";

/** What an object was asked for. */
export interface OriginRequests {
  readonly heads: number;
  readonly gets: number;
}

export interface DemoOriginOptions {
  readonly execPath: string;
  readonly env: NodeJS.ProcessEnv;
  readonly folder: string;
  readonly clock: Clock;
}

/** Azurite writes its line when a response has ended, a moment after the last byte was read. */
const quietMs = 100;

export class DemoOrigin {
  readonly account = account;
  /** Base64. */
  readonly accountKey: string;
  readonly endpoint: string;
  readonly #clock: Clock;
  readonly #child: DemoChild;
  readonly #container: ContainerClient;
  readonly #stopping = new AbortController();
  /** How often it was asked, by method and path. */
  readonly #asked = new Map<string, number>();
  #lines = 0;

  /** @throws OrcaError origin_unavailable where Azurite is not installed or does not start. */
  static async start({ execPath, env, folder, clock }: DemoOriginOptions): Promise<DemoOrigin> {
    const accountKey = randomBytes(32).toString("base64");
    const flags = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"];
    const child = new DemoChild({
      execPath,
      args: [azuriteMain(), ...flags, "--blobHost", "127.0.0.1", "--blobPort", "0"],
      env: { ...env, AZURITE_ACCOUNTS: `${account}:${accountKey}` },
      folder,
      output: "pipe",
    });
    try {
      if (!child.stdout) throw new OrcaError("internal", "origin", "Cannot read what Azurite prints");
      const lines = createInterface({ input: child.stdout });
      const endpoint = `${await listeningAddress(lines)}/${account}`;
      const origin = new DemoOrigin({ accountKey, endpoint, child, lines, clock });
      await origin.#container.create();
      return origin;
    } catch (thrown) {
      // Nobody else knows of it yet, and in a group of its own it would outlive a failed start.
      await child.kill();
      throw thrown;
    }
  }

  private constructor(started: {
    readonly accountKey: string;
    readonly endpoint: string;
    readonly child: DemoChild;
    readonly lines: Interface;
    readonly clock: Clock;
  }) {
    const { accountKey, endpoint, child, lines, clock } = started;
    this.accountKey = accountKey;
    this.endpoint = endpoint;
    this.#clock = clock;
    this.#child = child;
    const service = new BlobServiceClient(endpoint, new StorageSharedKeyCredential(account, accountKey));
    this.#container = service.getContainerClient(demoContainer);
    lines.on("line", (line) => this.#count(line));
  }

  /** Stores a block blob; `onProgress` is told the bytes stored so far. */
  async upload(key: string, content: Buffer, onProgress: (loadedBytes: number) => void): Promise<void> {
    await this.#container.getBlockBlobClient(key).uploadData(content, {
      blockSize: 8 * 1024 * 1024,
      concurrency: 2,
      abortSignal: this.#stopping.signal,
      blobHTTPHeaders: { blobContentType: "application/octet-stream" },
      onProgress: ({ loadedBytes }) => onProgress(loadedBytes),
    });
  }

  /** How often an object was asked for, once no request has ended for a moment. Rejects after {@link stop}. */
  async requests(key: string): Promise<OriginRequests> {
    for (let seen = -1; seen !== this.#lines; ) {
      seen = this.#lines;
      await sleep(this.#clock, quietMs, this.#stopping.signal);
    }
    const path = `/${account}/${demoContainer}/${key}`;
    return { heads: this.#asked.get(`HEAD ${path}`) ?? 0, gets: this.#asked.get(`GET ${path}`) ?? 0 };
  }

  async stop(): Promise<void> {
    // The SDK would try an upload again and again, and Azurite would wait for connections to end.
    this.#stopping.abort();
    await this.#child.kill();
  }

  /** As Apache writes them: `127.0.0.1 - - [...] "GET /orcademo/demo/large.bin HTTP/1.1" 206 -`. */
  #count(line: string): void {
    this.#lines += 1;
    const [, asked] = /"((?:GET|HEAD) [^ ?]+) HTTP/.exec(line) ?? [];
    if (asked !== undefined) this.#asked.set(asked, (this.#asked.get(asked) ?? 0) + 1);
  }
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
function listeningAddress(lines: Interface): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const printed: string[] = [];
  const onLine = (line: string): void => {
    printed.push(line);
    const address = /successfully listens on (http:\S+)/.exec(line)?.[1];
    if (address === undefined) return;
    lines.off("line", onLine);
    resolve(address);
  };
  lines.on("line", onLine).once("close", () => {
    const message = `Cannot start the demo's origin: Azurite ended and printed "${printed.join(" ")}"`;
    reject(new OrcaError("origin_unavailable", "origin", message));
  });
  return promise;
}
