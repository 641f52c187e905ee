/**
 * A thread of the edge: a listener of its own on the replica's port, with its own TLS, authentication and S3 code. It serves
 * hits in memory by itself and asks the engine, which is the main thread, for everything else.
 */
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../../base/assert.ts";
import { SystemClock } from "../../base/clock.ts";
import { SystemRandom } from "../../base/random.ts";
import { TlsFiles } from "../../base/tls-files.ts";
import type { Config } from "../../config/config.ts";
import { EdgeStats } from "../../edge/edge-stats.ts";
import type { S3Listener } from "../../edge/s3-listener.ts";
import { AskedBuckets, AskedConfigured, AskedOrigin, AskedWarming } from "../../edge/threads/asked-origin.ts";
import { drainEdge } from "../../edge/threads/edge-counts.ts";
import { EngineLink } from "../../edge/threads/engine-link.ts";
import { LeasedLookups } from "../../edge/threads/leased-lookups.ts";
import { ProcessLimits } from "../../edge/threads/process-limits.ts";
import { sentError } from "../../edge/threads/sent-error.ts";
import { ThreadBodies } from "../../edge/threads/thread-bodies.ts";
import { Bucket } from "../../object/bucket.ts";
import { Buckets, type OtherLookups } from "../../object/buckets.ts";
import { Revocations } from "../../object/freshness/revocations.ts";
import { SharedBlocks } from "../../store/shared-index/shared-blocks.ts";
import { Trace } from "../../trace/trace.ts";
import { ReplicaAccess } from "../replica-access.ts";
import type { BucketPlace } from "../replica-buckets.ts";
import { s3ListenerOf } from "./s3-listener.ts";
import { ThreadLogger } from "./thread-logger.ts";
import type { FromEdgeThread, ThreadCounts, ThreadData, ToEdgeThread } from "./thread-messages.ts";

class EdgeThread {
  readonly #data: ThreadData;
  readonly #send: (message: FromEdgeThread) => void;
  readonly #clock = new SystemClock();
  readonly #logger: ThreadLogger;
  readonly #trace: Trace;
  readonly #link: EngineLink;
  readonly #bodies: ThreadBodies;
  readonly #origins = new Map<string, { readonly asked: AskedOrigin; readonly lookups: LeasedLookups }>();
  readonly #stats = new EdgeStats();
  #access: ReplicaAccess | undefined;
  #listener: S3Listener | undefined;
  #acceptErrors = 0;
  #pipelinesCut = 0;

  constructor(data: ThreadData, send: (message: FromEdgeThread) => void) {
    this.#data = data;
    this.#send = send;
    this.#logger = new ThreadLogger(data.isDebug, (level, fields, message) =>
      send({ kind: "log", level, fields, message }),
    );
    this.#trace = new Trace(this.#logger, this.#clock);
    const blocks = new SharedBlocks(data.index);
    this.#link = new EngineLink(data.link, {
      blocks,
      traceContexts: this.#trace.contexts,
      clock: this.#clock,
    });
    const { pinnedSlabsMax } = data;
    this.#bodies = new ThreadBodies({ link: this.#link, blocks, trace: this.#trace, pinnedSlabsMax });
  }

  async take(message: ToEdgeThread): Promise<void> {
    switch (message.kind) {
      case "listen":
        await this.#listen(message.host, message.port);
        return;
      case "announceStop":
        this.#listener?.announceStop();
        return;
      case "drain":
        this.#send({ kind: "drained", cut: (await this.#listener?.drain(message.timeoutMs)) ?? 0 });
        return;
      case "collect":
        this.#send({ kind: "counts", counts: this.#counts() });
        return;
      case "debug":
        this.#logger.isDebug = message.isDebug;
        return;
    }
  }

  async #listen(host: string, port: number): Promise<void> {
    try {
      this.#listener = await this.#makeListener(host, port);
      this.#send({ kind: "listening", address: await this.#listener.start() });
    } catch (thrown) {
      this.#send({ kind: "failed", error: sentError(thrown) });
    }
  }

  async #makeListener(host: string, port: number): Promise<S3Listener> {
    const { replicaId, limits, places } = this.#data;
    const { server } = this.#data.config;
    const [clock, logger] = [this.#clock, this.#logger];
    const config = { ...this.#data.config, server: { ...server, listen: { host, port } } } as Config;
    const buckets = this.#buckets();
    this.#access = await ReplicaAccess.load({ config, clock, logger });
    const ids = new Set([...places.configured.map(({ originId }) => originId), places.other?.originId ?? ""]);
    const origins = [...ids].filter((id) => id !== "").map((id) => ({ origin: this.#originOf(id).asked }));
    return s3ListenerOf({
      config,
      replicaId,
      buckets,
      access: this.#access?.gate(origins, buckets),
      bodies: this.#bodies,
      warmRequests: new AskedWarming(this.#link),
      hasLane: this.#data.hasLane,
      stats: this.#stats,
      processLimits: new ProcessLimits(limits),
      tls: server.tls && (await TlsFiles.load({ ...server.tls, clock, logger })),
      clock,
      random: new SystemRandom(),
      logger,
      accessLogger: logger.access,
      trace: this.#trace,
      onDied: (error) => this.#send({ kind: "died", error: sentError(error) }),
    });
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
      entriesMax: config.metadata.maxEntries,
      bytesMax: leasedBytesMax,
    });
    const origin = { asked: new AskedOrigin(originId, this.#link), lookups };
    this.#origins.set(originId, origin);
    return origin;
  }

  #counts(): ThreadCounts {
    const listener = this.#listener;
    const { hits: memoryHits, sentBytes: memoryBytes } = this.#bodies.stats;
    Object.assign(this.#bodies.stats, { hits: 0, sentBytes: 0 });
    const lookups = [...this.#origins].map(
      ([
        id,
        {
          lookups: { stats },
        },
      ]) => {
        const counted = { ...stats };
        Object.assign(stats, { hits: 0, negativeHits: 0 });
        return [id, counted] as const;
      },
    );
    const denials = this.#access?.takeDenials() ?? [];
    const { acceptErrors = 0, pipelinesCut = 0 } = listener ?? {};
    const [newAcceptErrors, newPipelinesCut] = [
      acceptErrors - this.#acceptErrors,
      pipelinesCut - this.#pipelinesCut,
    ];
    this.#acceptErrors = acceptErrors;
    this.#pipelinesCut = pipelinesCut;
    return {
      edge: drainEdge(this.#stats),
      memoryHits,
      memoryBytes,
      lookups: Object.fromEntries(lookups),
      denials,
      acceptErrors: newAcceptErrors,
      pipelinesCut: newPipelinesCut,
      gauges: {
        connections: listener?.connections ?? 0,
        requestsInFlight: listener?.requestsInFlight ?? 0,
        requestsPipelined: listener?.requestsPipelined ?? 0,
      },
    };
  }
}

assert(parentPort !== null, "a thread of the edge is started by the replica");
const port = parentPort;
const thread = new EdgeThread(workerData as ThreadData, (message) => port.postMessage(message));
port.on("message", (message: ToEdgeThread) => void thread.take(message));
