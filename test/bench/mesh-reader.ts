/**
 * A peer that reads chunks of one replica over mutual TLS, in a process of its own: Orca's FillClient on its sessions, into
 * memory that nobody looks at. The bench forks it, tells it how long to read, and is told what it read.
 *
 *     fork("test/bench/mesh-reader.ts", [JSON.stringify(reader satisfies MeshReader)])
 */
import { argv } from "node:process";
import { SystemClock } from "../../src/base/clock.ts";
import type { Logger } from "../../src/base/logger.ts";
import { SystemRandom } from "../../src/base/random.ts";

import { ObjectVersion, type ObjectVersionFields } from "../../src/chunk/object-version.ts";
import { LocalFillCalls } from "../../src/mesh/fill-chunk/fill-calls.ts";
import { FillClient } from "../../src/mesh/fill-chunk/fill-client.ts";
import { MeshTls } from "../../src/mesh/session/mesh-tls.ts";
import { Peers } from "../../src/mesh/session/peers.ts";
import { type CertificateFiles, serverName } from "../support/cluster-certificates.ts";
import { SegmentSink } from "./fill-stream.ts";

export interface MeshReader {
  /** Of the replica that is asked. */
  readonly port: number;
  readonly files: CertificateFiles;
  /** Objects of one chunk each, all of them in the replica's memory. */
  readonly versions: readonly ObjectVersionFields[];
  readonly streams: number;
}

export interface MeshReads {
  readonly bytes: number;
  readonly seconds: number;
}

const { port, files, versions, streams } = JSON.parse(argv[2] as string) as MeshReader;
const logger: Logger = { isDebug: false, debug() {}, info() {}, warn: console.error, error: console.error };
const clock = new SystemClock();
const random = new SystemRandom();
const tls = await MeshTls.load({ ...files, serverName, clock, logger });
const peers = new Peers({ tls, clock, random, logger });
const client = new FillClient({ calls: new LocalFillCalls({ peers, clock }) });
const asked = versions.map((fields) => new ObjectVersion(fields));
const member = {
  replicaId: "r0",
  address: `127.0.0.1:${port}`,
  incarnation: 1,
  state: "alive",
  zone: "",
  fingerprint: "",
  clusterName: "",
} as const;
const { signal } = new AbortController();

async function readChunk(version: ObjectVersion): Promise<void> {
  const range = { offset: 0, lengthBytes: version.sizeBytes, passedOver: [], cachedOnly: true };
  const { source } = await client.read(
    member,
    { key: { version, index: 0 }, ...range },
    new SegmentSink(),
    signal,
  );
  if (source !== "memory") throw new Error(`a chunk came from "${source}" and not from memory`);
}

async function read(durationMs: number): Promise<MeshReads> {
  const startMs = performance.now();
  const bytesBefore = client.stats.receivedBytes;
  const lane = async (): Promise<void> => {
    do await readChunk(asked[Math.floor(random.next() * asked.length)] as ObjectVersion);
    while (performance.now() - startMs < durationMs);
  };
  await Promise.all(Array.from({ length: streams }, lane));
  const bytes = client.stats.receivedBytes - bytesBefore;
  return { bytes, seconds: (performance.now() - startMs) / 1000 };
}

process.on("message", (durationMs: number) => {
  void read(durationMs).then((reads) => process.send?.(reads));
});
process.on("disconnect", () => {
  peers.close();
  tls.stop();
});
