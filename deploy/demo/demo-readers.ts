/**
 * The clients of the demo: many at once, each with a connection of its own, who read a whole object and check it. They
 * hash as they read, because all their copies together would not fit into memory; so the rates they see are a little
 * below what Orca gives.
 */
import { createHash } from "node:crypto";
import { get, type IncomingMessage } from "node:http";
import type { Clock } from "../../src/base/clock.ts";

export interface Reading {
  /** One client for each: the object's address at some replica. */
  readonly urls: readonly string[];
  /** Hex. */
  readonly sha256: string;
  readonly clock: Clock;
  /** Ends all of them. */
  readonly signal: AbortSignal;
  /** Is told of bytes as they come to any of the clients. */
  readonly onBytes: (bytes: number) => void;
}

export interface ReadingResult {
  /** Clients that had the whole object and no error. */
  readonly right: number;
  readonly seconds: number;
}

/** Resolves when each client has all or has failed; rejects where `signal` ended them. */
export async function readByAll(reading: Reading): Promise<ReadingResult> {
  const { urls, sha256, clock } = reading;
  const startedMs = clock.monotonic();
  const digests = await Promise.all(urls.map((url) => read(url, reading)));
  return {
    right: digests.filter((digest) => digest === sha256).length,
    seconds: (clock.monotonic() - startedMs) / 1000,
  };
}

/** SHA-256 of what came, in hex; undefined where it did not come whole. */
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
