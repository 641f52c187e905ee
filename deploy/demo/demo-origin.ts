/**
 * The origin of the demo: Azurite, Microsoft's own emulator of Azure Blob Storage, as a child process that keeps its
 * data in memory. It prints a line for each request, and the demo counts the origin's requests by these lines. Azurite
 * is a development dependency, so the demo runs from a checkout.
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

/** The requests for one object. */
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

/** Azurite prints its line when a response has ended, a moment after the client has read the last byte. */
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
  /** The number of requests, by method and path. */
  readonly #counts = new Map<string, number>();
  #lines = 0;

  /** @throws OrcaError origin_unavailable if Azurite is not installed or does not start. */
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
      if (!child.stdout) throw new OrcaError("internal", "origin", "Cannot read the output of Azurite");
      const lines = createInterface({ input: child.stdout });
      const endpoint = `${await listeningAddress(lines)}/${account}`;
      const origin = new DemoOrigin({ accountKey, endpoint, child, lines, clock });
      await origin.#container.create();
      return origin;
    } catch (thrown) {
      // No other part knows the child yet. It is in a process group of its own, and would outlive a failed start.
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

  /** Stores a block blob. `onProgress` receives the number of bytes stored so far. */
  async upload(key: string, content: Buffer, onProgress: (loadedBytes: number) => void): Promise<void> {
    await this.#container.getBlockBlobClient(key).uploadData(content, {
      blockSize: 8 * 1024 * 1024,
      concurrency: 2,
      abortSignal: this.#stopping.signal,
      blobHTTPHeaders: { blobContentType: "application/octet-stream" },
      onProgress: ({ loadedBytes }) => onProgress(loadedBytes),
    });
  }

  /** Counts the requests for an object, once no request has ended for a moment. Rejects after {@link stop}. */
  async requests(key: string): Promise<OriginRequests> {
    for (let seen = -1; seen !== this.#lines; ) {
      seen = this.#lines;
      await sleep(this.#clock, quietMs, this.#stopping.signal);
    }
    const path = `/${account}/${demoContainer}/${key}`;
    return { heads: this.#counts.get(`HEAD ${path}`) ?? 0, gets: this.#counts.get(`GET ${path}`) ?? 0 };
  }

  async stop(): Promise<void> {
    // Otherwise the SDK would retry an upload, and Azurite would wait until its connections end.
    this.#stopping.abort();
    await this.#child.kill();
  }

  /** A line in Apache's format: `127.0.0.1 - - [...] "GET /orcademo/demo/large.bin HTTP/1.1" 206 -`. */
  #count(line: string): void {
    this.#lines += 1;
    const [, request] = /"((?:GET|HEAD) [^ ?]+) HTTP/.exec(line) ?? [];
    if (request !== undefined) this.#counts.set(request, (this.#counts.get(request) ?? 0) + 1);
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

/** The address that Azurite prints. The kernel chose its port. */
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
