/** The node:http server of the S3 endpoint: its limits, and its TLS. */
import { constants } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { SecureContextOptions } from "node:tls";
import type { TlsSource } from "../base/tls-files.ts";
import type { EdgeStats } from "./edge-stats.ts";
import { ExchangeResponse } from "./exchange.ts";
import { headerSizeBytesMax } from "./malformed-request.ts";

export type EdgeServer = Server<typeof IncomingMessage, typeof ExchangeResponse>;

export interface EdgeServerOptions {
  readonly keepAliveTimeoutMs: number;
  readonly headerTimeoutMs: number;
  readonly tls: TlsSource | undefined;
  readonly certificatesOptional?: boolean;
  readonly stats: EdgeStats;
}

export function createEdgeServer(options: EdgeServerOptions): EdgeServer {
  const { tls, keepAliveTimeoutMs, headerTimeoutMs, stats } = options;
  const http = {
    ServerResponse: ExchangeResponse,
    // HTTP/1.1 needs one (framing-fault.ts), and Node's own answer would not be an S3 error.
    requireHostHeader: false,
    maxHeaderSize: headerSizeBytesMax,
    keepAliveTimeout: keepAliveTimeoutMs,
    headersTimeout: headerTimeoutMs,
    requestTimeout: headerTimeoutMs,
    // Node checks for late requests every 30 s by default, which is longer than the timeout itself.
    connectionsCheckingInterval: headerTimeoutMs,
    noDelay: true,
  };
  if (!tls) return createHttpServer(http);
  const { secureContextOptions } = tls;
  const mutual = secureContextOptions.ca !== undefined;
  const server = createHttpsServer({
    ...http,
    ...withoutTickets(secureContextOptions),
    requestCert: mutual,
    rejectUnauthorized: mutual && !options.certificatesOptional,
    handshakeTimeout: headerTimeoutMs,
  });
  // Node emits clientError for a failed handshake as well, and leaves the socket to the listener of that event. No answer
  // can be sent: until the handshake has ended, an orderly end of the socket never comes.
  server.prependListener("tlsClientError", (_error, socket) => {
    stats.handshakesFailed += 1;
    socket.destroy();
  });
  return server;
}

/** New handshakes use the certificate of `context`. */
export function setCertificate(server: EdgeServer, context: SecureContextOptions): void {
  if ("setSecureContext" in server) {
    (server as ReturnType<typeof createHttpsServer>).setSecureContext(withoutTickets(context));
  }
}

/** A resumed session would rest on a client certificate that was checked long ago, by another authority perhaps. */
function withoutTickets(context: SecureContextOptions): SecureContextOptions {
  return context.ca === undefined ? context : { ...context, secureOptions: constants.SSL_OP_NO_TICKET };
}
