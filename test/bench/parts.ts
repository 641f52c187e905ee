/** The parts of the bench: which servers each starts, what it does to them, and the table it makes of that. */
import { formatBytes, KiB, MiB } from "../../src/base/units.ts";
import type { Cell } from "../../src/cli/table.ts";
import { authBound, authWorkload, writeAccessKeys } from "./auth.ts";
import type { Bench } from "./bench.ts";
import { cachestoreBound, cachestoreHits, withBucket } from "./cachestore.ts";
import { coldStreams, firstBytes, herd } from "./cold.ts";
import type { Contender } from "./contender.ts";
import { compareFillStreams } from "./fill-stream.ts";
import { growthHeadings, growthRows } from "./growth.ts";
import { hitRatioHeadings, hitRatioRows } from "./hit-ratio.ts";
import { reportHitsDuringFills } from "./hits-during-fills.ts";
import { compareDisk, compareHot } from "./hot.ts";
import { compareMeshReaders, readersCount } from "./mesh-readers.ts";
import * as misses from "./misses.ts";
import { startNginx } from "./nginx.ts";
import type { OrcaOptions } from "./orca-config.ts";
import { peerFirstByte } from "./peer-first-byte.ts";
import { failureHeading, ofTheBest, ratio } from "./report.ts";
import { type SlowReadersResult, slowReaders } from "./slow-readers.ts";
import { compareThreadMisses, missWorkloads } from "./thread-misses.ts";
import { compareThreads, diskThreadTiers, diskThreadWorkloads, threadWorkloads } from "./threads.ts";
import { startTrafficServer } from "./traffic-server.ts";
import { compare, type Figures, type Workload } from "./workload.ts";

const withoutRgw = "radosgw is not on the PATH, and nothing else stands in for it";

function printComparison(
  { report }: Bench,
  title: string,
  results: readonly (readonly [Pick<Workload, "name">, Map<string, Figures | Error>])[],
): void {
  const rows = results.flatMap(([workload, outcomes]) => {
    const figures = [...outcomes.values()].map((each) => (each instanceof Error ? undefined : each));
    const shares = ofTheBest(
      figures.map((each) => each?.requestsPerSecond),
      "most",
    );
    const cpuShares = ofTheBest(
      figures.map((each) => each?.cpuSecondsPerGigabyte),
      "least",
    );
    return [...outcomes].map(([name, each], index): Cell[] => {
      const known = each instanceof Error ? ["-", "-", "-", "-"] : figureCells(each);
      const reason = each instanceof Error ? [each.message] : [];
      return [workload.name, name, ...known, shares[index] ?? "-", cpuShares[index] ?? "-", ...reason];
    });
  });
  const measured = ["GB/s", "requests/s", "CPU s/GB", "CPU µs/request"];
  const headings = ["workload", "server", ...measured, "of the best", "CPU, of the best"];
  report.table(title, [...headings, failureHeading(results.map(([, outcomes]) => outcomes))], rows);
}

function figureCells(figures: Figures): Cell[] {
  const { gigabytesPerSecond, requestsPerSecond, cpuSecondsPerGigabyte } = figures;
  const cpuMicroseconds = (1e6 * cpuSecondsPerGigabyte * gigabytesPerSecond) / requestsPerSecond;
  const perSecond = [gigabytesPerSecond.toFixed(2), requestsPerSecond.toFixed(0)];
  return [...perSecond, cpuSecondsPerGigabyte.toFixed(2), cpuMicroseconds.toFixed(1)];
}

function printMisses({ report }: Bench, title: string, figures: readonly misses.MissFigures[]): void {
  const shares = ofTheBest(
    figures.map(({ firstByteMs }) => firstByteMs),
    "least",
  );
  report.table(
    title,
    ["server", "first byte ms", "p99 ms", "of the best", "origin GETs", "origin HEADs", "origin MiB"],
    figures.map(({ server, firstByteMs, firstByteP99Ms, gets, heads, bytes }, index) => {
      const times = [firstByteMs.toFixed(1), firstByteP99Ms.toFixed(1), shares[index] ?? "-"];
      return [server, ...times, gets, heads, (bytes / MiB).toFixed(2)];
    }),
  );
}

