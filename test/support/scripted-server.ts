/**
 * A TCP or TLS server that answers each request head with exactly the bytes a test wrote down, at the moments the
 * test chose: HTTP servers are too well behaved to try a client with.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { TestCertificate } from "./certificate.ts";

/** A request as it arrived, and the socket to answer it on. */
export interface ScriptedRequest {
  readonly socket: Socket;
  /** Start line and headers, latin1, without the empty line. */
  readonly head: string;
  /** The number of its connection, and its own number on all of them, from 0. */
  readonly connection: number;
  readonly index: number;
}

export class ScriptedServer {
  readonly requests: ScriptedRequest[] = [];
  readonly sockets: Socket[] = [];
  readonly #server: Server;
  readonly #connections: Socket[] = [];

  private constructor(
    onRequest: (request: ScriptedRequest) => void,
    certificate: TestCertificate | undefined,
  ) {
    const onSocket = (socket: Socket): void => this.#serve(socket, onRequest);
    const options = { noDelay: true, allowHalfOpen: true };
    this.#server = certificate
      ? createTlsServer({ ...options, ...certificate }, onSocket)
      : createServer(options, onSocket);
    // Below TLS too: a handshake that fails leaves a socket that nobody else hears of.
    this.#server.on("connection", (socket) => this.#connections.push(socket));
  }

  static async start(
    onRequest: (request: ScriptedRequest) => void,
    certificate?: TestCertificate,
  ): Promise<ScriptedServer> {
    const server = new ScriptedServer(onRequest, certificate);
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of [...this.sockets, ...this.#connections]) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(socket: Socket, onRequest: (request: ScriptedRequest) => void): void {
    const connection = this.sockets.push(socket) - 1;
    let text = "";
    socket.setEncoding("latin1");
    // Clients under test reset connections.
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("data", (data: string) => {
      text += data;
      for (let end = text.indexOf("\r\n\r\n"); end !== -1; end = text.indexOf("\r\n\r\n")) {
        const request = { socket, head: text.slice(0, end), connection, index: this.requests.length };
        text = text.slice(end + 4);
        this.requests.push(request);
        onRequest(request);
      }
    });
  }
}

/** Status line, headers and body of one response. */
export function response(
  status: number,
  headers: Readonly<Record<string, string | number>>,
  body?: Buffer,
): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status} X\r\n${lines.join("")}\r\n`, "latin1"),
    body ?? Buffer.alloc(0),
  ]);
}
