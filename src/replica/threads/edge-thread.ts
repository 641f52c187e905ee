/**
 * A thread of the edge: a listener of its own on the replica's port, with its own TLS, authentication and S3 code. It serves
 * hits in memory by itself and asks the engine, which is the main thread, for everything else.
 */
import type { SecureContextOptions } from "node:tls";
import { parentPort, threadId, workerData } from "node:worker_threads";
import { assert } from "../../base/assert.ts";
import { SystemClock } from "../../base/clock.ts";
import { SystemRandom } from "../../base/random.ts";
import type { TlsSource } from "../../base/tls-files.ts";
import type { Config } from "../../config/config.ts";
import { EdgeStats } from "../../edge/edge-stats.ts";
import type { S3Listener } from "../../edge/s3-listener.ts";
import { AskedBuckets, AskedConfigured, AskedOrigin, AskedWarming } from "../../edge/threads/asked-origin.ts";
import { EngineLink } from "../../edge/threads/engine-link.ts";
import { LeasedLookups } from "../../edge/threads/leased-lookups.ts";
import { ProcessLimits } from "../../edge/threads/process-limits.ts";
import { SampledSteps } from "../../edge/threads/sampled-steps.ts";
import { sentError } from "../../edge/threads/sent-error.ts";
import { ThreadBodies } from "../../edge/threads/thread-bodies.ts";
import { windowMs } from "../../figures/hot-objects.ts";
import type { ChunkReceiver } from "../../mesh/threads/chunk-receiver.ts";
import { Bucket } from "../../object/bucket.ts";
import { Buckets, type OtherLookups } from "../../object/buckets.ts";
import { Revocations } from "../../object/freshness/revocations.ts";
import { EventLoopLag } from "../../ops/event-loop-lag.ts";
import { SharedBlocks } from "../../store/shared-index/shared-blocks.ts";
import { Trace } from "../../trace/trace.ts";
import type { AccessMaterial, AccessSource } from "../access/access-files.ts";
import { ReplicaAccess } from "../access/replica-access.ts";
import type { BucketPlace } from "../replica-buckets.ts";
import type { BytesPort } from "./bytes-port.ts";
import { CountedThread } from "./counted-thread.ts";
import { PushedValue } from "./pushed-value.ts";
import { s3ListenerOf } from "./s3-listener.ts";
import { ThreadLogger } from "./thread-logger.ts";
import type { FromEdgeThread, ThreadData, ToEdgeThread } from "./thread-messages.ts";

/** How late the main thread may know what is counted here, unless it asks. */
const countsMs = 1000;

class EdgeThread {
  readonly #data: ThreadData;
  readonly #send: (message: FromEdgeThread) => void;
  readonly #clock = new SystemClock();
  readonly #logger: ThreadLogger;
  readonly #trace: Trace;
  readonly #link: EngineLink;
  readonly #limits: ProcessLimits;
  readonly #bodies: ThreadBodies;
  readonly #origins = new Map<string, { readonly asked: AskedOrigin; readonly lookups: LeasedLookups }>();
  readonly #stats = new EdgeStats();
  readonly #lag: EventLoopLag;
  readonly #counted: CountedThread;
  readonly #material: PushedValue<AccessMaterial> | undefined;
  readonly #certificate: PushedValue<SecureContextOptions> | undefined;
  #access: ReplicaAccess | undefined;
  #listener: S3Listener | undefined;
  readonly #meshCertificate: PushedValue<SecureContextOptions> | undefined;
  #bytesPort: BytesPort | undefined;
  /** Serves for a rehearsal, with parts of its own. */
  #rehearsal: EdgeThread | undefined;

