/**
 * Requests that a client sends before it has the answers to earlier ones (pipelining). HTTP/1.1 answers them in order, so
 * a request whose turn has not come is only a parsed head here. It is not served: it asks nobody for anything, holds no
 * memory of chunks, and is no request in progress for `server.max_requests`.
 *
 * Invariants:
 * 1. A connection with {@link pipelinedRequestsMax} requests without a complete answer is not read from. Node parses
 *    what one read brought (64 KiB) to its end, so a connection may exceed this once, by the requests of that read.
 * 2. Over all connections at most `waitingMax` requests wait. A connection that brings one more is cut.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { ProcessLimits } from "./threads/process-limits.ts";

/** Requests of one connection that may be read before the first of them is answered. */
export const pipelinedRequestsMax = 16;

interface Pipeline {
  waiting: number;
}

export class Pipelines {
  /** Connections that were cut because too many requests waited. */
  cut = 0;
  readonly #waitingMax: number;
  readonly #limits: Pick<ProcessLimits, "waiting" | "addWaiting"> | undefined;
  /** Connections on which a request has waited. One that does not pipeline never gets in here. */
  readonly #pipelines = new Map<Socket, Pipeline>();
  #waiting = 0;

  /** `limits`: where several threads share the limit. */
  constructor(waitingMax: number, limits?: Pick<ProcessLimits, "waiting" | "addWaiting">) {
    this.#waitingMax = waitingMax;
    this.#limits = limits;
  }

  /** Requests that wait for the answers before them on their connection. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Calls `serve` when the turn of `response` has come. Only for a response that has no socket yet. */
  wait({ socket }: IncomingMessage, response: ServerResponse, serve: () => void): void {
    if (socket.destroyed) return;
    if (this.#isFull) {
      this.cut += 1;
      socket.destroy();
      return;
    }
    const pipeline = this.#pipelines.get(socket) ?? this.#begin(socket);
    pipeline.waiting += 1;
    this.#count(1);
    if (isFull(pipeline)) socket.pause();
    response.once("socket", () => {
      pipeline.waiting -= 1;
      this.#count(-1);
      if (!isFull(pipeline)) socket.resume();
      serve();
    });
  }

  /** For a connection of the lean lane, which bounds its own. False: too many wait, and the connection is to be cut. */
  tryWait(): boolean {
    if (this.#isFull) {
      this.cut += 1;
      return false;
    }
    this.#count(1);
    return true;
  }

  /** So many that {@link tryWait} has counted do not wait any more. */
  leave(count: number): void {
    this.#count(-count);
  }

  get #isFull(): boolean {
    return (this.#limits?.waiting ?? this.#waiting) >= this.#waitingMax;
  }

  #count(change: number): void {
    this.#waiting += change;
    this.#limits?.addWaiting(change);
  }

  #begin(socket: Socket): Pipeline {
    const pipeline = { waiting: 0 };
    this.#pipelines.set(socket, pipeline);
    // After each answer Node resumes the socket to read the rest of that request, and would read the next ones.
    socket.on("resume", () => {
      if (isFull(pipeline)) socket.pause();
    });
    socket.once("close", () => {
      this.#pipelines.delete(socket);
      this.#count(-pipeline.waiting);
      pipeline.waiting = 0;
    });
    return pipeline;
  }
}

/** With the one whose turn it is, which does not wait. */
function isFull({ waiting }: Pipeline): boolean {
  return waiting + 1 >= pipelinedRequestsMax;
}
