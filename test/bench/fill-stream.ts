/**
 * What the FillChunk codec costs: chunks from one process to another over loopback, through Orca's handler and call, and
 * as a plain node:http2 stream of the same slices, turn by turn on one session. The plain stream's reader only counts,
 * so the difference is the codec and the one copy into the sink.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import * as http2 from "node:http2";
import type { PlacedSink } from "../../src/base/byte-sink.ts";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { callFillChunk } from "../../src/mesh/fill-chunk/fill-chunk-call.ts";
import { defaultFillTimings } from "../../src/mesh/fill-chunk/fill-chunk-handler.ts";
import { sessionLimits, sessionWindowBytes, settingsFor } from "../../src/mesh/session/http2-limits.ts";
import { type CertificateFiles, ClusterCertificates, serverName } from "../support/cluster-certificates.ts";
import { type Contender, freePort, startNode } from "./contender.ts";
import { median } from "./workload.ts";

export interface FillStreamRates {
  readonly transport: string;
  /** GB/s, medians. */
  readonly plain: number;
  readonly fillChunk: number;
}

const chunkBytes = 8 * MiB;
const chunksPerTurn = 32;
const streamsAtOnce = 4;
const measuredTurns = 5;
const clock = new SystemClock();

/** Room for one segment after another, as a flight has it. */
export class SegmentSink implements PlacedSink {
  readonly #segment = Buffer.from(new SharedArrayBuffer(MiB));
  #filledBytes = 0;

  space(): Buffer {
    return this.#segment.subarray(this.#filledBytes);
  }

  spaceAhead(aheadBytes: number): Buffer {
    return this.#segment.subarray((this.#filledBytes + aheadBytes) % MiB);
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

async function readFillChunk(session: http2.ClientHttp2Session): Promise<void> {
  const sink = new SegmentSink();
  const { signal } = new AbortController();
  await callFillChunk({ session, request: {}, onHeader: () => sink, signal, clock, ...defaultFillTimings });
}

type Read = (session: http2.ClientHttp2Session) => Promise<void>;

/** GB/s of one turn. */
async function rateOf(session: http2.ClientHttp2Session, read: Read): Promise<number> {
  let left = chunksPerTurn;
  const startMs = performance.now();
  const lane = async (): Promise<void> => {
    while (left-- > 0) await read(session);
  };
  await Promise.all(Array.from({ length: streamsAtOnce }, lane));
  return (chunksPerTurn * chunkBytes) / (performance.now() - startMs) / 1e6;
}

async function connect(port: number, files: CertificateFiles | undefined) {
  const settings = { ...sessionLimits, settings: settingsFor("bytes") };
  const session = files
    ? http2.connect(`https://127.0.0.1:${port}`, {
        ...settings,
        cert: readFileSync(files.certFile),
        key: readFileSync(files.keyFile),
        ca: readFileSync(files.caFile),
        servername: serverName,
      })
    : http2.connect(`http://127.0.0.1:${port}`, settings);
  await once(session, "connect");
  session.setLocalWindowSize(sessionWindowBytes);
  return session;
}

async function compare(port: number, files: CertificateFiles | undefined): Promise<FillStreamRates> {
  const session = await connect(port, files);
  const plain: number[] = [];
  const fillChunk: number[] = [];
  // The first turn warms up and is thrown away.
  for (let turn = 0; turn <= measuredTurns; turn += 1) {
    plain.push(await rateOf(session, readPlain));
    fillChunk.push(await rateOf(session, readFillChunk));
  }
  session.close();
  return {
    transport: files ? "TLS 1.3" : "without TLS",
    plain: median(plain.slice(1)),
    fillChunk: median(fillChunk.slice(1)),
  };
}

/** Without TLS, and over it with certificates on both sides. Each server started is put into `running`. */
export async function compareFillStreams(running: Contender[]): Promise<FillStreamRates[]> {
  const certificates = await ClusterCertificates.create();
  try {
    const rates: FillStreamRates[] = [];
    for (const files of [undefined, await certificates.files("bench")]) {
      const port = await freePort();
      const paths = files ? [files.certFile, files.keyFile, files.caFile] : [];
      const args = ["test/bench/fill-stream-server.ts", String(port), ...paths];
      running.push(await startNode("mesh", port, args));
      rates.push(await compare(port, files));
    }
    return rates;
  } finally {
    certificates.remove();
  }
}
