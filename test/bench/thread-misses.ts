/**
 * Misses by several threads against one (`server.threads`), with all cores for server and load: a miss is read by the main
 * thread, and each slice of it is a message to the thread that sends it and one back.
 */
import { KiB, MiB } from "../../src/base/units.ts";
import { freshObject } from "./cold.ts";
import type { Contender } from "./contender.ts";
import { LoadConnection } from "./http-load.ts";
import { eachMeasured, median, percentile, takeTurns } from "./workload.ts";

export interface MissWorkload {
  readonly name: string;
  /** Clients that read the same object at once. */
  readonly clients: number;
  /** Objects, one after the other. */
  readonly objects: number;
  readonly sizeBytes: number;
  /** @see bench-origin.ts */
  readonly kind: "cold" | "far";
}

export interface ThreadMissFigures {
  readonly firstByteMs: number;
  readonly firstByteP99Ms: number;
  /** Of bytes sent to clients. */
  readonly megabytesPerSecond: number;
  /** For each client and object. */
  readonly cpuMilliseconds: number;
  /** Of the CPU time of the process, from 0 to 1. */
  readonly mainShare: number;
}

const rounds = 5;

const near: Pick<MissWorkload, "kind"> = { kind: "cold" };

export const missWorkloads: readonly MissWorkload[] = [
  { ...near, name: "100 cold objects of 4 KiB", clients: 1, objects: 100, sizeBytes: 4 * KiB },
  { ...near, name: "cold stream of 256 MiB", clients: 1, objects: 1, sizeBytes: 256 * MiB },
  { ...near, name: "200 clients on a cold object of 16 MiB", clients: 200, objects: 1, sizeBytes: 16 * MiB },
  { kind: "far", name: "9 cold objects of 4 KiB, 50 ms away", clients: 1, objects: 9, sizeBytes: 4 * KiB },
  { kind: "far", name: "cold stream of 128 MiB, 50 ms away", clients: 1, objects: 1, sizeBytes: 128 * MiB },
];

export async function compareThreadMisses(
  { clients, objects, sizeBytes, kind }: MissWorkload,
  contenders: readonly Contender[],
): Promise<Map<string, ThreadMissFigures | Error>> {
  const measured = await takeTurns(contenders, rounds, async (contender) => {
    const { port } = contender;
    const [before, mainBefore, startedMs] = [
      contender.cpuSeconds(),
      contender.mainThreadSeconds(),
      performance.now(),
    ];
    const firstBytesMs: number[] = [];
    for (let object = 0; object < objects; object += 1) {
      const request = freshObject(sizeBytes, kind);
      const read = async (): Promise<void> => {
        const connection = new LoadConnection(port);
        try {
          firstBytesMs.push((await connection.get(request)).firstByteMs);
        } finally {
          connection.close();
        }
      };
      await Promise.all(Array.from({ length: clients }, read));
    }
    const seconds = (performance.now() - startedMs) / 1000;
    const cpuSeconds = contender.cpuSeconds() - before;
    const sorted = firstBytesMs.toSorted((left, right) => left - right);
    return {
      firstByteMs: median(sorted),
      firstByteP99Ms: percentile(sorted, 0.99),
      megabytesPerSecond: (clients * objects * sizeBytes) / 1e6 / seconds,
      cpuMilliseconds: (1000 * cpuSeconds) / clients / objects,
      mainShare: (contender.mainThreadSeconds() - mainBefore) / cpuSeconds,
    };
  });
  return eachMeasured(measured, (figures) => {
    const of = (figure: keyof ThreadMissFigures): number => median(figures.map((each) => each[figure]));
    return {
      firstByteMs: of("firstByteMs"),
      firstByteP99Ms: of("firstByteP99Ms"),
      megabytesPerSecond: of("megabytesPerSecond"),
      cpuMilliseconds: of("cpuMilliseconds"),
      mainShare: of("mainShare"),
    };
  });
}
