/**
 * `npm run bench`: Orca beside a bare node:http server with the same bytes in RAM (the ceiling) and, where installed,
 * nginx, Varnish and Traffic Server. Everything is started here, servers on the first core and clients on the second, and
 * what counts are the ratios of one run. `npm run bench -- hot` runs one part: hot, auth, disk, cachestore, cold, first-byte,
 * herd, random, far, slow, mesh, hit-ratio, growth.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argv, pid, stdout } from "node:process";
import { formatBytes, KiB, MiB } from "../../src/base/units.ts";
import { type Cell, formatTable } from "../../src/cli/table.ts";
import { authBound, authWorkload, writeAccessKeys } from "./auth.ts";
import { cachestoreBound, cachestoreHits, withBucket } from "./cachestore.ts";
import { coldStreams, firstBytes, herd, slowReaders } from "./cold.ts";
import { type Contender, canPin, clientCore, freePort, startNode } from "./contender.ts";
import { compareFillStreams } from "./fill-stream.ts";
import { growthHeadings, growthRows } from "./growth.ts";
import { hitRatioHeadings, hitRatioRows } from "./hit-ratio.ts";
import { compareHot, diskWorkload } from "./hot.ts";
import {
  farFirstBytes,
  farStream,
  herdFirstBytes,
  type MissFigures,
  middleFirstBytes,
  randomRanges,
} from "./misses.ts";
import { startNginx } from "./nginx.ts";
import { type SharedBucket, startOrca } from "./orca-config.ts";
import { peerFirstByte } from "./peer-first-byte.ts";
import { startTrafficServer } from "./traffic-server.ts";
import { startVarnish } from "./varnish.ts";
import { compare, type Figures, type Workload } from "./workload.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-bench-"));
// What the other caches leave to a worker is another user's.
chmodSync(folder, 0o755);
const running: Contender[] = [];

type CacheLauncher = (originPort: number, folder: string) => Promise<Contender | undefined>;
const cacheLaunchers: readonly CacheLauncher[] = [startNginx, startVarnish, startTrafficServer];

async function startOrigin(): Promise<Contender> {
  const port = await freePort();
  const origin = await startNode("origin", port, ["test/bench/bench-origin.ts", String(port)], clientCore);
  running.push(origin);
  return origin;
}

async function startBare(): Promise<Contender> {
  const port = await freePort();
  const bare = await startNode("bare", port, ["test/bench/bare-server.ts", String(port)]);
  running.push(bare);
  return bare;
}

async function startBareDisk(name: string, ...mode: string[]): Promise<Contender> {
  const port = await freePort();
  const files = mkdtempSync(join(folder, "files-"));
  const bare = await startNode(name, port, ["test/bench/bare-disk-server.ts", String(port), files, ...mode]);
  running.push(bare);
  return bare;
}

async function stopAllBut(kept: Contender): Promise<void> {
  for (const contender of running.splice(0)) {
    if (contender === kept) continue;
    await contender.stop();
  }
  running.push(kept);
}

function print(title: string, headings: readonly string[], rows: readonly (readonly Cell[])[]): void {
  stdout.write(`\n${title}\n${formatTable(headings, rows)}\n`);
}

function ratio(own: number | undefined, other: number | undefined): string {
  return own === undefined || other === undefined ? "-" : (own / other).toFixed(2);
}

function figureCells(figures: Figures): Cell[] {
  const { gigabytesPerSecond, requestsPerSecond, cpuSecondsPerGigabyte } = figures;
  return [gigabytesPerSecond.toFixed(2), requestsPerSecond.toFixed(0), cpuSecondsPerGigabyte.toFixed(2)];
}

function printComparison(
  title: string,
  results: readonly (readonly [Pick<Workload, "name">, Map<string, Figures | Error>])[],
): void {
  const rows = results.flatMap(([workload, outcomes]) => {
    const orca = outcomes.get("orca") as Figures;
    return [...outcomes].map(([name, each]) => {
      if (each instanceof Error) return [workload.name, name, "-", "-", "-", "-", "-", each.message];
      const ratios = [
        ratio(orca.gigabytesPerSecond, each.gigabytesPerSecond),
        ratio(orca.cpuSecondsPerGigabyte, each.cpuSecondsPerGigabyte),
      ];
      return [workload.name, name, ...figureCells(each), ...(each === orca ? [] : ratios)];
    });
  });
  const headings = ["workload", "server", "GB/s", "requests/s", "CPU s/GB", "Orca's GB/s x", "Orca's CPU x"];
  print(title, [...headings, failureHeading(results.map(([, outcomes]) => outcomes))], rows);
}

/** The heading of the column of reasons, which is there only if somebody has one to give. */
function failureHeading(results: readonly Map<string, unknown>[]): string {
  const anyFailed = results.some((outcomes) => [...outcomes.values()].some((each) => each instanceof Error));
  return anyFailed ? "why it failed" : "";
}

