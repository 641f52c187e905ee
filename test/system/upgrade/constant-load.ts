/**
 * Clients that read without a pause while replicas restart: each reads object after object, compares every byte, and tries
 * nothing twice. Half of them keep their connection as long as they may, the others open one for each request. Each 20th
 * request is for an object that nobody has read before, so that the hit ratio has something to lose.
 */
import assert from "node:assert/strict";
import { Agent, get, type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { KiB, MiB } from "../../../src/base/units.ts";
import { bytesOf } from "../../support/http-get.ts";
import { assertPattern } from "../../support/pattern.ts";
import { testBucket } from "../../support/replica-fixture.ts";
import type { S3Server } from "../../support/s3-server.ts";

export const objects = 100;
export const freshMax = 1000;
const clients = 8;
const pauseMs = 40;
const freshEvery = 20;
const rangeEvery = 7;
const largeEvery = 20;
const largeBytes = 2.5 * MiB;
const smallBytes = 64 * KiB;
/** A step through all objects that ends where it began. */
const stride = 37;
/** Responses that make one reading of the hit ratio: of each object one, or a fresh one in its place. */
const windowResponses = objects;
const errorsMax = 20;

/** What a while of the load was. */
export interface LoadFigures {
  readonly responses: number;
  /** Of bodies to clients, and of those, bytes that the origin sent meanwhile. */
  readonly bytes: number;
  readonly originBytes: number;
  /** Responses whose first byte the asked replica had, by its `Cache-Status`. */
  readonly localHits: number;
}

const none: LoadFigures = { responses: 0, bytes: 0, originBytes: 0, localHits: 0 };

/** The share of bytes that did not come from the origin. */
export function byteHitRatio({ bytes, originBytes }: LoadFigures): number {
  return 1 - originBytes / bytes;
}

/** The share of responses that the asked replica had in memory, on its disk or in the cachestore. */
export function localHitRatio({ responses, localHits }: LoadFigures): number {
  return localHits / responses;
}

export function sizeOf(seed: number): number {
  return seed % largeEvery === 0 && seed < objects ? largeBytes : smallBytes;
}

/** Of 1 MiB. */
export function chunksOf(seed: number): number {
  return Math.ceil(sizeOf(seed) / MiB);
}

export const warmChunks = Array.from({ length: objects }, (_, seed) => chunksOf(seed)).reduce(
  (sum, chunks) => sum + chunks,
);

/** Those that are read again and again, and as many fresh ones as a test can need. */
export function putObjects(origin: S3Server): void {
  for (let seed = 0; seed < objects + freshMax; seed += 1) {
    origin.put(testBucket, `k${seed}`, { seed, sizeBytes: sizeOf(seed) });
  }
}

export class ConstantLoad {
  /** What clients saw go wrong; the first of them. */
  readonly errors: string[] = [];
  fresh = 0;
  /** Since the start, by windows of 100 responses; the last one is not full. */
  readonly windows: LoadFigures[] = [];
  readonly #endpoint: string;
  readonly #origin: S3Server;
  readonly #stopping = new AbortController();
  #clients: Promise<unknown> | undefined;
  #asked = 0;
  #window: { -readonly [Name in keyof LoadFigures]: number } = { ...none };
  #originBytesBefore = 0;

  /** @param endpoint of a balancer. */
  constructor(endpoint: string, origin: S3Server) {
    this.#endpoint = endpoint;
    this.#origin = origin;
  }

  /** Reads each object once, the fresh ones left out. */
  async warm(): Promise<void> {
    let next = 0;
    await this.#withClients(async (agent) => {
      for (let seed = next++; seed < objects; seed = next++) await this.#read(agent, seed, false);
    });
  }

  /** All counts begin here. */
  start(): void {
    this.#originBytesBefore = this.#origin.bytesSent();
    this.windows.length = 0;
    this.#window = { ...none };
    this.#clients = this.#withClients(async (agent) => {
      while (!this.#stopping.signal.aborted) {
        const number = this.#asked++;
        const isFresh = number % freshEvery === 0;
        const seed = isFresh ? objects + this.fresh++ : (number * stride) % objects;
        assert.ok(this.fresh < freshMax, "there are fresh objects left");
        await this.#read(agent, seed, !isFresh && number % rangeEvery === 0).catch((thrown: Error) => {
          if (this.errors.length < errorsMax) this.errors.push(`k${seed}: ${thrown.message}`);
        });
        await sleep(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
      }
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#clients;
  }

  /** What windows from one number on were. */
  since(window: number): LoadFigures {
    return this.windows.slice(window).reduce(
      (sum, each) => ({
        responses: sum.responses + each.responses,
        bytes: sum.bytes + each.bytes,
        originBytes: sum.originBytes + each.originBytes,
        localHits: sum.localHits + each.localHits,
      }),
      none,
    );
  }

  async #withClients(run: (agent: Agent) => Promise<void>): Promise<void> {
    const agents = Array.from(
      { length: clients },
      (_, index) => new Agent({ keepAlive: index % 2 === 0, maxSockets: 1 }),
    );
    try {
      await Promise.all(agents.map(run));
    } finally {
      for (const agent of agents) agent.destroy();
    }
  }

  async #read(agent: Agent, seed: number, isRange: boolean): Promise<void> {
    const sizeBytes = sizeOf(seed);
    const [start, end] = isRange ? [sizeBytes / 4, sizeBytes / 2] : [0, sizeBytes];
    const headers = isRange ? { range: `bytes=${start}-${end - 1}` } : {};
    const response = await this.#get(agent, `k${seed}`, headers);
    const body = await bytesOf(response);
    assert.equal(response.statusCode, isRange ? 206 : 200, body.toString("utf8", 0, 300));
    assert.equal(body.length, end - start);
    assertPattern(body, seed, start);
    this.#count(body.length, response.headers["cache-status"] ?? "");
  }

  #get(agent: Agent, key: string, headers: Record<string, string>): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    get(`${this.#endpoint}/${testBucket}/${key}`, { agent, headers }, resolve).on("error", reject);
    return promise;
  }

  #count(lengthBytes: number, cacheStatus: unknown): void {
    const window = this.#window;
    window.responses += 1;
    window.bytes += lengthBytes;
    if (/hit; detail=(memory|disk|cachestore)$/.test(String(cacheStatus))) window.localHits += 1;
    if (window.responses < windowResponses) return;
    const originBytes = this.#origin.bytesSent();
    window.originBytes = originBytes - this.#originBytesBefore;
    this.#originBytesBefore = originBytes;
    this.windows.push(window);
    this.#window = { ...none };
  }
}
