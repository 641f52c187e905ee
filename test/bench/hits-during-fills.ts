/**
 * How long hits take while the same server fills cold objects as fast as a client takes them. On a machine of few cores the
 * fill, the origin and the clients take the processor from whoever answers a hit, so a bare server is asked beside the same
 * fill: what it loses is the machine's share.
 */
import { KiB } from "../../src/base/units.ts";
import type { Bench } from "./bench.ts";
import { allCores, type Contender, freePort, startNode } from "./contender.ts";
import type { LoadRequest } from "./http-load.ts";
import { LoadProcess } from "./load-process.ts";
import { startOrca } from "./orca-config.ts";
import { ratio } from "./report.ts";
import { median, percentile } from "./workload.ts";

interface HitTimes {
  readonly server: string;
  readonly sizeBytes: number;
  readonly quietMs: Percentiles;
  readonly fillingMs: Percentiles;
  /** Bytes a second. */
  readonly fillRate: number;
}

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

interface Asked {
  readonly name: string;
  readonly server: Contender;
  /** The server that fills meanwhile. */
  readonly filling: Contender;
}

const rounds = 3;
const connections = 8;
const perSecond = 1000;
const warmUpMs = 1500;
const measuredMs = 2000;
const streams = 1;
const hitSizes = [4 * KiB, 64 * KiB];

function objectsOf(sizeBytes: number): LoadRequest[] {
  return Array.from({ length: 500 }, (_, index): LoadRequest => {
    return { path: `/bench/hit${index}-${sizeBytes}`, range: "", bodyBytes: sizeBytes };
  });
}

/** All of them on all cores: servers, origin and clients. */
export async function reportHitsDuringFills(bench: Bench): Promise<void> {
  const node = async (name: string, file: string): Promise<Contender> => {
    const port = await freePort();
    const server = await startNode(name, port, [`test/bench/${file}`, String(port)], allCores);
    bench.running.push(server);
    return server;
  };
  const { port: originPort } = await node("origin", "bench-origin.ts");
  const bare = await node("bare", "bare-server.ts");
  const asked: Asked[] = [];
  for (const threads of [1, 2]) {
    const tiers = { memory: "1GiB", disk: "8GiB" };
    const name = `orca, ${threads === 1 ? "1 thread" : `${threads} threads`}`;
    const orca = await startOrca({ originPort, folder: bench.folder, ...tiers, threads, name });
    bench.running.push(orca);
    asked.push({ name, server: orca, filling: orca });
    asked.push({ name: `bare, beside ${name}`, server: bare, filling: orca });
  }
  const rows = (await hitsDuringFills(asked)).map(({ server, sizeBytes, quietMs, fillingMs, fillRate }) => {
    const times = [quietMs.p50, quietMs.p99, fillingMs.p50, fillingMs.p99].map((ms) => ms.toFixed(2));
    const rate = (fillRate / 1e6).toFixed(0);
    return [`${sizeBytes / KiB} KiB`, server, ...times, ratio(fillingMs.p99, quietMs.p99), rate];
  });
  bench.report.table(
    `Hits, ${perSecond} a second on ${connections} connections, quiet and beside a client that streams cold objects`,
    [
      "hits",
      "server",
      "p50 ms",
      "p99 ms",
      "p50 ms, filling",
      "p99 ms, filling",
      "p99, of quiet",
      "fill MB/s",
    ],
    rows,
  );
}

async function hitsDuringFills(asked: readonly Asked[]): Promise<HitTimes[]> {
  const [hits, fills] = [new LoadProcess(), new LoadProcess()];
  const results: HitTimes[] = [];
  try {
    for (const sizeBytes of hitSizes) {
      const objects = objectsOf(sizeBytes);
      const measured = asked.map((): { quiet: Percentiles[]; filling: Percentiles[]; rates: number[] } => {
        return { quiet: [], filling: [], rates: [] };
      });
      for (let round = 0; round < rounds; round += 1) {
        for (const [index, { server, filling }] of asked.entries()) {
          const probe = { port: server.port, connections, perSecond, objects };
          if (round === 0) await hits.probe({ ...probe, durationMs: warmUpMs });
          const quiet = await hits.probe({ ...probe, durationMs: measuredMs });
          fills.stream(filling.port, streams);
          const during = await hits.probe({ ...probe, durationMs: measuredMs });
          const rate = await fills.endStream();
          const of = measured[index];
          of?.quiet.push(percentilesOf(quiet));
          of?.filling.push(percentilesOf(during));
          of?.rates.push(rate);
        }
      }
      for (const [index, { name }] of asked.entries()) {
        const { quiet = [], filling = [], rates = [] } = measured[index] ?? {};
        results.push({
          server: name,
          sizeBytes,
          quietMs: medianOf(quiet),
          fillingMs: medianOf(filling),
          fillRate: median(rates),
        });
      }
    }
  } finally {
    hits.end();
    fills.end();
  }
  return results;
}

function percentilesOf(times: readonly number[]): Percentiles {
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

function medianOf(all: readonly Percentiles[]): Percentiles {
  return { p50: median(all.map(({ p50 }) => p50)), p99: median(all.map(({ p99 }) => p99)) };
}
