/**
 * The threads that serve clients, as the replica's S3 listener: started on one port, drained together, and counted
 * together. A thread that ends by itself is a bug; the replica then stops.
 */
import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import type { SecureContextOptions } from "node:tls";
import type { WarningFields } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { pages } from "../../base/pages.ts";
import type { TlsSource } from "../../base/tls-files.ts";
import type { Config } from "../../config/config.ts";
import type { AccessLogger } from "../../edge/access-log/access-log.ts";
import type { EdgeStats } from "../../edge/edge-stats.ts";
import { addEdge } from "../../edge/threads/edge-counts.ts";
import type { EngineDeskOptions } from "../../edge/threads/engine-desk.ts";
import { ProcessLimits } from "../../edge/threads/process-limits.ts";
import type { SentLine } from "../../edge/threads/question.ts";
import { receivedError } from "../../edge/threads/sent-error.ts";
import type { Revocations } from "../../object/freshness/revocations.ts";
import type { LogLevelControl } from "../../ops/log-level.ts";
import type { EdgeThreadCounters } from "../../ops/metrics/ops-metrics.ts";
import type { LoadedThread } from "../../ops/thread-loads.ts";
import type { ReplicaAccess } from "../access/replica-access.ts";
import { type ReleaseStack, step } from "../release-stack.ts";
import type { BucketPlaces } from "../replica-buckets.ts";
import { BytesListener } from "./bytes-listener.ts";
import { freePort } from "./free-port.ts";
import { ThreadHandle, type ThreadHandleOptions } from "./thread-handle.ts";
import { receivedFields } from "./thread-logger.ts";
import type { FromEdgeThread, ThreadCounts, ThreadData, ToEdgeThread } from "./thread-messages.ts";
import { drainLateMs, within } from "./within.ts";

/** What threads need of an engine: the replica's, or before that one to rehearse with. */
export interface ThreadEngine extends Omit<EngineDeskOptions, "log" | "clock"> {
  readonly config: Config;
  readonly replicaId: string;
  readonly places: BucketPlaces;
  readonly revocations: Revocations;
}

export interface EdgeThreadsOptions extends ThreadEngine, Omit<ThreadHandleOptions, "log"> {
  /** The parts whose counters grow by what threads count. */
  readonly counters: ThreadCounters;
  readonly accessLogger: AccessLogger;
  /** Undefined where the level of the log does not change. */
  readonly log?: { readonly level: Pick<LogLevelControl, "watch"> } | undefined;
  /** @see S3ListenerOptions.hasLane */
  readonly hasLane?: boolean | undefined;
  /** What its files hold. Undefined where clients do not authenticate. */
  readonly access: Pick<ReplicaAccess, "source"> | undefined;
  readonly tls: TlsSource | undefined;
  /** Of the mesh. Undefined in a cluster of one, and without TLS there. */
  readonly meshTls?: TlsSource | undefined;
}

/** Adds what a thread has counted to the replica's own counters. */
export interface ThreadCounters {
  readonly edge: EdgeStats;
  add(counts: ThreadCounts): void;
}

/** Of memory: slabs that all threads pin at once, and one each at least. Beyond that the engine reads, and copies for slow clients. */
const pinnedShare = 1 / 8;
/** Of memory: copies of metadata in all threads. */
const leasedShare = 1 / 16;
const slabBytes = 1024 * 1024;
/** A page of metrics waits no longer for a thread that is busy. What that has counted is on the next page. */
const collectMs = 1000;
/** A name, a key for the MAC and a key for AES, as OpenSSL wants them together. */
const ticketKeyBytes = 48;

/**
 * The threads need the same keys, because a client that comes again may come to another one. Each certificate has new ones:
 * no session outlives its certificate. (With certificates of clients no ticket is sent: edge-server.ts.)
 */
function withTicketKeys(context: SecureContextOptions): SecureContextOptions {
  return { ...context, ticketKeys: randomBytes(ticketKeyBytes) };
}