  /** `Receiver`: of chunks of peers, for `data.receiver`. */
  constructor(
    data: ThreadData,
    send: (message: FromEdgeThread) => void,
    Receiver: typeof ChunkReceiver | undefined,
  ) {
    this.#data = data;
    this.#send = send;
    this.#logger = new ThreadLogger(data.isDebug, (line) => this.#link.tell({ kind: "line", ...line }));
    this.#trace = new Trace(this.#logger, this.#clock);
    const blocks = new SharedBlocks(data.index);
    this.#link = new EngineLink(data.link, {
      blocks,
      traceContexts: this.#trace.contexts,
      clock: this.#clock,
    });
    this.#link.onLogged = (lines) => this.#logger.arrived(lines);
    const { pinnedSlabsMax, access, certificate, meshCertificate, receiver } = data;
    this.#limits = new ProcessLimits(data.limits);
    const { readahead: readAheadMax } = data.config.chunking;
    this.#bodies = new ThreadBodies({
      link: this.#link,
      blocks,
      trace: this.#trace,
      limits: this.#limits,
      pinnedSlabsMax,
      readAheadMax,
    });
    this.#material = access && new PushedValue(access);
    this.#certificate = certificate && new PushedValue(certificate);
    this.#meshCertificate = meshCertificate && new PushedValue(meshCertificate);
    this.#sampleSteps();
    this.#lag = new EventLoopLag(this.#clock);
    const own = { clock: this.#clock, random: new SystemRandom(), logger: this.#logger };
    this.#counted = new CountedThread({
      peers: receiver && Receiver && new Receiver({ ...receiver, ...own }).stats,
      stats: this.#stats,
      bodies: this.#bodies,
      logger: this.#logger,
      lag: this.#lag,
      lookups: () => [...this.#origins.values()].map(({ lookups }) => lookups),
      access: () => this.#access,
      listener: () => this.#listener,
      bytesPort: () => this.#bytesPort,
    });
  }

  async take(message: ToEdgeThread): Promise<void> {
    switch (message.kind) {
      case "rehearse":
        await this.#rehearse(message.data);
        return;
      case "endRehearsal":
        await this.#endRehearsal();
        return;
      case "listen":
        await this.#listen(message.host, message.port);
        return;
      case "listenForPeers":
        await this.#listenForPeers(message.host, message.port);
        return;
      case "drainPeers":
        this.#send({ kind: "peersDrained", cut: (await this.#bytesPort?.drain(message.timeoutMs)) ?? 0 });
        return;
      case "announceStop":
        this.#listener?.announceStop();
        return;
      case "drain":
        await this.#drain(message.timeoutMs);
        return;
      case "collect":
        this.#send({ kind: "collected", counts: this.#counted.take() });
        return;
      case "access":
        this.#material?.push(message.material);
        return;
      case "certificate":
        this.#certificate?.push(message.certificate);
        return;
      case "meshCertificate":
        this.#meshCertificate?.push(message.certificate);
        return;
      case "debug":
        this.#logger.isDebug = message.isDebug;
        return;
    }
  }

  async #rehearse(data: ThreadData): Promise<void> {
    // What it counts nobody hears.
    this.#rehearsal = new EdgeThread(data, () => {}, undefined);
    try {
      const { port } = await this.#rehearsal.#makeListener("127.0.0.1", 0).start();
      this.#send({ kind: "rehearsing", port });
    } catch (thrown) {
      const fault = thrown instanceof Error ? thrown.message : String(thrown);
      this.#send({ kind: "rehearsing", port: 0, fault });
    }
  }

  async #endRehearsal(): Promise<void> {
    const rehearsal = this.#rehearsal;
    this.#rehearsal = undefined;
    if (rehearsal) await rehearsal.#close();
    this.#send({ kind: "rehearsed" });
  }

  /** Of a rehearsal alone: any other thread serves until it ends. */
  async #close(): Promise<void> {
    this.#counted.take();
    await this.#listener?.close();
    this.#lag.stop();
    this.#data.link.close();
  }

  async #listen(host: string, port: number): Promise<void> {
    try {
      this.#send({ kind: "listening", address: await this.#makeListener(host, port).start() });
      this.#repeat(countsMs, () => this.#send({ kind: "counts", counts: this.#counted.take() }));
      this.#repeat(windowMs, () => this.#stats.hotObjects.rotate());
    } catch (thrown) {
      this.#send({ kind: "failed", error: sentError(thrown) });
    }
  }

  async #listenForPeers(host: string, port: number): Promise<void> {
    assert(this.#meshCertificate !== undefined, "the port for chunk bytes has TLS");
    try {
      // Few replicas send chunks from threads, and what the mesh needs takes time and memory.
      const { BytesPort } = await import("./bytes-port.ts");
      this.#bytesPort = new BytesPort({
        config: this.#data.config,
        host,
        port,
        certificate: sourceOfCertificate(this.#meshCertificate),
        bodies: this.#bodies,
        clock: this.#clock,
        random: new SystemRandom(),
        trace: this.#trace,
        logger: this.#logger,
        onDied: (error) => this.#send({ kind: "died", error: sentError(error) }),
      });
      await this.#bytesPort.start();
      this.#send({ kind: "listeningForPeers", error: undefined });
    } catch (thrown) {
      this.#send({ kind: "listeningForPeers", error: sentError(thrown) });
    }
  }

  async #drain(timeoutMs: number): Promise<void> {
    const cut = (await this.#listener?.drain(timeoutMs)) ?? 0;
    await this.#logger.settled();
    this.#send({ kind: "counts", counts: this.#counted.take() });
    this.#send({ kind: "drained", cut });
  }

  /** For as long as the thread lives. */
  #repeat(intervalMs: number, run: () => void): void {
    const timer = this.#clock.timer(intervalMs, () => {
      run();
      timer.refresh();
    });
  }

  #sampleSteps(): void {
    const { config, replicaId } = this.#data;
    if (config.tracing.otlpEndpoint === undefined) return;
    const { contexts } = this.#trace;
    contexts.spans = new SampledSteps({
      link: this.#link,
      contexts,
      sampleRatio: config.tracing.sampleRatio,
      salt: `${replicaId} ${threadId} ${this.#clock.now()}`,
    });
  }

  #makeListener(host: string, port: number): S3Listener {
    const { replicaId, places } = this.#data;
    const { server } = this.#data.config;
    const [clock, logger] = [this.#clock, this.#logger];
    const config = { ...this.#data.config, server: { ...server, listen: { host, port } } } as Config;
    const buckets = this.#buckets();
    this.#access =
      this.#material &&
      new ReplicaAccess({
        config,
        clock,
        source: sourceOf(this.#material),
        threads: server.threads,
      });
    const ids = new Set([...places.configured.map(({ originId }) => originId), places.other?.originId ?? ""]);
    const origins = [...ids].filter((id) => id !== "").map((id) => ({ origin: this.#originOf(id).asked }));
    this.#listener = s3ListenerOf({
      config,
      replicaId,
      buckets,
      access: this.#access?.gate(origins, buckets),
      bodies: this.#bodies,
      warmRequests: new AskedWarming(this.#link),
      hasLane: this.#data.hasLane,
      stats: this.#stats,
      processLimits: this.#limits,
      tls: this.#certificate && sourceOfCertificate(this.#certificate),
      clock,
      random: new SystemRandom(),
      logger,
      accessLogger: logger.access,
      trace: this.#trace,
      onDied: (error) => this.#send({ kind: "died", error: sentError(error) }),
    });
    return this.#listener;
  }

  #buckets(): Buckets<OtherLookups> {
    const { configured, other } = this.#data.places;
    const named = new Map(configured.map((place) => [place.name, this.#bucketAt(place)]));
    const others =
      other &&
      new AskedBuckets({
        link: this.#link,
        clock: this.#clock,
        ttlMs: this.#data.config.metadata.ttlMs,
        region: other.region,
        bucketOf: (name) => this.#bucketAt({ ...other, name, originBucket: name }),
      });
    return new Buckets<OtherLookups>(named, others, new AskedConfigured(this.#link));
  }

  #bucketAt({ originId, hasSubResources, ...place }: BucketPlace): Bucket {
    const { asked, lookups } = this.#originOf(originId);
    const subResources = hasSubResources ? asked : undefined;
    return new Bucket({ ...place, directory: lookups, listings: asked, parts: asked, subResources });
  }

  #originOf(originId: string): { readonly asked: AskedOrigin; readonly lookups: LeasedLookups } {
    const known = this.#origins.get(originId);
    if (known) return known;
    const { revocations, leasedBytesMax, config } = this.#data;
    const lookups = new LeasedLookups({
      originId,
      link: this.#link,
      revocations: new Revocations(revocations),
      clock: this.#clock,
      trace: this.#trace,
      entriesMax: config.metadata.maxEntries,
      bytesMax: leasedBytesMax,
    });
    const origin = { asked: new AskedOrigin(originId, this.#link), lookups };
    this.#origins.set(originId, origin);
    return origin;
  }
}

function sourceOfCertificate(certificate: PushedValue<SecureContextOptions>): TlsSource {
  return {
    get secureContextOptions() {
      return certificate.value;
    },
    watch: (onChange) => certificate.watch(onChange),
    // The main thread reads the files, and stops.
    stop: () => {},
  };
}

function sourceOf(material: PushedValue<AccessMaterial>): AccessSource {
  return {
    get material() {
      return material.value;
    },
    watch: (onChange) => material.watch(onChange),
  };
}

assert(parentPort !== null, "a thread of the edge is started by the replica");
const port = parentPort;
const data = workerData as ThreadData;
// In a cluster of one nobody receives from peers, and what the mesh needs takes time and memory.
const Receiver = data.receiver && (await import("../../mesh/threads/chunk-receiver.ts")).ChunkReceiver;
const thread = new EdgeThread(data, (message) => port.postMessage(message), Receiver);
port.on("message", (message: ToEdgeThread) => void thread.take(message));
