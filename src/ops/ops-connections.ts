/**
 * The connections of the ops listener. A client that opens the maximum and sends nothing must not shut out the probes: a
 * supervisor ends a replica that does not answer them. So a new connection is always accepted, and at the limit another
 * one is closed for it: one without a request first, and among equals the one that has been idle for longest.
 */
import type { Socket } from "node:net";

export class OpsConnections {
  readonly stats = { closedForRoom: 0 };
  readonly #max: number;
  /** By when they last moved: the one that rests the longest comes first. The value counts their requests. */
  readonly #requests = new Map<Socket, number>();

  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#requests.size;
  }

  add(socket: Socket): void {
    if (this.#requests.size >= this.#max) this.#makeRoom();
    this.#requests.set(socket, 0);
    socket.once("close", () => this.#requests.delete(socket));
  }

  begin(socket: Socket): void {
    this.#move(socket, 1);
  }

  /** A part of a long answer is on its way. */
  progress(socket: Socket): void {
    this.#move(socket, 0);
  }

  end(socket: Socket): void {
    this.#move(socket, -1);
  }

  #move(socket: Socket, change: number): void {
    const requests = this.#requests.get(socket);
    if (requests === undefined) return;
    this.#requests.delete(socket);
    this.#requests.set(socket, requests + change);
  }

  #makeRoom(): void {
    let oldest: Socket | undefined;
    for (const [socket, requests] of this.#requests) {
      oldest ??= socket;
      if (requests > 0) continue;
      oldest = socket;
      break;
    }
    if (!oldest) return;
    this.stats.closedForRoom += 1;
    // Its `close` comes later, and until then it would count.
    this.#requests.delete(oldest);
    oldest.destroy();
  }
}