export class EdgeThreads {
  acceptErrors = 0;
  pipelinesCut = 0;
  linesDropped = 0;
  readonly #options: EdgeThreadsOptions;
  readonly #limits = new ProcessLimits();
  readonly #threads: ThreadHandle[] = [];
  /** Undefined without `cluster.bytes_listen`. */
  readonly bytesListener: BytesListener | undefined;
  #isClosed = false;

  constructor(options: EdgeThreadsOptions) {
    this.#options = options;
    const { clustered, bytesListen } = options.config.cluster;
    if (clustered && bytesListen && options.meshTls)
      this.bytesListener = new BytesListener(bytesListen, options, () => this.#started());
  }

  get connections(): number {
    return this.#sum("connections");
  }

  get requestsInFlight(): number {
    return this.#sum("requestsInFlight");
  }

  get requestsPipelined(): number {
    return this.#sum("requestsPipelined");
  }

  /**
   * Starts the threads, if they have not been started. Each then serves for a rehearsal in front of `engine`, on a port of
   * loopback of its own, until the end that is added to `held`. Resolves with the ports of those that could begin.
   */
  readonly rehearse = async (engine: ThreadEngine, held: ReleaseStack): Promise<number[]> => {
    this.#startThreads();
    const limits = new ProcessLimits();
    const data = {
      ...this.#dataOf(engine, limits),
      access: undefined,
      certificate: undefined,
      meshCertificate: undefined,
      isDebug: false,
    };
    const begun = await Promise.allSettled(this.#threads.map((thread) => thread.rehearse(data, engine)));
    return begun.flatMap((each) => {
      if (each.status === "rejected") return [];
      held.add(step("end the rehearsal of a thread", each.value.end));
      return [each.value.port];
    });
  };

  /** Resolves with the address, at which all threads listen. @throws OrcaError */
  async start(): Promise<AddressInfo> {
    const { config } = this.#options;
    const { host } = config.server.listen;
    const named = { ...this.#options, whom: "S3 clients", setting: "server.listen" };
    const port = await freePort(config.server.listen, named);
    this.#startThreads();
    this.#tell({ kind: "listen", host, port });
    const listening = await Promise.all(this.#threads.map((thread) => thread.answer("listening")));
    return listening[0]?.address as AddressInfo;
  }

  /** Their CPU time is as {@link collect} found it. */
  readonly loaded = (): readonly (LoadedThread & EdgeThreadCounters)[] => this.#threads;

  /** @see EventLoopLag.notice */
  lagNotice(): string | null {
    return this.#threads.map((thread) => thread.lagNotice).find((notice) => notice !== null) ?? null;
  }

  announceStop(): void {
    this.#tell({ kind: "announceStop" });
  }

  /** Resolves with the number of responses that were cut. */
  async drain(timeoutMs: number): Promise<number> {
    this.#options.tls?.stop();
    const cuts = await Promise.all(this.#threads.map((thread) => this.#drainThread(thread, timeoutMs)));
    return cuts.reduce((sum, cut) => sum + cut, 0);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#options.tls?.stop();
    await Promise.all(this.#threads.splice(0).map((thread) => thread.stop()));
  }

  /** Adds what the threads have counted since the last time. */
  async collect(): Promise<void> {
    const collected = this.#threads.map(async (thread) => {
      thread.send({ kind: "collect" });
      await Promise.allSettled([thread.answer("collected"), thread.measure()]);
    });
    await within(this.#options.clock, collectMs, Promise.all(collected));
  }

  async #drainThread(thread: ThreadHandle, timeoutMs: number): Promise<number> {
    thread.send({ kind: "drain", timeoutMs });
    // A thread that has died has no response left, and the replica knows of it already.
    const cut = thread.answer("drained").then(
      (drained) => drained.cut,
      () => 0,
    );
    const known = await within(this.#options.clock, timeoutMs + drainLateMs, cut);
    if (known !== undefined) return known;
    const { name, gauges } = thread;
    this.#options.logger.warn(
      { thread: name, see: pages.stop },
      "A thread that serves clients hangs, and is ended with its responses",
    );
    return gauges.requestsInFlight;
  }

  #tell(message: ToEdgeThread): void {
    for (const thread of this.#threads) thread.send(message);
  }

  #started(): readonly ThreadHandle[] {
    this.#startThreads();
    return this.#threads;
  }

  #startThreads(): void {
    // A stop may come while a start or a rehearsal is on its way here. Nobody would end the threads.
    if (this.#isClosed)
      throw new OrcaError("internal", "replica", "Cannot start threads that serve clients: they are closed");
    if (this.#threads.length > 0) return;
    const { config, access, tls, meshTls, log, logger } = this.#options;
    const data = this.#dataOf(this.#options, this.#limits);
    for (let number = 1; number <= config.server.threads; number += 1) this.#startThread(number, data);
    access?.source.watch((material) => this.#tell({ kind: "access", material }));
    tls?.watch((context) => this.#tell({ kind: "certificate", certificate: withTicketKeys(context) }));
    log?.level.watch(() => this.#tell({ kind: "debug", isDebug: logger.isDebug }));
    if (this.bytesListener)
      meshTls?.watch((certificate) => this.#tell({ kind: "meshCertificate", certificate }));
  }

  #startThread(number: number, data: Omit<ThreadData, "link" | "receiver">): void {
    const onMessage = (message: FromEdgeThread): void => this.#take(message, thread);
    const parts = { ...this.#options, log: (line: SentLine) => this.#log(line) };
    const thread = new ThreadHandle(`orca-edge-${number}`, data, parts, onMessage);
    this.#threads.push(thread);
  }

  #dataOf({ config, replicaId, places, revocations, index }: ThreadEngine, limits: ProcessLimits) {
    const { hasLane, access, tls, meshTls, logger } = this.#options;
    const { secrets: _, ...plainConfig } = config;
    const { threads } = config.server;
    const { maxBytes } = config.memory;
    return {
      config: plainConfig,
      replicaId,
      places,
      index: index.memory,
      revocations: revocations.memory,
      limits: limits.words,
      pinnedSlabsMax: Math.max(0, Math.floor((maxBytes * pinnedShare) / slabBytes) - threads),
      leasedBytesMax: Math.floor((maxBytes * leasedShare) / threads / config.origins.length),
      access: access?.source.material,
      certificate: tls && withTicketKeys(tls.secureContextOptions),
      meshCertificate: this.bytesListener && meshTls?.secureContextOptions,
      isDebug: logger.isDebug,
      hasLane,
    };
  }

  #take(message: FromEdgeThread, thread: ThreadHandle): void {
    if (message.kind === "died") this.#options.onDied(receivedError(message.error));
    else if (message.kind === "counts" || message.kind === "collected") this.#add(message.counts, thread);
  }

  #log({ level, fields, message }: SentLine): void {
    const { logger, accessLogger } = this.#options;
    if (level === "access") accessLogger.info(fields, message);
    // What a thread logged before it learned of the level may come after the change.
    else if (level !== "debug" || logger.isDebug)
      logger[level](receivedFields(fields) as WarningFields, message);
  }

  #add(counts: ThreadCounts, thread: ThreadHandle): void {
    thread.gauges = counts.gauges;
    this.acceptErrors += counts.acceptErrors;
    this.pipelinesCut += counts.pipelinesCut;
    this.linesDropped += counts.linesDropped;
    addEdge(this.#options.counters.edge, thread.name, counts.edge);
    this.#options.counters.add(counts);
  }

  #sum(gauge: "connections" | "requestsInFlight" | "requestsPipelined"): number {
    return this.#threads.reduce((sum, { gauges }) => sum + gauges[gauge], 0);
  }
}
