/**
 * Clients, a probe and a peer that behave well while others attack. They check every byte and note how long each answer
 * took. A request that fails is a failure of the test, whatever the attack.
 */
import { once } from "node:events";
import { Agent, get, type IncomingMessage, type RequestOptions } from "node:http";
import { get as getOverTls, Agent as TlsAgent } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, createClient } from "@connectrpc/connect";
import { ObjectService } from "../../gen/orca/v1/object_pb.ts";
import { SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { KiB } from "../../src/base/units.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import type { Member } from "../../src/membership/member.ts";
import { LocalFillCalls } from "../../src/mesh/fill-chunk/fill-calls.ts";
import { FillClient } from "../../src/mesh/fill-chunk/fill-client.ts";
import { MeshTls } from "../../src/mesh/session/mesh-tls.ts";
import { Peers } from "../../src/mesh/session/peers.ts";
import { serverName } from "../support/cluster-certificates.ts";
import { MemorySink } from "../support/memory-sink.ts";
import { assertPattern, PatternChecker } from "../support/pattern.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { type FloodCluster, hotObject, type Victim } from "./flood-cluster.ts";

const coldSizeBytes = 64 * KiB;
const timeoutMs = 30_000;

export interface Latency {
  readonly answers: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

interface GoodClient {
  readonly name: string;
  readonly intervalMs: number;
  readonly ask: () => Promise<void>;
}

export class GoodClients {
  readonly #cluster: FloodCluster;
  readonly #clients: readonly GoodClient[];
  readonly #agents = [new Agent({ keepAlive: true }), new TlsAgent({ keepAlive: true })] as const;
  readonly #peers: Peers;
  readonly #tls: MeshTls;
  readonly #objects: Client<typeof ObjectService>;
  readonly #fills: FillClient;
  readonly #peer: Member;
  #loops: Promise<unknown> | undefined;
  #isStopped = false;
  #coldSeed = 1000;
  /** Objects whose metadata, and whose only chunk, the replica under attack coordinates. */
  #headKey = "";
  #chunkKey = "";
  #samples = new Map<string, number[]>();
  #failures: string[] = [];

  private constructor(cluster: FloodCluster, tls: MeshTls) {
    this.#cluster = cluster;
    this.#tls = tls;
    const clock = new SystemClock();
    const logger = new RecordedLogger();
    this.#peers = new Peers({ tls, clock, random: new SeededRandom(1), logger });
    const { overTls, plain } = cluster;
    const address = `127.0.0.1:${overTls.meshPort}`;
    this.#objects = createClient(ObjectService, this.#peers.at(address).transport);
    this.#fills = new FillClient({ calls: new LocalFillCalls({ peers: this.#peers, clock }) });
    this.#peer = { replicaId: "r0", address } as Member;
    this.#clients = [
      { name: "edge, cached", intervalMs: 10, ask: () => this.#get(plain, hotObject.key, hotObject) },
      {
        name: "edge over TLS, cached",
        intervalMs: 10,
        ask: () => this.#get(overTls, hotObject.key, hotObject),
      },
      { name: "edge, cold", intervalMs: 50, ask: () => this.#getCold(plain) },
      { name: "edge over TLS, cold", intervalMs: 50, ask: () => this.#getCold(overTls) },
      { name: "ops of r0", intervalMs: 40, ask: () => this.#probe(overTls) },
      { name: "ops of r1", intervalMs: 40, ask: () => this.#probe(plain) },
      { name: "mesh, metadata", intervalMs: 30, ask: () => this.#head(this.#headKey) },
      { name: "mesh, chunk", intervalMs: 60, ask: () => this.#fill(this.#chunkKey) },
    ];
  }

  static async start(cluster: FloodCluster): Promise<GoodClients> {
    const files = await cluster.certificateOf("guest");
    const tls = await MeshTls.load({
      ...files,
      serverName,
      clock: new SystemClock(),
      logger: new RecordedLogger(),
    });
    const clients = new GoodClients(cluster, tls);
    await clients.#findKeys();
    clients.#loops = Promise.all(clients.#clients.map((client) => clients.#loop(client)));
    return clients;
  }

  /** Begins to measure. */
  begin(): void {
    this.#samples = new Map();
    this.#failures = [];
  }

  /** Whether each replica serves an object by a connection of its own. */
  async areServed(
    key: string,
    object: { readonly seed: number; readonly sizeBytes: number },
  ): Promise<boolean> {
    const reads = this.#cluster.victims.map((victim) =>
      answers(this.#get(victim, key, object, [false, false])),
    );
    return (await Promise.all(reads)).every(Boolean);
  }

  /** What went wrong since {@link begin}. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  latencies(): Map<string, Latency> {
    const found = new Map<string, Latency>();
    for (const { name } of this.#clients) {
      const samples = (this.#samples.get(name) ?? []).toSorted((left, right) => left - right);
      const at = (share: number): number =>
        samples[Math.min(samples.length - 1, Math.floor(samples.length * share))] ?? Infinity;
      found.set(name, { answers: samples.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) });
    }
    return found;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#loops;
    for (const agent of this.#agents) agent.destroy();
    this.#peers.close();
    this.#tls.stop();
  }

  async #loop({ name, intervalMs, ask }: GoodClient): Promise<void> {
    while (!this.#isStopped) {
      const startMs = performance.now();
      try {
        await ask();
        const samples = this.#samples.get(name) ?? [];
        this.#samples.set(name, samples);
        samples.push(performance.now() - startMs);
      } catch (thrown) {
        this.#failures.push(`${name}: ${String(thrown)}`);
      }
      await sleep(intervalMs);
    }
  }

  async #get(
    victim: Victim,
    key: string,
    { seed, sizeBytes }: { seed: number; sizeBytes: number },
    [agent, tlsAgent]: readonly [Agent | false, TlsAgent | false] = this.#agents,
  ): Promise<void> {
    const path = `/${testBucket}/${key}`;
    const message =
      victim === this.#cluster.overTls
        ? await answer(getOverTls, {
            port: victim.edgePort,
            path,
            agent: tlsAgent,
            ca: this.#cluster.edgeCertificate,
          })
        : await answer(get, { port: victim.edgePort, path, agent });
    const checker = new PatternChecker(seed);
    for await (const piece of message as AsyncIterable<Buffer>) {
      if (message.statusCode !== 200)
        throw new Error(`${path}: ${message.statusCode} ${piece.toString().slice(0, 300)}`);
      checker.update(piece);
    }
    if (checker.offset !== sizeBytes) throw new Error(`${path}: ${checker.offset} of ${sizeBytes} bytes`);
  }

  async #getCold(victim: Victim): Promise<void> {
    this.#coldSeed += 1;
    const object = { seed: this.#coldSeed, sizeBytes: coldSizeBytes };
    this.#cluster.origin.put(testBucket, `cold-${object.seed}`, object);
    await this.#get(victim, `cold-${object.seed}`, object);
  }

  /** As the kubelet probes: a new connection each time. */
  async #probe({ opsPort }: Victim): Promise<void> {
    const message = await answer(get, { port: opsPort, path: "/healthz", agent: false });
    for await (const _ of message)
      if (message.statusCode !== 200) throw new Error(`/healthz: ${message.statusCode}`);
  }

  /** Rendezvous hashing gives each replica about half of the keys. */
  async #findKeys(): Promise<void> {
    for (let number = 0; this.#headKey === "" || this.#chunkKey === ""; number += 1) {
      const key = `peer-${number}`;
      this.#cluster.origin.put(testBucket, key, hotObject);
      if (this.#headKey === "" && (await answers(this.#head(key)))) this.#headKey = key;
      if (this.#chunkKey === "" && (await answers(this.#fill(key)))) this.#chunkKey = key;
      if (number === 100) throw new Error("the replica under attack coordinates nothing");
    }
  }

  async #head(objectKey: string): Promise<void> {
    const object = { originId: "test", bucket: testBucket, objectKey };
    await this.#objects.headObject({ object }, { timeoutMs });
  }

  async #fill(objectKey: string): Promise<void> {
    const { seed, sizeBytes } = hotObject;
    const etag = this.#cluster.origin.get(testBucket, objectKey)?.etag ?? "";
    const fields = {
      originId: "test",
      bucket: testBucket,
      objectKey,
      etag,
      sizeBytes,
      chunkSizeBytes: 1024 * KiB,
    };
    const sink = new MemorySink(sizeBytes);
    const request = {
      key: { version: new ObjectVersion(fields), index: 0 },
      offset: 0,
      lengthBytes: sizeBytes,
      cachedOnly: false,
      passedOver: [],
    };
    await this.#fills.read(this.#peer, request, sink, AbortSignal.timeout(timeoutMs));
    assertPattern(sink.received, seed, 0);
  }
}

async function answer(
  ask: typeof get,
  options: RequestOptions & { readonly ca?: string },
): Promise<IncomingMessage> {
  const request = ask({ host: "127.0.0.1", timeout: timeoutMs, ...options });
  request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
  const [message] = (await once(request, "response")) as [IncomingMessage];
  return message;
}

function answers(asked: Promise<void>): Promise<boolean> {
  return asked.then(
    () => true,
    () => false,
  );
}
