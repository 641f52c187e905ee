/**
 * The clients of the demo: many at once, each with a connection of its own. Each reads a whole object and checks it.
 * They hash while they read, because all copies together would not fit into memory. So the rates that they measure are
 * a little lower than Orca's.
 */
import { createHash } from "node:crypto";
import { get, type IncomingMessage } from "node:http";
import type { Clock } from "../../src/base/clock.ts";

export interface Reading {
  /** The object's URL at a replica, one for each client. */
  readonly urls: readonly string[];
  /** The SHA-256 of the object, in hex. */
  readonly sha256: string;
  readonly clock: Clock;
  /** Ends all of them. */
  readonly signal: AbortSignal;
  /** Called with the number of bytes, when bytes arrive at any client. */
  readonly onBytes: (bytes: number) => void;
}

export interface ReadingResult {
  /** Clients that read the whole object without an error. */
  readonly correct: number;
  readonly seconds: number;
}

/** Resolves when each client has read all or has failed. Rejects if `signal` aborts. */
export async function readByAll(reading: Reading): Promise<ReadingResult> {
  const { urls, sha256, clock } = reading;
  const startedMs = clock.monotonic();
  const digests = await Promise.all(urls.map((url) => read(url, reading)));
  return {
    correct: digests.filter((digest) => digest === sha256).length,
    seconds: (clock.monotonic() - startedMs) / 1000,
  };
}

/** The SHA-256 of the received bytes, in hex. Undefined if they are not complete. */
async function read(url: string, { signal, onBytes }: Reading): Promise<string | undefined> {
  try {
    const response = await request(url, signal);
    const hash = createHash("sha256");
    for await (const slice of response as AsyncIterable<Buffer>) {
      hash.update(slice);
      onBytes(slice.length);
    }
    return response.statusCode === 200 ? hash.digest("hex") : undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function request(url: string, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  get(url, { agent: false, signal }, resolve).once("error", reject);
  return promise;
}