function printRates({ report }: Bench, title: string, rates: ReadonlyMap<string, number | Error>): void {
  const known = [...rates.values()].map((rate) => (rate instanceof Error ? undefined : rate));
  const shares = ofTheBest(known, "most");
  report.table(
    title,
    ["server", "MB/s", "of the best", failureHeading([new Map(rates)])],
    [...rates].map(([name, rate], index) =>
      rate instanceof Error ? [name, "-", "-", rate.message] : [name, rate.toFixed(0), shares[index] ?? "-"],
    ),
  );
}

/** Both on all cores: what one thread leaves is for the load. */
async function printThreads(
  bench: Bench,
  title: string,
  workloads: readonly Workload[],
  tiers: Pick<OrcaOptions, "memory" | "disk" | "metadataEntries">,
): Promise<void> {
  const contenders = [
    await bench.orca({ ...tiers, threads: 1 }),
    await bench.orca({ ...tiers, threads: 2, name: "orca with 2 threads" }),
  ];
  const rows: Cell[][] = [];
  for (const workload of workloads)
    for (const [name, each] of await compareThreads(workload, contenders)) {
      if (each instanceof Error) rows.push([workload.name, name, "-", "-", "-", each.message]);
      else {
        const { requestsPerSecond, cpuMicroseconds, mainShare } = each;
        const figures = [requestsPerSecond.toFixed(0), cpuMicroseconds.toFixed(1)];
        rows.push([workload.name, name, ...figures, `${(100 * mainShare).toFixed(1)} %`, ""]);
      }
    }
  const headings = ["workload", "server", "requests/s", "CPU µs/request", "main thread", "failed"];
  bench.report.table(`${title} by several threads, with the load on the same cores`, headings, rows);
}

async function printThreadMisses(bench: Bench, contenders: readonly Contender[]): Promise<void> {
  const rows: Cell[][] = [];
  for (const workload of missWorkloads)
    for (const [name, each] of await compareThreadMisses(workload, contenders)) {
      if (each instanceof Error) rows.push([workload.name, name, "-", "-", "-", "-", "-", each.message]);
      else {
        const { firstByteMs, firstByteP99Ms, megabytesPerSecond, cpuMilliseconds, mainShare } = each;
        const times = [firstByteMs.toFixed(1), firstByteP99Ms.toFixed(1), megabytesPerSecond.toFixed(0)];
        const cpu = [cpuMilliseconds.toFixed(2), `${(100 * mainShare).toFixed(0)} %`];
        rows.push([workload.name, name, ...times, ...cpu, ""]);
      }
    }
  const measured = ["first byte ms", "p99 ms", "MB/s", "CPU ms/response", "main thread"];
  const headings = ["workload", "server", ...measured, "failed"];
  bench.report.table("Misses by several threads, with the load on the same cores", headings, rows);
}

/** Orca with memory and a disk, the other caches, and the origin itself. */
async function missContenders(bench: Bench): Promise<Contender[]> {
  return [await bench.orca({ memory: "2GiB", disk: "16GiB" }), ...(await bench.caches()), bench.origin];
}

async function printMeshReaders({ origin, folder, running, report }: Bench): Promise<void> {
  const outcomes = await compareMeshReaders(origin, folder, running, [
    { threads: 1, hasBytesPort: false },
    { threads: 2, hasBytesPort: false },
    { threads: 2, hasBytesPort: true },
  ]);
  const rows = [...outcomes].map(([name, each]): Cell[] => {
    if (each instanceof Error) return [name, "-", "-", "-", "-", each.message];
    const { gigabytesPerSecond, cpuSecondsPerGigabyte, mainShare, mainGigabytesPerSecond } = each;
    const rates = [gigabytesPerSecond, cpuSecondsPerGigabyte].map((figure) => figure.toFixed(2));
    return [name, ...rates, `${(100 * mainShare).toFixed(1)} %`, mainGigabytesPerSecond.toFixed(2)];
  });
  const headings = ["replica", "GB/s", "CPU s/GB", "main thread", "GB/s it allows"];
  report.table(
    `FillChunk of chunks in memory, from one replica to ${readersCount} peers at once over mutual TLS, on the same cores`,
    [...headings, failureHeading([outcomes])],
    rows,
  );
}

