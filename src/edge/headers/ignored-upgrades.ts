/**
 * Requests with an `Upgrade`. Orca ignores it, as HTTP allows (RFC 9110 §7.8): Java's HTTP clients ask for one on plain
 * connections, and want the answer and the connection all the same. But Node's parser stops at the end of such a request,
 * and drops what the same read brought after it. A request that was sent ahead would have no answer, and the client would
 * take the next answer for that one. So a connection is kept only if nothing can have been dropped.
 */
import type { Socket } from "node:net";
import type { EdgeRequest } from "../lane/edge-request.ts";

export class IgnoredUpgrades {
  /** How many bytes each connection had brought at the end of its last such request. */
  readonly #ends = new WeakMap<Socket, number>();

  /**
   * Whether all that the connection has brought since the last such request is `message`, as clients write it: no body, and
   * one space after each colon. False wherever that is not certain. Only for a message that has just been parsed.
   */
  isAlone(message: EdgeRequest): boolean {
    const { socket, headers } = message;
    const begin = this.#ends.get(socket) ?? 0;
    this.#ends.set(socket, socket.bytesRead);
    if (headers["transfer-encoding"] !== undefined) return false;
    if (Number(headers["content-length"] ?? 0) !== 0) return false;
    return socket.bytesRead - begin === lengthOf(message);
  }
}

function lengthOf({ method = "", url = "", rawHeaders }: EdgeRequest): number {
  let length = `${method} ${url} HTTP/1.1\r\n\r\n`.length;
  for (const text of rawHeaders) length += text.length + 2;
  return length;
}
