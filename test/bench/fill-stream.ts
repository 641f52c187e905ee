/**
 * What the FillChunk codec costs: chunks from one process to another over loopback, through our handler and call, and
 * as a plain node:http2 stream of the same slices in the same session settings, turn by turn. The plain stream's reader
 * only counts, so the difference is the codec and the one copy into the sink.
 *
 *     node test/bench/fill-stream.ts [MiB in all, 1024] [streams at once, 4]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { ConnectError } from "@connectrpc/connect";
import { ChunkSource } from "../../gen/orca/v1/fill_pb.ts";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { callFillChunk } from "../../src/mesh/fill-chunk-call.ts";
import { FillChunkHandler, type FillSlices, fillChunkPath } from "../../src/mesh/fill-chunk-handler.ts";
import { serverLimits, sessionLimits, sessionWindowBytes, settingsFor } from "../../src/mesh/http2-limits.ts";

const chunkBytes = 8 * MiB;
const clock = new SystemClock();
const segment = Buffer.from(new SharedArrayBuffer(MiB)).fill(7);

/** A chunk in memory, as a reader gives it out. */
class HotSlices implements FillSlices {
  #owedBytes = chunkBytes;

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

function serve(): void {
  const handler = new FillChunkHandler({
    answer: async () => ({
      lengthBytes: chunkBytes,
      source: ChunkSource.MEMORY,
      slices: new HotSlices(),
      sha256: () => new Uint8Array(32),
    }),
    toConnectError: (thrown) => ConnectError.from(thrown),
    clock,
    requestTimeoutMs: 5000,
    stallTimeoutMs: 5000,
  });
  const server = http2.createServer({ ...serverLimits, settings: settingsFor("bytes") });
  server.on("stream", (stream: http2.ServerHttp2Stream, headers) => {
    if (headers[":path"] === fillChunkPath) return handler.handle(stream, headers);
    stream.respond({ ":status": 200 });
    const slices = new HotSlices();
    const next = (): void => {
      const slice = slices.take();
      if (slices.done) stream.end(slice);
      else stream.write(slice, next);
    };
    next();
  });
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
  process.on("disconnect", () => process.exit());
}

/** Room for one segment after another, as a flight has it. */
class SegmentSink {
  readonly #segment = Buffer.from(new SharedArrayBuffer(MiB));
  #filledBytes = 0;

  space(): Buffer {
    return this.#segment.subarray(this.#filledBytes);
  }

  advance(lengthBytes: number): void {
    this.#filledBytes = (this.#filledBytes + lengthBytes) % MiB;
  }
}

async function readPlain(session: http2.ClientHttp2Session): Promise<void> {
  const stream = session.request({ ":path": "/plain" });
  let receivedBytes = 0;
  stream.on("data", (slice: Buffer) => {
    receivedBytes += slice.length;
  });
  await once(stream, "close");
  if (receivedBytes !== chunkBytes) throw new Error(`received ${receivedBytes} bytes`);
}

async function readOurs(session: http2.ClientHttp2Session): Promise<void> {
  const sink = new SegmentSink();
  const { signal } = new AbortController();
  await callFillChunk({ session, request: {}, onHeader: () => sink, signal, clock, stallTimeoutMs: 5000 });
}

type Read = (session: http2.ClientHttp2Session) => Promise<void>;

/** Seconds for `count` chunks, `width` of them at once. */
async function timed(
  session: http2.ClientHttp2Session,
  read: Read,
  count: number,
  width: number,
): Promise<number> {
  let left = count;
  const startMs = performance.now();
  const lane = async (): Promise<void> => {
    while (left-- > 0) await read(session);
  };
  await Promise.all(Array.from({ length: width }, lane));
  return (performance.now() - startMs) / 1000;
}

async function measure(totalMiB: number, width: number): Promise<void> {
  const server = fork(import.meta.filename, ["serve"]);
  const [port] = (await once(server, "message")) as [number];
  const session = http2.connect(`http://127.0.0.1:${port}`, {
    ...sessionLimits,
    settings: settingsFor("bytes"),
  });
  await once(session, "connect");
  session.setLocalWindowSize(sessionWindowBytes);
  const count = Math.max(8, Math.round((totalMiB * MiB) / chunkBytes / 4));
  const contenders: readonly (readonly [string, Read, number[]])[] = [
    ["plain node:http2", readPlain, []],
    ["FillChunk", readOurs, []],
  ];
  // The first turn warms up and is thrown away.
  for (let turn = 0; turn < 5; turn += 1) {
    for (const [, read, rates] of contenders) {
      const seconds = await timed(session, read, count, width);
      if (turn > 0) rates.push((count * chunkBytes) / seconds / 1e9);
    }
  }
  const [plain = 0, ours = 0] = contenders.map(([name, , rates]) => {
    const median = rates.toSorted((left, right) => left - right)[rates.length >> 1] as number;
    console.log(`${name.padEnd(20)} ${median.toFixed(2)} GB/s`);
    return median;
  });
  console.log(`ratio ${(ours / plain).toFixed(2)} (${count} chunks of 8 MiB a turn, ${width} streams)`);
  session.close();
  server.disconnect();
}

if (process.argv[2] === "serve") serve();
else await measure(Number(process.argv[2] ?? 1024), Number(process.argv[3] ?? 4));
