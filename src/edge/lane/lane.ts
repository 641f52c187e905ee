/**
 * The lean lane: the way of requests in the strict form (head-parser.ts), past node:http. A hit costs less CPU time than
 * there. node:http receives every connection that sends anything else, from its first such byte, so
 * that leniency, errors and odd clients stay llhttp's (docs/decisions/0064-requests-in-the-strict-form-pass-node-http.md).
 *
 * What node:http does for its connections is done here for those in the lane: they may be idle for the keep-alive timeout,
 * and owe a head for the header timeout. One timer looks after all of them, because a timer for each request costs more
 * than the rest of its head.
 */
import type { Socket } from "node:net";
import { assert } from "../../base/assert.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { ownText } from "../../object/heap-text.ts";
import type { EdgeServer } from "../edge-server.ts";
import { formatHttpDate } from "../http-date.ts";
import type { Pipelines } from "../pipelines.ts";
import type { EdgeRequest, EdgeResponse } from "./edge-request.ts";
import { HeadParser } from "./head-parser.ts";
import { LaneConnection, type LaneContext, scratchBytes } from "./lane-connection.ts";
import { readBufferBytes } from "./read-buffer.ts";

export interface LaneOptions {
  readonly server: EdgeServer;
  readonly clock: Clock;
  readonly keepAliveTimeoutMs: number;
  readonly headerTimeoutMs: number;
  readonly clientStallTimeoutMs: number;
  readonly pipelines: Pipelines;
  serve(request: EdgeRequest, response: EdgeResponse): void;
  /** Nothing has moved on the connection for `clientStallTimeoutMs`. */
  onStalled(socket: Socket): void;
  /** Its head did not come in time, or ended in the middle. `code` is what node:http's error would have. */
  onBrokenHead(socket: Socket, code: string): void;
}

/** Sweeps in the shorter of the two timeouts, at most one a second. */
const sweepsPerTimeout = 4;
const sweepMsMax = 1000;

/** As node:http: a client learns a shorter time than it has. */
const keepAliveGraceMs = 1000;

export class Lane implements LaneContext {
  readonly parser = new HeadParser();
  scratch = Buffer.allocUnsafeSlow(scratchBytes);
  readonly readBuffer = Buffer.allocUnsafeSlow(readBufferBytes);
  readonly isTls: boolean;
  readonly pipelines: Pipelines;
  readonly #options: LaneOptions;
  readonly #adopt: (this: EdgeServer, socket: Socket) => void;
  readonly #connections = new Set<LaneConnection>();
  readonly #idleSweepsMax: number;
  readonly #lateSweepsMax: number;
  readonly #sweepMs: number;
  readonly #keepAlive: string;
  #sweep: Timer | undefined;
  #secondEnd: Timer | undefined;
  #keptEnd = "";
  #closedEnd = "";
  #closesIdle = false;

  /** Takes the place of node:http's listener for new connections. */
  constructor(options: LaneOptions) {
    this.#options = options;
    const { server, keepAliveTimeoutMs, headerTimeoutMs, clientStallTimeoutMs } = options;
    this.pipelines = options.pipelines;
    this.isTls = "setSecureContext" in server;
    const event = this.isTls ? "secureConnection" : "connection";
    const listeners = server.listeners(event);
    assert(listeners.length === 1, "node:http has one listener for connections");
    this.#adopt = listeners[0] as (socket: Socket) => void;
    server.removeAllListeners(event);
    server.on(event, (socket: Socket) => {
      this.#connections.add(new LaneConnection(socket, this, clientStallTimeoutMs));
    });
    this.#sweepMs =
      Math.min(keepAliveTimeoutMs, headerTimeoutMs, sweepMsMax * sweepsPerTimeout) / sweepsPerTimeout;
    this.#idleSweepsMax = Math.ceil((keepAliveTimeoutMs + keepAliveGraceMs) / this.#sweepMs);
    this.#lateSweepsMax = Math.ceil(headerTimeoutMs / this.#sweepMs);
    const seconds = Math.floor(keepAliveTimeoutMs / 1000);
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${seconds}\r\n\r\n`;
  }

  start(): void {
    const timer = this.#options.clock.timer(this.#sweepMs, () => {
      timer.refresh();
      this.#look();
    });
    this.#sweep = timer;
  }

  stop(): void {
    this.#sweep?.cancel();
    this.#secondEnd?.cancel();
    this.#keptEnd = "";
  }

  /**
   * Closes those that wait for their next request. A sweep does so after that, too, with those that nobody uses: a client
   * may open connections for requests to come, and a new one gets the time in which its first request can arrive.
   */
  closeIdle(): void {
    this.#closesIdle = true;
    for (const connection of this.#connections)
      if (connection.isIdle || connection.isUnused) connection.destroy();
  }

  serve(request: EdgeRequest, response: EdgeResponse): void {
    this.#options.serve(request, response);
  }

  handOver(connection: LaneConnection, socket: Socket): void {
    this.#connections.delete(connection);
    this.#adopt.call(this.#options.server, socket);
  }

  headEnd(keepsAlive: boolean): string {
    if (this.#keptEnd === "") this.#writeEnds();
    return keepsAlive ? this.#keptEnd : this.#closedEnd;
  }

  /** For all heads of this second. As in node:http, a timer ends it, so that no response has to ask for the time. */
  #writeEnds(): void {
    const { clock } = this.#options;
    const nowMs = clock.now();
    const date = `Date: ${formatHttpDate(nowMs)}\r\n`;
    this.#keptEnd = ownText(date + this.#keepAlive);
    this.#closedEnd = ownText(`${date}Connection: close\r\n\r\n`);
    this.#secondEnd = clock.timer(1000 - (nowMs % 1000), () => {
      this.#keptEnd = "";
    });
  }

  stalled(socket: Socket): void {
    this.#options.onStalled(socket);
  }

  brokenHead(socket: Socket): void {
    this.#options.onBrokenHead(socket, "HPE_INVALID_EOF_STATE");
  }

  closed(connection: LaneConnection): void {
    this.#connections.delete(connection);
  }

  #look(): void {
    for (const connection of this.#connections) {
      if (connection.isIdle) {
        connection.idleSweeps += 1;
        connection.stopTimer();
        if (connection.idleSweeps > this.#idleSweepsMax) connection.destroy();
      } else if (connection.owesHead) {
        connection.lateSweeps += 1;
        if (connection.lateSweeps > this.#lateSweepsMax) this.#endLate(connection);
      }
    }
    if (this.#closesIdle) this.closeIdle();
  }

  #endLate(connection: LaneConnection): void {
    this.#connections.delete(connection);
    connection.leave();
    this.#options.onBrokenHead(connection.socket, "ERR_HTTP_REQUEST_TIMEOUT");
  }
}
