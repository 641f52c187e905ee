/**
 * A GET whose answer is what fetch() would give, by node:http. It takes half of the CPU, because a body passes no web
 * stream unless a test asks for one, and end-to-end tests read gigabytes.
 */
import { get, type IncomingMessage } from "node:http";
import { Readable } from "node:stream";

/** With several threads each request has a connection of its own, so that it meets any of them. */
const connection = process.env["ORCA_TEST_THREADS"] === undefined ? {} : { agent: false };

export function httpGet(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  get(url, { headers, ...connection }, (message) => resolve(responseOf(message))).on("error", reject);
  return promise;
}

function responseOf(message: IncomingMessage): Response {
  const headers = new Headers();
  for (let index = 0; index < message.rawHeaders.length; index += 2) {
    headers.append(message.rawHeaders[index] ?? "", message.rawHeaders[index + 1] ?? "");
  }
  // Where a body breaks off, whoever reads it hears of it then.
  message.on("error", () => {});
  const text = async (): Promise<string> => (await bytesOf(message)).toString();
  const { statusCode = 0, statusMessage = "" } = message;
  return Object.defineProperties(
    new Response(null, { status: statusCode, statusText: statusMessage, headers }),
    {
      body: { get: () => Readable.toWeb(message) },
      arrayBuffer: { value: async () => ownBuffer(await bytesOf(message)) },
      text: { value: text },
      json: { value: async () => JSON.parse(await text()) as unknown },
    },
  );
}

/** The whole body. `buffer` of node:stream/consumers does this by way of a Blob, which takes longer than the network. */
export async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(message as AsyncIterable<Buffer>));
}

/** Short bytes lie in Node's pool, together with others. */
function ownBuffer(bytes: Buffer): ArrayBufferLike {
  return bytes.length === bytes.buffer.byteLength ? bytes.buffer : Uint8Array.from(bytes).buffer;
}
