/**
 * One replica that sends chunks from its memory to three peers at once, over mutual TLS: how fast, at what CPU time, and what
 * part of it the main thread takes, which bounds what the replica can send. The peers share the cores with it, so the
 * CPU time says more than GB/s.
 */
import { type ChildProcess, fork } from "node:child_process";
import { MiB } from "../../src/base/units.ts";
import { type CertificateFiles, ClusterCertificates } from "../support/cluster-certificates.ts";
import { type Contender, freeOfCore, freePort } from "./contender.ts";
import { load } from "./http-load.ts";
import type { MeshReader, MeshReads } from "./mesh-reader.ts";
import { startOrca } from "./orca-config.ts";
import { eachMeasured, median, takeTurns } from "./workload.ts";

export interface MeshReadersFigures {
  readonly gigabytesPerSecond: number;
  readonly cpuSecondsPerGigabyte: number;
  /** What the main thread could send if it did nothing else and had a core for itself. */
  readonly mainGigabytesPerSecond: number;
  /** Of the CPU time of the process, from 0 to 1. */
  readonly mainShare: number;
}

export const readersCount = 3;
const streamsPerReader = 4;
const objectBytes = 8 * MiB;
const objects = 64;
const rounds = 5;
const warmUpMs = 1000;
const measuredMs = 2000;

/** A replica and the peers that read from it. */
interface Served {
  readonly replica: Contender;
  readonly readers: readonly ChildProcess[];
}

/** With so many threads, which send chunks themselves or leave that to the main thread. */
export interface MeshSender {
  readonly threads: number;
  readonly hasBytesPort: boolean;
}

/** In turn. Each replica started is put into `running`. */
export async function compareMeshReaders(
  origin: Contender,
  folder: string,
  running: Contender[],
  senders: readonly MeshSender[],
): Promise<Map<string, MeshReadersFigures | Error>> {
  const certificates = await ClusterCertificates.create();
  const served = new Map<string, Served>();
  try {
    for (const { threads, hasBytesPort } of senders) {
      const named = threads === 1 ? "orca" : `orca with ${threads} threads`;
      const name = hasBytesPort ? `${named} and a port for chunk bytes` : named;
      served.set(name, await serve({ origin, folder, running, certificates, name, threads, hasBytesPort }));
    }
    const replicas = [...served.values()].map(({ replica }) => replica);
    const measured = await takeTurns(replicas, rounds, async (replica, round) => {
      const { readers } = served.get(replica.name) as Served;
      if (round === 0) await readAll(readers, warmUpMs);
      return measure(replica, readers);
    });
    return eachMeasured(measured, medians);
  } finally {
    for (const { replica, readers } of served.values()) {
      for (const reader of readers) reader.disconnect();
      await replica.stop();
    }
    certificates.remove();
  }
}

interface ReplicaOptions extends MeshSender {
  readonly origin: Contender;
  readonly folder: string;
  readonly running: Contender[];
  readonly certificates: ClusterCertificates;
  readonly name: string;
}

async function serve({
  origin,
  folder,
  running,
  certificates,
  hasBytesPort,
  ...rest
}: ReplicaOptions): Promise<Served> {
  const port = await freePort();
  const ports = { port, peerPorts: [port], ...(hasBytesPort && { bytesPort: await freePort() }) };
  const mesh = { replicaId: "r0", ...ports, files: await filesOf(certificates, "r0") };
  const replica = await startOrca({ originPort: origin.port, folder, memory: "1GiB", mesh, ...rest });
  running.push(replica);
  const versions = Array.from({ length: objects }, (_, index) => {
    const objectKey = `mesh${index}-${objectBytes}`;
    const etag = "bench";
    const sizes = { sizeBytes: objectBytes, chunkSizeBytes: objectBytes };
    return { originId: "bench", bucket: "bench", objectKey, etag, ...sizes };
  });
  for (const { objectKey } of versions) {
    const request = { path: `/bench/${objectKey}`, range: "", bodyBytes: objectBytes };
    await load({ port: replica.port, connections: 1, durationMs: 0, next: () => request });
  }
  const filesOfReaders: CertificateFiles[] = [];
  for (let index = 1; index <= readersCount; index += 1)
    filesOfReaders.push(await filesOf(certificates, `r${index}`));
  // Nothing that may fail follows, so no peer is left running.
  const readers = filesOfReaders.map((files) => {
    const reader: MeshReader = { port, files, versions, streams: streamsPerReader };
    const child = fork(new URL("mesh-reader.ts", import.meta.url), [JSON.stringify(reader)]);
    freeOfCore(child);
    return child;
  });
  return { replica, readers };
}

function filesOf(certificates: ClusterCertificates, id: string): Promise<CertificateFiles> {
  return certificates.files(id, { uris: [`urn:orca:replica:${id}`] });
}

async function measure(replica: Contender, readers: readonly ChildProcess[]): Promise<MeshReadersFigures> {
  const [before, mainBefore] = [replica.cpuSeconds(), replica.mainThreadSeconds()];
  const reads = await readAll(readers, measuredMs);
  const cpuSeconds = replica.cpuSeconds() - before;
  const mainSeconds = replica.mainThreadSeconds() - mainBefore;
  const gigabytes = reads.reduce((sum, { bytes }) => sum + bytes, 0) / 1e9;
  return {
    gigabytesPerSecond: gigabytes / Math.max(...reads.map(({ seconds }) => seconds)),
    cpuSecondsPerGigabyte: cpuSeconds / gigabytes,
    mainGigabytesPerSecond: gigabytes / mainSeconds,
    mainShare: mainSeconds / cpuSeconds,
  };
}

function readAll(readers: readonly ChildProcess[], durationMs: number): Promise<MeshReads[]> {
  return Promise.all(readers.map((reader) => read(reader, durationMs)));
}

function read(reader: ChildProcess, durationMs: number): Promise<MeshReads> {
  const { promise, resolve, reject } = Promise.withResolvers<MeshReads>();
  const onExit = (): void => reject(new Error("a peer that reads chunks ended"));
  reader.once("exit", onExit);
  reader.once("message", (reads) => {
    reader.off("exit", onExit);
    resolve(reads as MeshReads);
  });
  reader.send(durationMs);
  return promise;
}

function medians(figures: readonly MeshReadersFigures[]): MeshReadersFigures {
  const of = (name: keyof MeshReadersFigures): number => median(figures.map((each) => each[name]));
  return {
    gigabytesPerSecond: of("gigabytesPerSecond"),
    cpuSecondsPerGigabyte: of("cpuSecondsPerGigabyte"),
    mainGigabytesPerSecond: of("mainGigabytesPerSecond"),
    mainShare: of("mainShare"),
  };
}
