/**
 * The origin of a rehearsal: a server of this process on loopback. Every GET is answered with all bytes of an object of
 * {@link rehearsedBytes}, as S3 and Azure answer a range that is longer than the object.
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { KiB } from "../../base/units.ts";

/** Small: the time of a first byte does not depend on it, and one slab holds all objects of a rehearsal. */
export const rehearsedBytes = 4 * KiB;

const answer = Buffer.concat([
  Buffer.from(
    [
      "HTTP/1.1 206 Partial Content",
      `Content-Length: ${rehearsedBytes}`,
      `Content-Range: bytes 0-${rehearsedBytes - 1}/${rehearsedBytes}`,
      "Content-Type: application/octet-stream",
      'ETag: "rehearsal"',
      "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT",
      "x-ms-blob-type: BlockBlob",
      "\r\n",
    ].join("\r\n"),
  ),
  Buffer.alloc(rehearsedBytes),
]);

export class RehearsalOrigin {
  readonly #server: Server = createServer({ noDelay: true }, (socket) => this.#serve(socket));
  readonly #sockets = new Set<Socket>();

  /** Resolves with its URL. @throws Error where nothing can listen on loopback. */
  start(): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#server.on("error", reject);
    this.#server.listen({ host: "127.0.0.1", port: 0 }, () => {
      resolve(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
    });
    return promise;
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => this.#sockets.delete(socket));
    // Orca sends a head in one write, and no request before the answer to the last one.
    let end = "";
    socket.on("data", (bytes) => {
      end = (end + bytes.toString("latin1")).slice(-4);
      if (end === "\r\n\r\n") socket.write(answer);
    });
  }
}