const slowReadersCount = 200;

function slowRow(
  name: string,
  { failed, seconds, cpuSeconds, firstByteP99Ms, peakRssBytes }: SlowReadersResult,
) {
  const figures = [cpuSeconds.toFixed(2), firstByteP99Ms.toFixed(0), (peakRssBytes / MiB).toFixed(0)];
  return [name, failed, seconds.toFixed(0), ...figures];
}

export const parts: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  hot: async (bench) => {
    const orca = await bench.orca({ memory: "3GiB" });
    const contenders = [orca, await bench.bareServer(), ...(await bench.caches())];
    printComparison(bench, "Hits in memory", await compareHot(contenders));
  },
  auth: async (bench) => {
    const accessKeysFile = writeAccessKeys(bench.folder);
    const contenders = [
      await bench.orca({ memory: "3GiB", accessKeysFile }),
      await bench.orca({ memory: "3GiB", name: "orca without authentication" }),
    ];
    const workload = await authWorkload();
    const figures = await compare(workload, contenders);
    printComparison(bench, `Verifying SigV4 (bound: ${authBound} of the requests/s)`, [[workload, figures]]);
  },
  threads: async (bench) => {
    await printThreads(bench, "Hits in memory", threadWorkloads, { memory: "1GiB" });
    await bench.stopServers();
    await printThreads(bench, "Hits on disk", diskThreadWorkloads, diskThreadTiers);
    await bench.stopServers();
    await reportHitsDuringFills(bench);
  },
  "thread-misses": async (bench) => {
    const contenders = [
      await bench.orca({ memory: "1GiB", threads: 1 }),
      await bench.orca({ memory: "1GiB", threads: 2, name: "orca with 2 threads" }),
    ];
    await printThreadMisses(bench, contenders);
  },
  disk: async (bench) => {
    const contenders = [
      await bench.orca({ memory: "256MiB", disk: "8GiB" }),
      await bench.bareDisk("bare file reads"),
      await bench.bareDisk("the same with CRC-32", "crc"),
      ...(await bench.caches([startNginx, startTrafficServer])),
    ];
    printComparison(bench, "Hits on disk", await compareDisk(contenders));
  },
  cachestore: async (bench) => {
    const hits = await cachestoreHits(bench.origin, bench.folder, bench.running);
    if (!hits) return bench.report.note(`Hits from an S3 cachestore: ${withoutRgw}`);
    const bound = cachestoreBound.toFixed(2);
    const title = `Hits from an S3 cachestore on Ceph RGW (bound: ${bound} of the bare client's GB/s)`;
    printComparison(bench, title, [[{ name: "8 MiB chunks, 8 connections" }, hits]]);
  },
  cold: async (bench) => {
    printRates(bench, "Cold stream of 1 GiB", await coldStreams(await missContenders(bench), 3));
  },
  "first-byte": async (bench) => {
    const results = await firstBytes(bench.origin, await bench.orca({ memory: "2GiB", disk: "16GiB" }), 9);
    bench.report.table(
      "First byte from an origin of 20 MB/s (medians, ms)",
      ["what", "origin", "leader", "joiner", "leader's delay", "joiner's delay"],
      results.map(({ what, directMs, leaderMs, joinerMs }) => {
        const delays = [leaderMs - directMs, joinerMs - directMs];
        return [what, ...[directMs, leaderMs, joinerMs, ...delays].map((ms) => ms.toFixed(1))];
      }),
    );
  },
  herd: async (bench) => {
    const orca = await bench.orca({ memory: "1GiB", disk: "16GiB" });
    const { clients, bytesReceived, originGets, originHeads, originBytes } = await herd(
      bench.origin,
      orca,
      200,
    );
    bench.report.table(
      "A herd on one cold 256 MiB object (32 chunks)",
      ["clients", "bytes received", "origin GETs", "origin HEADs", "origin bytes / object bytes"],
      [[clients, bytesReceived, originGets, originHeads, ratio(originBytes, 256 * MiB)]],
    );
    const figures: misses.MissFigures[] = [];
    for (const contender of [orca, ...(await bench.caches())])
      figures.push(await misses.herdFirstBytes(bench.origin, contender, 200));
    printMisses(bench, "First bytes of 200 clients on one cold 256 MiB object", figures);
  },
  random: async (bench) => {
    const contenders = await missContenders(bench);
    const { first, again } = await misses.randomRanges(bench.origin, contenders);
    printMisses(bench, "40 random 64 KiB ranges of a cold 12 GiB object (2.5 MiB asked)", first);
    printMisses(bench, "The same ranges again", again);
    const middle = await misses.middleFirstBytes(bench.origin, contenders);
    printMisses(bench, "64 KiB in the middle of a cold 1 GiB object", middle);
  },
  far: async (bench) => {
    const contenders = await missContenders(bench);
    for (const sizeBytes of [4 * KiB, 8 * MiB]) {
      const title = `First byte of 9 cold objects of ${formatBytes(sizeBytes)} from an origin 50 ms away`;
      printMisses(bench, title, await misses.farFirstBytes(bench.origin, contenders, sizeBytes));
    }
    const rates = new Map<string, number>();
    for (const contender of contenders) rates.set(contender.name, await misses.farStream(contender));
    printRates(bench, "Cold stream of 1 GiB from an origin 50 ms away, 80 MB/s a connection", rates);
  },
  slow: async (bench) => {
    const tiers = { memory: "256MiB", disk: "16GiB" };
    const rows: Cell[][] = [];
    const measure = async (name: string, contender: Contender): Promise<void> => {
      rows.push(slowRow(name, await slowReaders(contender, slowReadersCount, 16 * MiB)));
      await contender.stop();
    };
    await measure("orca with a posixfs cachestore", await bench.orca({ ...tiers, cachestore: "posixfs" }));
    const bucket = async (cachestore: Parameters<Parameters<typeof withBucket>[0]>[0]): Promise<boolean> => {
      await measure("orca with an S3 cachestore (Ceph RGW)", await bench.orca({ ...tiers, cachestore }));
      return true;
    };
    if (!(await withBucket(bucket))) bench.report.note(`Slow readers with an S3 cachestore: ${withoutRgw}`);
    await measure("orca", await bench.orca(tiers));
    await measure("orca without a disk", await bench.orca({ memory: tiers.memory }));
    await measure("orca with 2 threads on both cores", await bench.orca({ ...tiers, threads: 2 }));
    for (const cache of await bench.caches()) await measure(cache.name, cache);
    bench.report.table(
      `${slowReadersCount} slow readers of distinct cold 16 MiB objects; Orca's memory.max_bytes is 256 MiB, its bound 512 MiB of RSS`,
      ["server", "failed", "seconds", "CPU s", "first byte p99 ms", "peak RSS MiB"],
      rows,
    );
  },
  mesh: async (bench) => {
    const rates = await compareFillStreams(bench.running);
    bench.report.table(
      "FillChunk of chunks in memory, from replica to replica",
      ["transport", "plain node:http2, GB/s", "FillChunk, GB/s", "ratio", "bound"],
      rates.map(({ transport, plain, fillChunk }) => {
        return [transport, plain.toFixed(2), fillChunk.toFixed(2), ratio(fillChunk, plain), "0.50"];
      }),
    );
    await printMeshReaders(bench);
    const { localMs, peerMs, samples } = await peerFirstByte(bench.origin, bench.folder, bench.running);
    bench.report.table(
      "First byte of a chunk in memory, here and at a peer over mutual TLS (medians, ms)",
      ["chunks", "local", "through a peer", "delay", "bound"],
      [[samples, localMs.toFixed(2), peerMs.toFixed(2), (peerMs - localMs).toFixed(2), "3.00"]],
    );
  },
  "hit-ratio": async ({ report }) => {
    report.table(
      "Hit ratios of eviction policies on seeded traces (percent)",
      hitRatioHeadings,
      hitRatioRows(),
    );
  },
  growth: async ({ report }) => {
    report.table("How work and memory grow", growthHeadings, await growthRows());
  },
};
