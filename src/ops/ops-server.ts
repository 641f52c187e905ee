/**
 * The listener for those who run Orca: probes, Prometheus, the status of the cluster. It is apart from the clients'
 * listener, so that a flood of clients cannot make a live replica look dead, and so that neither port shows what belongs
 * to the other. It has no authentication and says nothing secret; a network policy decides who reaches it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type ClusterStatusSource, clusterStatus } from "./cluster-status.ts";
import type { Readiness } from "./health.ts";
import type { MetricsRegistry } from "./metrics.ts";

export interface OpsServerOptions {
  /** `server.ops_listen`. Port 0 takes a free one. */
  readonly host: string;
  readonly port: number;
  readonly readiness: Readiness;
  readonly metrics: MetricsRegistry;
  readonly cluster: ClusterStatusSource;
  readonly logger: Logger;
  /** Connections at once; further ones are closed unanswered. */
  readonly connectionsMax?: number;
  /** How long a client may take to send a request, and how long an idle connection is kept. */
  readonly requestTimeoutMs?: number;
}

interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

const help = `Orca

/healthz  200 as long as this process lives
/readyz   200 when this replica should be sent clients, else 503 with the reasons
/metrics  metrics in the Prometheus text format
/cluster  what this replica knows of its cluster, as JSON; "orca status" prints it
`;

function textPage(status: number, body: string): Page {
  return { status, contentType: "text/plain; charset=utf-8", body };
}

function jsonPage(status: number, value: unknown): Page {
  return { status, contentType: "application/json", body: `${JSON.stringify(value)}\n` };
}

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
    let page: Page;
    try {
      page = await this.#page(request);
    } catch (error) {
      this.#options.logger.error({ error, path: request.url }, "Cannot answer an ops request");
      page = textPage(500, "internal error, see the log\n");
    }
    response.writeHead(page.status, {
      "Content-Type": page.contentType,
      "Content-Length": Buffer.byteLength(page.body),
      "Cache-Control": "no-store",
      ...(page.status === 405 && { Allow: "GET, HEAD", Connection: "close" }),
    });
    response.end(request.method === "HEAD" ? undefined : page.body);
  }

  async #page(request: IncomingMessage): Promise<Page> {
    if (request.method !== "GET" && request.method !== "HEAD") return textPage(405, "only GET and HEAD\n");
    const { readiness, metrics, cluster } = this.#options;
    switch (request.url?.split("?", 1)[0]) {
      case "/":
        return textPage(200, help);
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
