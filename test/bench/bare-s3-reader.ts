/**
 * The least that reading chunks from an S3 store can cost: signed GETs of the wire client, and bodies into one buffer and
 * forgotten. It stands in Orca's place, on Orca's core, so it is told over HTTP what to read: a POST with a key on each
 * line is answered with the number of bytes when all of them have come.
 *
 *     node test/bench/bare-s3-reader.ts PORT ENDPOINT BUCKET READS_AT_ONCE
 */
import { createServer } from "node:http";
import { argv, env } from "node:process";
import { text } from "node:stream/consumers";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { SignedRequests } from "../../src/s3-client/signed-requests.ts";
import { storeFaults } from "../../src/store/cachestore/s3/chunk-bucket.ts";

const [port, endpoint, bucket = "", readsAtOnce] = argv.slice(2);
const timeoutMs = 10_000;
/** Shared by all reads: bodies are thrown away, so one may overwrite the other's. */
const scratch = Buffer.from(new SharedArrayBuffer(MiB));
const { signal } = new AbortController();

const wire = new SignedRequests({
  endpoint,
  region: "us-east-1",
  usePathStyle: true,
  credentials: {
    accessKeyId: env["ORCA_CACHESTORE_S3_ACCESS_KEY"] ?? "",
    secretAccessKey: env["ORCA_CACHESTORE_S3_SECRET_KEY"] ?? "",
  },
  connectionsIdleMax: Number(readsAtOnce),
  connectTimeoutMs: timeoutMs,
  attemptTimeoutMs: timeoutMs,
  stallTimeoutMs: timeoutMs,
  faults: storeFaults,
  clock: new SystemClock(),
});

/** Bytes of all objects. Rejects where one is not there. */
async function readAll(keys: readonly string[]): Promise<number> {
  let receivedBytes = 0;
  const sink = {
    space: () => scratch,
    advance: (lengthBytes: number) => {
      receivedBytes += lengthBytes;
    },
  };
  const left = [...keys];
  const lane = async (): Promise<void> => {
    for (let key = left.shift(); key !== undefined; key = left.shift()) {
      const { status } = await wire.request({ method: "GET", bucket, key }, () => sink, signal);
      if (status !== 200) throw new Error(`"${key}" was answered with ${status}`);
    }
  };
  await Promise.all(Array.from({ length: Number(readsAtOnce) }, lane));
  return receivedBytes;
}

createServer((request, response) => {
  text(request)
    .then((body) => readAll(body.split("\n")))
    .then(
      (receivedBytes) => response.end(String(receivedBytes)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
}).listen(Number(port), "127.0.0.1");
