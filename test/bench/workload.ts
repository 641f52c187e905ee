/**
 * Drives several contenders with one workload, in turn and several times over, and keeps the median of each: the
 * machine's speed drifts, so only figures of one run are compared, and mostly as ratios.
 */
import type { Contender } from "./contender.ts";
import { type LoadRequest, load } from "./http-load.ts";

export interface Workload {
  readonly name: string;
  readonly connections: number;
  readonly next: (connection: number) => LoadRequest;
}

export interface Figures {
  readonly gigabytesPerSecond: number;
  readonly requestsPerSecond: number;
  readonly cpuSecondsPerGigabyte: number;
}

const warmUpMs = 1000;
const measuredMs = 2000;
const roundsPerContender = 3;

export async function compare(
  workload: Workload,
  contenders: readonly Contender[],
): Promise<Map<string, Figures>> {
  const measured = new Map<string, Figures[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < roundsPerContender; round += 1) {
    for (const contender of contenders) {
      const { port } = contender;
      if (round === 0) await load({ ...workload, port, durationMs: warmUpMs, next: workload.next });
      const cpuBefore = contender.cpuSeconds();
      const result = await load({ ...workload, port, durationMs: measuredMs, next: workload.next });
      const gigabytes = result.bytes / 1e9;
      measured.get(contender.name)?.push({
        gigabytesPerSecond: gigabytes / result.seconds,
        requestsPerSecond: result.requests / result.seconds,
        cpuSecondsPerGigabyte: (contender.cpuSeconds() - cpuBefore) / gigabytes,
      });
    }
  }
  return new Map([...measured].map(([name, figures]) => [name, medians(figures)]));
}

function medians(figures: readonly Figures[]): Figures {
  return {
    gigabytesPerSecond: median(figures.map((each) => each.gigabytesPerSecond)),
    requestsPerSecond: median(figures.map((each) => each.requestsPerSecond)),
    cpuSecondsPerGigabyte: median(figures.map((each) => each.cpuSecondsPerGigabyte)),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
