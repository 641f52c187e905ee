/** What a server answers to bytes on a connection of their own, and whether it closes the connection. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface RawServer {
  readonly port: number;
  /** Of its certificate, where it speaks TLS. */
  readonly ca?: string;
}

export interface RawAnswer {
  readonly status: number;
  /** By names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Sends `pieces` one after the other, each a packet of its own, and resolves when the server has closed its side. */
export async function rawExchange(server: RawServer, ...pieces: readonly string[]): Promise<RawAnswer[]> {
  const socket = await open(server);
  let received = "";
  socket.setEncoding("latin1").on("data", (text: string) => (received += text));
  const ended = once(socket, "end");
  try {
    for (const piece of pieces) {
      socket.write(Buffer.from(piece, "latin1"));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await ended;
  } finally {
    socket.destroy();
  }
  return answersIn(received);
}

/** The client leaves its own side open, so that only the server can close the connection. */
async function open({ port, ca }: RawServer): Promise<Socket> {
  const address = { port, host: "127.0.0.1", allowHalfOpen: true };
  const socket =
    ca === undefined ? connect(address) : connectTls({ ...address, ca, servername: "localhost" });
  await once(socket, ca === undefined ? "connect" : "secureConnect");
  // A server that has not read everything resets the connection after its answer.
  socket.on("error", () => socket.emit("end"));
  return socket.setNoDelay();
}

/** Answers as a client frames them: each has a Content-Length. An answer to a HEAD would not. */
function answersIn(received: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = received;
  while (rest !== "") {
    const headEnd = rest.indexOf("\r\n\r\n");
    const [statusLine = "", ...lines] = rest.slice(0, headEnd).split("\r\n");
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1];
    assert.ok(headEnd > 0 && status !== undefined, `no answer: ${JSON.stringify(rest.slice(0, 200))}`);
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(": ");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 2)];
      }),
    );
    const bodyEnd = headEnd + 4 + Number(headers.get("content-length") ?? 0);
    assert.ok(rest.length >= bodyEnd, "an answer is short");
    answers.push({ status: Number(status), headers, body: rest.slice(headEnd + 4, bodyEnd) });
    rest = rest.slice(bodyEnd);
  }
  return answers;
}
