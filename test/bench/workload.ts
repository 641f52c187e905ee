/**
 * Drives several contenders with one workload, in turn and several times over, and keeps the median of each: the
 * machine's speed drifts, so only figures of one run are compared, and mostly as ratios.
 */
import type { Contender } from "./contender.ts";
import { type LoadRequest, load } from "./http-load.ts";

export interface Workload {
  readonly name: string;
  readonly connections: number;
  /** All that `next` asks for parts of: asked for whole, before anything is measured. */
  readonly objects: readonly LoadRequest[];
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
): Promise<Map<string, Figures | Error>> {
  const { connections, next } = workload;
  const measured = await takeTurns(contenders, roundsPerContender, async (contender, round) => {
    const { port } = contender;
    if (round === 0) {
      await warm(contender, workload.objects);
      await load({ port, connections, next, durationMs: warmUpMs });
    }
    const cpuBefore = contender.cpuSeconds();
    const result = await load({ port, connections, next, durationMs: measuredMs });
    const gigabytes = result.bytes / 1e9;
    return {
      gigabytesPerSecond: gigabytes / result.seconds,
      requestsPerSecond: result.requests / result.seconds,
      cpuSecondsPerGigabyte: (contender.cpuSeconds() - cpuBefore) / gigabytes,
    };
  });
  return eachMeasured(measured, medians);
}

/** Twice, because some take into memory only what they have read back from their disk. */
async function warm({ port }: Contender, objects: readonly LoadRequest[]): Promise<void> {
  for (const request of [...objects, ...objects])
    await load({ port, connections: 1, durationMs: 0, next: () => request });
}

/**
 * Measures contender after contender, `rounds` times over. One that fails takes no further turn, and the error stands in
 * place of its figures: that a server cannot do a thing is a finding. For Orca it is a bug, and ends the bench.
 */
export async function takeTurns<Figure>(
  contenders: readonly Contender[],
  rounds: number,
  measure: (contender: Contender, round: number) => Promise<Figure>,
): Promise<Map<string, Figure[] | Error>> {
  const measured = new Map<string, Figure[] | Error>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of contenders) {
      const figures = measured.get(contender.name);
      if (!Array.isArray(figures)) continue;
      try {
        figures.push(await measure(contender, round));
      } catch (error) {
        if (contender.name === "orca" || !(error instanceof Error)) throw error;
        measured.set(contender.name, error);
      }
    }
  }
  return measured;
}

/** One figure out of those of all rounds, for each who took them. */
export function eachMeasured<Figure, Result>(
  measured: ReadonlyMap<string, Figure[] | Error>,
  summarize: (figures: readonly Figure[]) => Result,
): Map<string, Result | Error> {
  return new Map(
    [...measured].map(([name, figures]) => [name, figures instanceof Error ? figures : summarize(figures)]),
  );
}

export function medians(figures: readonly Figures[]): Figures {
  return {
    gigabytesPerSecond: median(figures.map((each) => each.gigabytesPerSecond)),
    requestsPerSecond: median(figures.map((each) => each.requestsPerSecond)),
    cpuSecondsPerGigabyte: median(figures.map((each) => each.cpuSecondsPerGigabyte)),
  };
}

/** The value that a `share` of them, from 0 to 1, does not exceed. `sorted` begins with the smallest. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