/** The caches that are installed, each with a folder of its own. One that does not start is left out, and said so. */
async function cachesBeside(origin: Contender, launchers: readonly CacheLauncher[]): Promise<Contender[]> {
  const caches: Contender[] = [];
  for (const launcher of launchers) {
    try {
      const cache = await launcher(origin.port, mkdtempSync(join(folder, "cache-")));
      if (cache) caches.push(cache);
    } catch (error) {
      stdout.write(`\n${(error as Error).message}\n`);
    }
  }
  running.push(...caches);
  return caches;
}

/** One row: what slow readers do to the memory of a replica with all tiers. */
async function slowReadersOf(
  name: string,
  origin: Contender,
  cachestore: "posixfs" | SharedBucket,
): Promise<Cell[]> {
  const tiers = { memory: "256MiB", disk: "16GiB", cachestore };
  const orca = await startOrca({ originPort: origin.port, folder, ...tiers });
  running.push(orca);
  const { readers, failed, seconds } = await slowReaders(orca, 200, 16 * MiB);
  const peakMiB = orca.peakRssBytes() / MiB;
  await orca.stop();
  return [name, readers, failed, seconds.toFixed(0), peakMiB.toFixed(0), 512];
}

/** Orca with memory and a disk, the other caches, and the origin itself. */
async function missContenders(origin: Contender): Promise<Contender[]> {
  const orca = await startOrca({ originPort: origin.port, folder, memory: "2GiB", disk: "16GiB" });
  running.push(orca);
  return [orca, ...(await cachesBeside(origin, cacheLaunchers)), origin];
}

function printMisses(title: string, figures: readonly MissFigures[]): void {
  print(
    title,
    ["server", "first byte ms", "p99 ms", "origin GETs", "origin HEADs", "origin MiB"],
    figures.map(({ server, firstByteMs, firstByteP99Ms, gets, heads, bytes }) => {
      const counts = [gets, heads, (bytes / MiB).toFixed(2)];
      return [server, firstByteMs.toFixed(1), firstByteP99Ms.toFixed(1), ...counts];
    }),
  );
}

const withoutRgw = "radosgw is not on the PATH, and nothing else stands in for it";

