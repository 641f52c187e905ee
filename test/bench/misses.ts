/**
 * What misses cost: how long until the first byte, and how many requests and bytes the origin counts. Each figure is of
 * objects that nobody has asked for, beside reading the origin directly.
 */
import { SeededRandom } from "../../src/base/random.ts";
import { GiB, KiB, MiB } from "../../src/base/units.ts";
import { freshObject, type OriginStats, originStats } from "./cold.ts";
import type { Contender } from "./contender.ts";
import { LoadConnection, type LoadRequest } from "./http-load.ts";
import { median, percentile } from "./workload.ts";

export interface MissFigures extends OriginStats {
  readonly server: string;
  /** In milliseconds. */
  readonly firstByteMs: number;
  readonly firstByteP99Ms: number;
}

const rangeBytes = 64 * KiB;

/** 40 random ranges of 64 KiB of one object of 12 GiB, then the same ones again. */
export async function randomRanges(
  origin: Contender,
  contenders: readonly Contender[],
): Promise<{ first: MissFigures[]; again: MissFigures[] }> {
  const first: MissFigures[] = [];
  const again: MissFigures[] = [];
  for (const contender of contenders) {
    const object = freshObject(12 * GiB, "random");
    const random = new SeededRandom(7);
    const requests = Array.from({ length: 40 }, (): LoadRequest => {
      const start = Math.floor(random.next() * (12 * GiB - rangeBytes));
      return { ...object, range: `${start}-${start + rangeBytes - 1}`, bodyBytes: rangeBytes };
    });
    first.push(await oneByOne(origin, contender, requests));
    again.push(await oneByOne(origin, contender, requests));
  }
  return { first, again };
}

/** First bytes of cold objects of one size from an origin 50 ms away. */
export async function farFirstBytes(
  origin: Contender,
  contenders: readonly Contender[],
  sizeBytes: number,
): Promise<MissFigures[]> {
  const figures: MissFigures[] = [];
  for (const contender of contenders) {
    const requests = Array.from({ length: 9 }, () => freshObject(sizeBytes, "far"));
    figures.push(await oneByOne(origin, contender, requests));
  }
  return figures;
}

/** A range in the middle of cold objects of 1 GiB. */
export async function middleFirstBytes(
  origin: Contender,
  contenders: readonly Contender[],
): Promise<MissFigures[]> {
  const start = 600 * MiB + 12_345;
  const figures: MissFigures[] = [];
  for (const contender of contenders) {
    const requests = Array.from({ length: 5 }, () => ({
      ...freshObject(GiB, "middle"),
      range: `${start}-${start + rangeBytes - 1}`,
      bodyBytes: rangeBytes,
    }));
    figures.push(await oneByOne(origin, contender, requests));
  }
  return figures;
}

/** MB/s of one client that reads a cold object of 1 GiB from an origin 50 ms away, of 80 MB/s a connection. */
export async function farStream(contender: Contender): Promise<number> {
  const connection = new LoadConnection(contender.port);
  const startedMs = performance.now();
  await connection.get(freshObject(GiB, "far"));
  connection.close();
  return GiB / 1e6 / ((performance.now() - startedMs) / 1000);
}

/** `clients` read one cold 256 MiB object at once. */
export async function herdFirstBytes(
  origin: Contender,
  contender: Contender,
  clients: number,
): Promise<MissFigures> {
  const object = freshObject(256 * MiB, "herd");
  await originStats(origin);
  const firstBytesMs = await Promise.all(
    Array.from({ length: clients }, async () => {
      const connection = new LoadConnection(contender.port);
      const { firstByteMs } = await connection.get(object);
      connection.close();
      return firstByteMs;
    }),
  );
  return figuresOf(contender, firstBytesMs, await originStats(origin));
}

async function oneByOne(
  origin: Contender,
  contender: Contender,
  requests: readonly LoadRequest[],
): Promise<MissFigures> {
  await originStats(origin);
  const firstBytesMs: number[] = [];
  for (const request of requests) {
    const connection = new LoadConnection(contender.port);
    const { firstByteMs } = await connection.get(request);
    firstBytesMs.push(firstByteMs);
    connection.close();
  }
  return figuresOf(contender, firstBytesMs, await originStats(origin));
}

function figuresOf(contender: Contender, firstBytesMs: readonly number[], asked: OriginStats): MissFigures {
  const sorted = firstBytesMs.toSorted((left, right) => left - right);
  const [firstByteMs, firstByteP99Ms] = [median(sorted), percentile(sorted, 0.99)];
  return { server: contender.name, firstByteMs, firstByteP99Ms, ...asked };
}
