/**
 * The sending side of the mesh's bench: one chunk in memory, answered through FillChunkHandler on its path and as a plain
 * node:http2 stream of the same slices on every other one, in the same session settings.
 *
 *     node test/bench/fill-stream-server.ts PORT [CERT_FILE KEY_FILE CA_FILE]
 */
import { readFileSync } from "node:fs";
import * as http2 from "node:http2";
import { argv } from "node:process";
import { ChunkSource } from "../../gen/orca/v1/fill_pb.ts";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import {
  FillChunkHandler,
  type FillSlices,
  fillChunkPath,
} from "../../src/mesh/fill-chunk/fill-chunk-handler.ts";
import { serverLimits, settingsFor } from "../../src/mesh/session/http2-limits.ts";

const lengthBytes = 8 * MiB;
const segment = Buffer.from(new SharedArrayBuffer(MiB)).fill(7);

/** A chunk in memory, as a reader gives it out. */
class HotSlices implements FillSlices {
  #owedBytes = lengthBytes;

  get done(): boolean {
    return this.#owedBytes === 0;
  }

  take(): Buffer {
    this.#owedBytes -= segment.length;
    return segment;
  }

  async ready(): Promise<void> {}
  release(): void {}
  close(): void {}
}

function answerPlain(stream: http2.ServerHttp2Stream): void {
  stream.respond({ ":status": 200 });
  const slices = new HotSlices();
  const next = (): void => {
    const slice = slices.take();
    if (slices.done) stream.end(slice);
    else stream.write(slice, next);
  };
  next();
}

const handler = new FillChunkHandler({
  clock: new SystemClock(),
  answer: () => ({
    lengthBytes,
    source: ChunkSource.MEMORY,
    slices: new HotSlices(),
    sha256: async () => new Uint8Array(32),
  }),
});
const [port, ...files] = argv.slice(2);
const [cert, key, ca] = files.map((file) => readFileSync(file));
const options = { ...serverLimits, settings: settingsFor("bytes") };
const server =
  cert && key && ca
    ? http2.createSecureServer({ ...options, cert, key, ca, requestCert: true, minVersion: "TLSv1.3" })
    : http2.createServer(options);
server.on("stream", (stream: http2.ServerHttp2Stream, headers) => {
  if (headers[":path"] === fillChunkPath) handler.handle(stream, headers);
  else answerPlain(stream);
});
// Whoever waits for the port closes its connection without a word.
server.on("sessionError", () => undefined);
server.listen(Number(port), "127.0.0.1");
