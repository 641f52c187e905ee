/**
 * What a cold cache is like: the stream of an object nobody has asked for yet, the first byte of a chunk from a slow
 * origin, and a herd of clients on one object.
 */
import { setTimeout as pause } from "node:timers/promises";
import { GiB, KiB, MiB } from "../../src/base/units.ts";
import type { Contender } from "./contender.ts";
import { LoadConnection, type LoadRequest, load } from "./http-load.ts";
import { eachMeasured, median, takeTurns } from "./workload.ts";

let keys = 0;

/** An object nobody has asked for. */
export function freshObject(sizeBytes: number, kind = "cold"): LoadRequest {
  keys += 1;
  return { path: `/bench/${kind}-${keys}-${sizeBytes}`, range: "", bodyBytes: sizeBytes };
}

/** MB/s of one client that reads a cold 1 GiB object, the median of `rounds`, for each contender in turn. */
export async function coldStreams(
  contenders: readonly Contender[],
  rounds: number,
): Promise<Map<string, number | Error>> {
  const rates = await takeTurns(contenders, rounds, async ({ port }) => {
    const object = freshObject(GiB);
    const result = await load({ port, connections: 1, durationMs: 0, next: () => object });
    // Commits and write-back of this one are not to be paid by the next one.
    await pause(3000);
    return result.bytes / 1e6 / result.seconds;
  });
  return eachMeasured(rates, median);
}

export interface FirstByte {
  readonly what: string;
  readonly directMs: number;
  readonly leaderMs: number;
  readonly joinerMs: number;
}

/** First bytes from an origin of 20 MB/s, where a whole 8 MiB chunk takes 420 ms and a 128 MiB chunk 6.7 s. */
export async function firstBytes(origin: Contender, orca: Contender, rounds: number): Promise<FirstByte[]> {
  const cases = [
    { what: "first byte of a cold 8 MiB chunk", sizeBytes: 8 * MiB, start: 0 },
    { what: "64 KiB deep in a cold 128 MiB chunk", sizeBytes: 10 * GiB, start: 100 * MiB + 12_345 },
  ];
  const results: FirstByte[] = [];
  for (const { what, sizeBytes, start } of cases) {
    const part = { range: `${start}-${start + 64 * KiB - 1}`, bodyBytes: 64 * KiB };
    const direct: number[] = [];
    const leader: number[] = [];
    const joiner: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const request = { ...freshObject(sizeBytes, "slow"), ...part };
      direct.push(await firstByteMs(origin.port, request));
      const [first, second] = await Promise.all([
        firstByteMs(orca.port, request),
        firstByteMs(orca.port, request),
      ]);
      leader.push(Math.min(first, second));
      joiner.push(Math.max(first, second));
    }
    results.push({ what, directMs: median(direct), leaderMs: median(leader), joinerMs: median(joiner) });
  }
  return results;
}

async function firstByteMs(port: number, request: LoadRequest): Promise<number> {
  const connection = new LoadConnection(port);
  const answer = await connection.get(request);
  connection.close();
  return answer.firstByteMs;
}

export interface HerdResult {
  readonly clients: number;
  readonly bytesReceived: number;
  readonly originGets: number;
  readonly originHeads: number;
  readonly originBytes: number;
}

/** `clients` read one cold 256 MiB object at once; the origin tells how often it was asked. */
export async function herd(origin: Contender, orca: Contender, clients: number): Promise<HerdResult> {
  const object = freshObject(256 * MiB);
  await originStats(origin);
  const result = await load({
    port: orca.port,
    connections: clients,
    durationMs: 0,
    next: () => object,
  });
  const { gets, heads, bytes } = await originStats(origin);
  return { clients, bytesReceived: result.bytes, originGets: gets, originHeads: heads, originBytes: bytes };
}

export interface OriginStats {
  readonly gets: number;
  readonly heads: number;
  readonly bytes: number;
}

/** What the origin counted since it was last asked. */
export async function originStats(origin: Contender): Promise<OriginStats> {
  const response = await fetch(`http://127.0.0.1:${origin.port}/_stats`);
  return (await response.json()) as OriginStats;
}
