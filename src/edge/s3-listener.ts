/**
 * The S3 endpoint: a node:http server, its limits, and the one switch from a request to its handler. Faults of a
 * connection end here. Faults of a request become S3 errors.
 */
import type { IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../base/clock.ts";
import { LinkedList } from "../base/linked-list.ts";
import { ListeningServer } from "../base/listening-server.ts";
import { LogPace } from "../base/log-pace.ts";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { Random } from "../base/random.ts";
import type { TlsSource } from "../base/tls-files.ts";
import { RequestIds } from "../trace/request-id.ts";
import type { TraceContexts } from "../trace/trace-contexts.ts";
import { AccessLog, type AccessLogger, type AccessMode } from "./access-log/access-log.ts";
import { Admission, type AdmissionOptions } from "./auth/admission.ts";
import { SlowClients } from "./client-pace.ts";
import { createEdgeServer, type EdgeServer, setCertificate } from "./edge-server.ts";
import type { EdgeStats } from "./edge-stats.ts";
import { Exchange, type ExchangeContext, type ExchangeResponse } from "./exchange.ts";
import type { Cors } from "./headers/cors.ts";
import { IgnoredUpgrades } from "./headers/ignored-upgrades.ts";
import type { EdgeRequest, EdgeResponse } from "./lane/edge-request.ts";
import { Lane } from "./lane/lane.ts";
import { faultOfMessage, MalformedRequests } from "./malformed-request.ts";
import { Pipelines } from "./pipelines.ts";
import { RequestReport } from "./request-report.ts";
import { parseS3Request } from "./s3-request.ts";
import type { ProcessLimits } from "./threads/process-limits.ts";

export interface S3ListenerOptions extends AdmissionOptions {
  /** `server.listen`. Port 0 takes a free one. */
  readonly host: string;
  readonly port: number;
  /** Virtual-host style: `bucket.domain`. Path-style alone where undefined. */
  readonly domain: string | undefined;
  /** Connections at once; more are closed unanswered. Raise it with the file descriptors the process may have. */
  readonly connectionsMax: number;
  /**
   * Requests in progress at once; further ones get 503 SlowDown. Each streaming one may pin a 1 MiB segment. As many again
   * may wait for their turn on a connection.
   */
  readonly requestsMax: number;
  /** A client that takes no byte for this long is disconnected, because it pins memory. Lower frees memory sooner. */
  readonly clientStallTimeoutMs: number;
  /** A client that takes fewer bytes a second than this for as long is disconnected, too. 0 for none. */
  readonly clientMinRateBytes: number;
  /** How long a connection may stay idle. Longer saves handshakes and costs file descriptors. */
  readonly keepAliveTimeoutMs: number;
  /** How long a client may take to send a request. */
  readonly headerTimeoutMs: number;
  /** Where several threads listen at one port: what all of them have. */
  readonly processLimits?: ProcessLimits | undefined;
  readonly tls: TlsSource | undefined;
  /** Whether a client without a certificate may connect, where TLS asks for one. It must authenticate in another way. */
  readonly certificatesOptional?: boolean;
  /** Names this replica to those who look into its log: `x-amz-id-2`, and `HostId` of errors. */
  readonly hostId: string;
  /** `logging.slow_request`. */
  readonly slowRequestMs: number;
  /** `logging.access`. */
  readonly accessMode: AccessMode;
  readonly accessLogger: AccessLogger;
  readonly traceContexts: TraceContexts;
  /** Undefined where no page of a browser may read. */
  readonly cors?: Cors | undefined;
  /** False: all requests go through node:http. For tests and the bench, which hold the two ways against each other. */
  readonly hasLane?: boolean | undefined;
  readonly stats: EdgeStats;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** See {@link ListeningServer}. */
  readonly onDied: (error: OrcaError) => void;
}

/** Lines in a minute about requests that failed for one reason, or were slow. */
const failureLinesMax = 10;

/** One for both, because the kinds of their lines have other names. */
function paceOf({ processLimits, clock }: S3ListenerOptions): Pick<LogPace, "take"> {
  return processLimits?.logPace(clock, failureLinesMax) ?? new LogPace(clock, failureLinesMax);
}

const listenerNames = { whom: "S3 clients", setting: "server.listen" };

export class S3Listener {
  readonly #options: S3ListenerOptions;
  readonly #server: EdgeServer;
  readonly #listening: ListeningServer;
  readonly #requestIds: RequestIds;
  readonly #admission: Admission;
  readonly #context: ExchangeContext;
  readonly #running = new LinkedList<Exchange>();
  readonly #pipelines: Pipelines;
  readonly #slowClients: SlowClients<Exchange>;
  readonly #lane: Lane | undefined;
  readonly #upgrades = new IgnoredUpgrades();
  /** TCP connections. With TLS, one in its handshake is not yet known to HTTP and would delay a stop. */
  readonly #connections = new Set<Socket>();
  #draining = false;
  /** Whether each response closes its connection, so that its client connects elsewhere. */
  #closing = false;

  constructor(options: S3ListenerOptions) {
    this.#options = options;
    this.#requestIds = new RequestIds(options.random);
    this.#admission = new Admission(options);
    this.#pipelines = new Pipelines(options.requestsMax, options.processLimits);
    const { clock, logger, stats, clientMinRateBytes, clientStallTimeoutMs, slowRequestMs, hostId, access } =
      options;
    const pace = paceOf(options);
    const paceLimit = { bytesPerSecondMin: clientMinRateBytes, windowMs: clientStallTimeoutMs };
    const running = this.#running;
    const report = new RequestReport({ clock, logger, pace, traceContexts: options.traceContexts });
    const { accessMode: mode, accessLogger, traceContexts } = options;
    const onEnd = (): void => {
      options.processLimits?.endRequest();
      this.#closeIfDraining();
    };
    this.#context = {
      clock,
      logger,
      failures: pace,
      stats,
      paceLimit,
      slowRequestMs,
      report,
      accessLog: AccessLog.of({ mode, slowRequestMs, logger: accessLogger, traceContexts }),
      traceContexts,
      running,
      hostId,
      access,
      onEnd,
    };
    this.#slowClients = new SlowClients({
      clock,
      limit: paceLimit,
      exchanges: running,
      onSlow: ({ request: { socket } }) => {
        stats.clientsSlow += 1;
        socket.destroy();
      },
    });
    this.#server = createEdgeServer(options);
    const malformed = new MalformedRequests({ stats, clock, hostId, requestIds: this.#requestIds });
    if (options.hasLane !== false) this.#lane = this.#laneOf(malformed);
    this.#server.maxConnections = options.connectionsMax;
    this.#listening = new ListeningServer(this.#server, { ...listenerNames, ...options });
    this.#server.timeout = options.clientStallTimeoutMs;
    const take = (request: IncomingMessage, response: ExchangeResponse): void => {
      if (response.socket !== null) this.#serve(request, response);
      else this.#pipelines.wait(request, response, () => this.#serve(request, response));
    };
    this.#server.on("request", take);
    // Answered like any other request, so that a write is rejected before its body is sent.
    this.#server.on("checkContinue", take);
    this.#server.on("checkExpectation", take);
    this.#server.on("clientError", (error, socket) =>
      malformed.answer(error, socket, this.#servedOn(socket)),
    );
    this.#server.on("connect", (_message, socket) => malformed.connect(socket, this.#servedOn(socket)));
    this.#server.on("timeout", (socket) => this.#checkStall(socket));
    this.#server.on("connection", (socket: Socket) => {
      this.#connections.add(socket);
      const { processLimits } = options;
      if (processLimits && processLimits.openConnection() > options.connectionsMax) socket.destroy();
      socket.once("close", () => {
        processLimits?.closeConnection();
        this.#connections.delete(socket);
      });
    });
  }

  /** Accepts that failed. */
  get acceptErrors(): number {
    return this.#listening.acceptErrors;
  }

  get connections(): number {
    return this.#connections.size;
  }

  get requestsInFlight(): number {
    return this.#running.size;
  }

  get requestsPipelined(): number {
    return this.#pipelines.waiting;
  }

  get pipelinesCut(): number {
    return this.#pipelines.cut;
  }

  /** Resolves with the address. @throws OrcaError config_invalid if it cannot listen there. */
  start(): Promise<AddressInfo> {
    const { host, port, tls, processLimits } = this.#options;
    const reusePort = processLimits !== undefined;
    const address = this.#listening.listen({ port, host, backlog: 4096, reusePort });
    tls?.watch((context) => setCertificate(this.#server, context));
    this.#slowClients.start();
    this.#lane?.start();
    return address;
  }

  /** Goes on as before, but each response whose head is not sent yet closes its connection. */
  announceStop(): void {
    this.#closing = true;
    for (const { response } of this.#running) response.shouldKeepAlive = false;
  }

  /**
   * Accepts no new connections, lets running responses finish for up to `drainTimeoutMs`, then cuts the rest.
   * Resolves with the number of responses that were cut.
   */
  async drain(drainTimeoutMs: number): Promise<number> {
    this.#draining = true;
    this.announceStop();
    this.#options.tls?.stop();
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    this.#closeIdle();
    let cut = 0;
    const timer = this.#options.clock.timer(drainTimeoutMs, () => {
      cut = this.#running.size;
      this.#cut();
    });
    await closed.promise;
    timer.cancel();
    this.#stopTimers();
    return cut;
  }

  /** Closes the listener and cuts every connection. May be called any number of times, and before {@link start}. */
  close(): Promise<void> {
    this.#options.tls?.stop();
    this.#stopTimers();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#cut();
    return promise;
  }

  #laneOf(malformed: MalformedRequests): Lane {
    return new Lane({
      ...this.#options,
      server: this.#server,
      pipelines: this.#pipelines,
      serve: (request, response) => this.#serve(request, response),
      onStalled: (socket) => this.#checkStall(socket),
      onBrokenHead: (socket, code) =>
        malformed.answer(Object.assign(new Error("Cannot read a request"), { code }), socket, undefined),
    });
  }

  #cut(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  /** An exception that no handler expected is the fault of its request, and must not leave the event of the server. */
  #serve(message: EdgeRequest, response: EdgeResponse): void {
    if (this.#closing) response.shouldKeepAlive = false;
    const requestId = this.#requestIds.next();
    const { traceparent, tracestate } = message.headers;
    if (traceparent !== undefined) this.#options.traceContexts.accept(requestId, traceparent, tracestate);
    const exchange = new Exchange(message, response, requestId, this.#context);
    this.#options.processLimits?.beginRequest();
    try {
      this.#route(exchange, message, response);
    } catch (thrown) {
      exchange.fail(thrown);
    }
  }

  #route(exchange: Exchange, message: EdgeRequest, response: EdgeResponse): void {
    const { requestsMax, domain, cors, processLimits } = this.#options;
    cors?.decorate(message, response);
    const fault = faultOfMessage(message);
    if (fault) {
      this.#options.stats.requestsMalformed += 1;
      response.shouldKeepAlive = false;
      exchange.sendError(fault);
      return;
    }
    if (message.headers.upgrade !== undefined && !this.#upgrades.isAlone(message)) {
      response.shouldKeepAlive = false;
    }
    if ((processLimits?.requests ?? this.#running.size) > requestsMax) {
      const reason = `Cannot accept a request: ${requestsMax} are in progress (server.max_requests)`;
      exchange.sendError(new OrcaError("overloaded", "edge", reason));
      return;
    }
    if (cors && message.method === "OPTIONS") {
      exchange.operation = "preflight";
      const granted = cors.preflight(message);
      if (granted instanceof OrcaError) exchange.sendError(granted);
      else exchange.send(200, [...exchange.idHeaders(), ...granted], "");
      return;
    }
    const request = parseS3Request(message.method ?? "", message.url ?? "", message.headers.host, { domain });
    if (request.kind === "rejected") {
      exchange.bucket = request.bucket;
      exchange.key = request.key;
      exchange.sendError(request.error);
      return;
    }
    this.#admission.admit(exchange, request, message);
  }

  /** While draining, a keep-alive connection closes after its response. */
  #closeIfDraining(): void {
    if (this.#draining) setImmediate(() => this.#closeIdle());
  }

  #closeIdle(): void {
    this.#server.closeIdleConnections();
    this.#lane?.closeIdle();
  }

  #stopTimers(): void {
    this.#slowClients.stop();
    this.#lane?.stop();
  }

  /**
   * Nothing has moved on a connection for as long as it may rest. If bytes wait for the client, it is dead or too slow
   * to serve. If a request waits for Orca, Orca waits for the origin, and the client has done nothing wrong. If neither,
   * the connection was kept alive without use.
   */
  #checkStall(socket: Socket): void {
    if (socket.writableLength > 0) {
      this.#options.stats.clientsStalled += 1;
      socket.destroy();
    } else if (this.#servedOn(socket)) {
      socket.setTimeout(this.#options.clientStallTimeoutMs);
    } else {
      socket.destroy();
    }
  }

  #servedOn(socket: Duplex): Exchange | undefined {
    for (const exchange of this.#running) if (exchange.request.socket === socket) return exchange;
    return undefined;
  }
}
