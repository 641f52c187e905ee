/**
 * Several threads against one (`server.threads`), with both cores for server and load: how much CPU a hit costs, in memory
 * and on disk, and what part of it the main thread takes. That part bounds what further threads can bring.
 */
import { formatBytes, KiB, MiB } from "../../src/base/units.ts";
import type { Contender } from "./contender.ts";
import { type LoadRequest, load } from "./http-load.ts";
import { eachMeasured, median, takeTurns, type Workload } from "./workload.ts";

export interface ThreadFigures {
  readonly requestsPerSecond: number;
  readonly cpuMicroseconds: number;
  /** Of the CPU time of the process, from 0 to 1. */
  readonly mainShare: number;
}

const rounds = 5;
const warmUpMs = 1000;
const measuredMs = 1500;

/** Any of `count` objects. With more bytes than memory has, most of these requests are hits on disk. */
function hits(count: number, sizeBytes: number, connections: number): Workload {
  const objects = Array.from({ length: count }, (_, index): LoadRequest => {
    return { path: `/bench/thread${index}-${sizeBytes}`, range: "", bodyBytes: sizeBytes };
  });
  const next = (): LoadRequest => objects[Math.floor(Math.random() * objects.length)] as LoadRequest;
  const name = `${count} objects of ${formatBytes(sizeBytes)}, ${connections} connections`;
  return { name, connections, objects, next };
}

export const threadWorkloads: readonly Workload[] = [hits(500, 4 * KiB, 64), hits(500, 64 * KiB, 64)];

/** With 256 MiB of memory, which also hold the metadata of so many objects: three of four small hits are on disk. */
export const diskThreadWorkloads: readonly Workload[] = [hits(256, 8 * MiB, 8), hits(16_384, 64 * KiB, 64)];
export const diskThreadTiers = { memory: "256MiB", disk: "8GiB", metadataEntries: 19_000 };

export async function compareThreads(
  { connections, next, objects }: Workload,
  contenders: readonly Contender[],
): Promise<Map<string, ThreadFigures | Error>> {
  const measured = await takeTurns(contenders, rounds, async (contender, round) => {
    const { port } = contender;
    if (round === 0) {
      for (const request of objects) await load({ port, connections: 1, durationMs: 0, next: () => request });
      await load({ port, connections, next, durationMs: warmUpMs });
    }
    const [before, mainBefore] = [contender.cpuSeconds(), contender.mainThreadSeconds()];
    const { requests, seconds } = await load({ port, connections, next, durationMs: measuredMs });
    const cpuSeconds = contender.cpuSeconds() - before;
    return {
      requestsPerSecond: requests / seconds,
      cpuMicroseconds: (1e6 * cpuSeconds) / requests,
      mainShare: (contender.mainThreadSeconds() - mainBefore) / cpuSeconds,
    };
  });
  return eachMeasured(measured, (figures) => ({
    requestsPerSecond: median(figures.map((each) => each.requestsPerSecond)),
    cpuMicroseconds: median(figures.map((each) => each.cpuMicroseconds)),
    mainShare: median(figures.map((each) => each.mainShare)),
  }));
}
