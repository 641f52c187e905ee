/**
 * The listener for those who run Orca: probes, Prometheus, the status of the cluster, and endpoints that look into the
 * cache. It is apart from the clients' listener, so that a flood of clients cannot make a live replica look dead, and so
 * that neither port shows what belongs to the other. It has no authentication and says nothing secret; a network policy
 * decides who reaches it, and action-guard.ts who may have it do something.
 */

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { errorTable } from "../base/error-table.ts";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import { actionDenial, type OpsActions } from "./action-guard.ts";
import { type ClusterStatusSource, clusterStatus } from "./endpoints/cluster-status.ts";
import type { MetricsRegistry } from "./metrics/metrics.ts";
import { errorPage, jsonPage, type Lines, type OpsEndpoint, type Page, textPage } from "./ops-endpoint.ts";
import type { Readiness } from "./readiness.ts";

export interface OpsServerOptions {
  /** `server.ops_listen`. Port 0 takes a free one. */
  readonly host: string;
  readonly port: number;
  readonly readiness: Readiness;
  readonly metrics: MetricsRegistry;
  readonly cluster: ClusterStatusSource;
  /** By path, beside what is always here. */
  readonly endpoints?: ReadonlyMap<string, OpsEndpoint>;
  /** `server.ops_actions`. */
  readonly actions?: OpsActions;
  readonly logger: Logger;
  /** Connections at once; further ones are closed unanswered. */
  readonly connectionsMax?: number;
  /** How long a client may take to send a request, and how long an idle connection is kept. */
  readonly requestTimeoutMs?: number;
}

const help = `Orca

/healthz  200 as long as this process lives
/readyz   200 when this replica should be sent clients, else 503 with the reasons
/metrics  metrics in the Prometheus text format
/cluster  what this replica knows of its cluster, as JSON; "orca status" prints it
`;

const whoAskedHasGone = new OrcaError(
  "request_timeout",
  "client",
  "Cannot go on with what the ops listener was asked: whoever asked has gone",
);

export class OpsServer {
  readonly #options: OpsServerOptions;
  readonly #server: Server;

  constructor(options: OpsServerOptions) {
    this.#options = options;
    const requestTimeoutMs = options.requestTimeoutMs ?? 5000;
    this.#server = createServer({
      headersTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: requestTimeoutMs,
      connectionsCheckingInterval: requestTimeoutMs,
      maxHeaderSize: 8192,
    });
    this.#server.maxConnections = options.connectionsMax ?? 64;
    this.#server.on("request", (request, response) => void this.#answer(request, response));
  }

  /** Resolves with where it listens. @throws OrcaError config_invalid when the address cannot be had. */
  start(): Promise<AddressInfo> {
    const { host, port } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<AddressInfo>();
    const refuse = (thrown: unknown): void => {
      reject(
        OrcaError.from(thrown, "config_invalid", "config", `Cannot listen for ops on "${host}:${port}"`),
      );
    };
    this.#server.once("error", refuse);
    this.#server.listen(port, host, () => {
      this.#server.off("error", refuse);
      resolve(this.#server.address() as AddressInfo);
    });
    return promise;
  }

  /** Closes the listener and every connection: nothing here is worth waiting for. Also when it never started. */
  stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    return promise;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = "", query = ""] = (request.url ?? "").split("?", 2);
    const endpoint = this.#options.endpoints?.get(path);
    let answer: Page | Lines;
    try {
      answer = endpoint
        ? await this.#ask(endpoint, query, request, response)
        : await this.#page(path, request);
    } catch (error) {
      this.#options.logger.error({ error, path }, "Cannot answer an ops request");
      answer = textPage(500, "internal error, see the log\n");
    }
    if ("documents" in answer) await this.#send(answer, response);
    else end(response, answer, request.method, endpoint?.methods ?? ["GET"]);
  }

  async #ask(
    endpoint: OpsEndpoint,
    query: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<Page | Lines> {
    const method = request.method === "HEAD" ? "GET" : request.method;
    if ((method !== "GET" && method !== "POST") || !endpoint.methods.includes(method)) {
      return textPage(405, `only ${endpoint.methods.join(" and ")}\n`);
    }
    const { actions = "local", logger } = this.#options;
    if (method === "POST") {
      const refusal = actionDenial(request, endpoint.action ?? "", actions);
      if (refusal !== undefined) return errorPage(403, refusal);
      const { remoteAddress } = request.socket;
      logger.info({ action: endpoint.action, query, remoteAddress }, "Doing what the ops listener was asked");
    }
    const gone = new AbortController();
    response.once("close", () => gone.abort(whoAskedHasGone));
    try {
      return await endpoint.answer({ method, query: new URLSearchParams(query), signal: gone.signal });
    } catch (thrown) {
      if (!(thrown instanceof OrcaError)) throw thrown;
      return errorPage(errorTable[thrown.code].status, thrown.message);
    }
  }

  /** A client that reads slowly is told less often: the next line is made when it has taken the last. */
  async #send({ documents }: Lines, response: ServerResponse): Promise<void> {
    response.writeHead(200, { "Content-Type": "application/x-ndjson", "Cache-Control": "no-store" });
    const closed = once(response, "close");
    try {
      for await (const document of documents) {
        if (response.closed) return;
        if (!response.write(`${JSON.stringify(document)}\n`))
          await Promise.race([once(response, "drain"), closed]);
      }
    } catch (error) {
      this.#options.logger.error({ error }, "Cannot go on with what the ops listener was asked");
      response.destroy();
    }
    response.end();
  }

  async #page(path: string, request: IncomingMessage): Promise<Page> {
    if (request.method !== "GET" && request.method !== "HEAD") return textPage(405, "only GET and HEAD\n");
    const { readiness, metrics, cluster, endpoints } = this.#options;
    switch (path) {
      case "/":
        return textPage(200, helpWith(endpoints));
      case "/healthz":
        return textPage(200, "ok\n");
      case "/readyz": {
        const report = readiness.report();
        return jsonPage(report.ready ? 200 : 503, report);
      }
      case "/metrics":
        return { status: 200, contentType: metrics.contentType, body: await metrics.render() };
      case "/cluster":
        return jsonPage(200, clusterStatus(cluster, readiness.phase));
      default:
        return textPage(404, "not found, see / for what is here\n");
    }
  }
}

function helpWith(endpoints: ReadonlyMap<string, OpsEndpoint> = new Map()): string {
  return help + [...endpoints].map(([path, endpoint]) => `${path.padEnd(9)} ${endpoint.help}\n`).join("");
}

function end(
  response: ServerResponse,
  { status, contentType, body }: Page,
  method: string | undefined,
  methods: readonly string[],
): void {
  const allowed = methods.includes("GET")
    ? ["GET", "HEAD", ...methods.filter((each) => each !== "GET")]
    : methods;
  response.writeHead(status, {
    "Content-Type": contentType,
    "Content-Length": Buffer.byteLength(body),
    "Cache-Control": "no-store",
    ...(status === 405 && { Allow: allowed.join(", ") }),
    // What may come behind the head of anything but these is not waited for.
    ...(method !== "GET" && method !== "HEAD" && { Connection: "close" }),
  });
  response.end(method === "HEAD" ? undefined : body);
}