const parts: Readonly<Record<string, (origin: Contender) => Promise<void>>> = {
  hot: async (origin) => {
    const orca = await startOrca({ originPort: origin.port, folder, memory: "3GiB" });
    running.push(orca);
    const contenders = [orca, await startBare(), ...(await cachesBeside(origin, cacheLaunchers))];
    printComparison("Hits in memory", await compareHot(contenders));
  },
  auth: async (origin) => {
    const common = { originPort: origin.port, folder, memory: "3GiB" };
    const accessKeysFile = writeAccessKeys(folder);
    running.push(await startOrca({ ...common, accessKeysFile }));
    running.push(await startOrca({ ...common, name: "orca without authentication" }));
    const workload = await authWorkload();
    const contenders = running.filter((contender) => contender !== origin);
    printComparison(`Verifying SigV4 (bound: ${authBound} of the requests/s)`, [
      [workload, await compare(workload, contenders)],
    ]);
  },
  disk: async (origin) => {
    const orca = await startOrca({ originPort: origin.port, folder, memory: "256MiB", disk: "8GiB" });
    running.push(orca);
    const bare = await Promise.all([
      startBareDisk("bare file reads"),
      startBareDisk("the same with CRC-32", "crc"),
    ]);
    const contenders = [orca, ...bare, ...(await cachesBeside(origin, [startNginx]))];
    printComparison("Hits on disk", [[diskWorkload, await compare(diskWorkload, contenders)]]);
  },
  cachestore: async (origin) => {
    const hits = await cachestoreHits(origin, folder, running);
    if (!hits) return void stdout.write(`\nHits from an S3 cachestore: ${withoutRgw}\n`);
    const bound = cachestoreBound.toFixed(2);
    const title = `Hits from an S3 cachestore on Ceph RGW (bound: ${bound} of the bare client's GB/s)`;
    printComparison(title, [[{ name: "8 MiB chunks, 8 connections" }, hits]]);
  },
  cold: async (origin) => {
    const orca = await startOrca({ originPort: origin.port, folder, memory: "2GiB", disk: "16GiB" });
    running.push(orca);
    const contenders = [orca, ...(await cachesBeside(origin, cacheLaunchers)), origin];
    const rates = await coldStreams(contenders, 3);
    const direct = rates.get("origin");
    print(
      "Cold stream of 1 GiB",
      ["server", "GB/s", "of reading the origin directly", failureHeading([rates])],
      [...rates].map(([name, rate]) =>
        rate instanceof Error
          ? [name, "-", "-", rate.message]
          : [name, rate.toFixed(2), direct instanceof Error ? "-" : ratio(rate, direct)],
      ),
    );
  },
  "first-byte": async (origin) => {
    const orca = await startOrca({ originPort: origin.port, folder, memory: "2GiB", disk: "16GiB" });
    running.push(orca);
    const results = await firstBytes(origin, orca, 9);
    print(
      "First byte from an origin of 20 MB/s (medians, ms)",
      ["what", "origin", "leader", "joiner", "leader's delay", "joiner's delay"],
      results.map(({ what, directMs, leaderMs, joinerMs }) => [
        what,
        directMs.toFixed(1),
        leaderMs.toFixed(1),
        joinerMs.toFixed(1),
        (leaderMs - directMs).toFixed(1),
        (joinerMs - directMs).toFixed(1),
      ]),
    );
  },
  herd: async (origin) => {
    const orca = await startOrca({ originPort: origin.port, folder, memory: "1GiB", disk: "16GiB" });
    running.push(orca);
    const { clients, bytesReceived, originGets, originHeads, originBytes } = await herd(origin, orca, 200);
    print(
      "A herd on one cold 256 MiB object (32 chunks)",
      ["clients", "bytes received", "origin GETs", "origin HEADs", "origin bytes / object bytes"],
      [[clients, bytesReceived, originGets, originHeads, ratio(originBytes, 256 * MiB)]],
    );
    const contenders = [orca, ...(await cachesBeside(origin, cacheLaunchers))];
    const figures: MissFigures[] = [];
    for (const contender of contenders) figures.push(await herdFirstBytes(origin, contender, 200));
    printMisses("First bytes of 200 clients on one cold 256 MiB object", figures);
  },
  random: async (origin) => {
    const contenders = await missContenders(origin);
    const { first, again } = await randomRanges(origin, contenders);
    printMisses("40 random 64 KiB ranges of a cold 12 GiB object (2.5 MiB asked)", first);
    printMisses("The same ranges again", again);
    printMisses("64 KiB in the middle of a cold 1 GiB object", await middleFirstBytes(origin, contenders));
  },
  far: async (origin) => {
    const contenders = await missContenders(origin);
    for (const sizeBytes of [4 * KiB, 8 * MiB]) {
      const title = `First byte of 9 cold objects of ${formatBytes(sizeBytes)} from an origin 50 ms away`;
      printMisses(title, await farFirstBytes(origin, contenders, sizeBytes));
    }
    const rates: [string, number][] = [];
    for (const contender of contenders) rates.push([contender.name, await farStream(contender)]);
    const headings = ["server", "MB/s"];
    const rows = rates.map(([name, rate]) => [name, rate.toFixed(0)]);
    print("Cold stream of 1 GiB from an origin 50 ms away, 80 MB/s a connection", headings, rows);
  },
  slow: async (origin) => {
    const rows = [await slowReadersOf("posixfs", origin, "posixfs")];
    const withS3 = await withBucket((bucket) => slowReadersOf("S3 on Ceph RGW", origin, bucket));
    if (withS3) rows.push(withS3);
    else stdout.write(`\nSlow readers with an S3 cachestore: ${withoutRgw}\n`);
    print(
      "Slow readers of distinct 16 MiB objects, memory.max_bytes 256 MiB, with a disk and a cachestore",
      ["cachestore", "readers", "failed", "seconds", "peak RSS MiB", "bound MiB"],
      rows,
    );
  },
  mesh: async (origin) => {
    const rates = await compareFillStreams(running);
    print(
      "FillChunk of chunks in memory, from replica to replica",
      ["transport", "plain node:http2, GB/s", "FillChunk, GB/s", "ratio", "bound"],
      rates.map(({ transport, plain, fillChunk }) => [
        transport,
        plain.toFixed(2),
        fillChunk.toFixed(2),
        ratio(fillChunk, plain),
        "0.50",
      ]),
    );
    const { localMs, peerMs, samples } = await peerFirstByte(origin, folder, running);
    print(
      "First byte of a chunk in memory, here and at a peer over mutual TLS (medians, ms)",
      ["chunks", "local", "through a peer", "delay", "bound"],
      [[samples, localMs.toFixed(2), peerMs.toFixed(2), (peerMs - localMs).toFixed(2), "3.00"]],
    );
  },
  "hit-ratio": async () => {
    print("Hit ratios of eviction policies on seeded traces (percent)", hitRatioHeadings, hitRatioRows());
  },
  growth: async () => {
    print("How work and memory grow", growthHeadings, await growthRows());
  },
};

if (canPin) spawnSync("taskset", ["-cp", clientCore, String(pid)]);
else stdout.write("taskset is not installed: servers and clients share all cores, which adds noise\n");
const asked = argv.slice(2);
const unknown = asked.filter((name) => !(name in parts));
if (unknown.length > 0)
  throw new Error(`unknown part ${unknown.join(", ")}: choose from ${Object.keys(parts).join(", ")}`);
try {
  const origin = await startOrigin();
  for (const [name, part] of Object.entries(parts)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    await part(origin);
    await stopAllBut(origin);
  }
} finally {
  for (const contender of running) await contender.stop();
  rmSync(folder, { recursive: true, force: true });
}
