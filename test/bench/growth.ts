/**
 * How work and memory grow with members, chunks and entries: part `growth` of `npm run bench`. Each law is shown at two or
 * three sizes, in operations where they can be counted, so that most of it holds on any machine. The stores are used by
 * their public interfaces alone.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { execPath } from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SystemClock } from "../../src/base/clock.ts";
import { LruMap } from "../../src/base/lru-map.ts";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { GiB, KiB, MiB } from "../../src/base/units.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import type { Cell } from "../../src/cli/table.ts";
import { ShelfDigests } from "../../src/fill/replication/shelf.ts";
import { Peers } from "../../src/mesh/session/peers.ts";
import { AnswerCache } from "../../src/object/answer-cache.ts";
import { Rendezvous } from "../../src/placement/rendezvous.ts";
import { chunkFileSize, storedKeyOf } from "../../src/store/chunk-file/chunk-file.ts";
import type { ChunkKey } from "../../src/store/chunk-store.ts";
import { MemoryTier } from "../../src/store/memory-tier.ts";
import { DiskFixture, keyOf, newTuned } from "../store/disk/disk-fixture.ts";
import { chunkOf } from "../support/chunk-of.ts";
import { ClusterFixture } from "../support/membership-fixture.ts";
import { patternBytes } from "../support/pattern.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { ReplicatedFixture } from "../support/replicated-fixture.ts";

export const growthHeadings: readonly string[] = ["what", "size", "value", "law"];

type Row = readonly [what: string, size: string, value: string, law: string];
type Law = () => Row[] | Promise<Row[]>;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

async function longestTurnMs(work: () => Promise<unknown> | void): Promise<number> {
  let longest = 0;
  let last = performance.now();
  let isOver = false;
  const turn = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  await work();
  await new Promise((resolve) => setImmediate(resolve));
  isOver = true;
  return longest;
}

async function memberTable(size: number): Promise<Row> {
  const membersMax = size * 4;
  const cluster = await ClusterFixture.running(size, { settings: { membersMax } });
  let ids = size;
  for (let round = 1; round <= 12; round += 1) {
    for (const replicaId of [...cluster.replicas.keys()].filter((id) => id !== "r1")) {
      await cluster.leave(replicaId);
      cluster.start(`${replicaId.split("-")[0]}-${round}`, { seeds: ["r1"] });
      await cluster.clock.advance(1000);
      ids += 1;
    }
  }
  const { live, stats } = cluster.membership("r1");
  const known = cluster.membership("r1").members().length;
  cluster.stop();
  const value = `${live.length} live, ${known} known, ${stats.table.rejectedFull} rejected`;
  return ["member table", `${size} members, ${ids} ids, room for ${membersMax}`, value, "ids: O(1)"];
}

function sessions(members: number): Row {
  const peers = new Peers({
    tls: undefined,
    clock: new SystemClock(),
    random: new SeededRandom(1),
    logger: new RecordedLogger(),
  });
  const made = new Set<unknown>();
  for (let visit = 0; visit < members * 3; visit += 1) made.add(peers.at(`r${visit % members}:1`));
  peers.close();
  return ["sessions", `${members} members, 3 visits`, `${made.size} peers made`, "members: O(n)"];
}

function ranking(members: number): Row {
  const placement = new Rendezvous(
    Array.from({ length: members }, (_, index) => ({ replicaId: `replica-${index}` })),
  );
  const names = 2000;
  for (let index = 0; index < names; index += 1) placement.rank(`o/${index}/0`, 2);
  const moves = (placement.stats.moves / names).toFixed(1);
  return ["ranking, two names", `${members} members`, `${members} scores, ${moves} moves`, "members: O(n)"];
}

async function antiEntropy(replicas: number, chunks: number, lost: number): Promise<Row> {
  const cluster = new ReplicatedFixture({ replicas, copies: 2 });
  const keys: ChunkKey[] = Array.from({ length: chunks }, (_, index) => ({
    version: cluster.version(`key-${index}`, KiB),
    index: 0,
  }));
  for (const key of keys) {
    for (const { disk } of cluster.ranked(key).slice(0, 2)) disk.hold(key, patternBytes(1, 0, KiB));
  }
  const all = [...cluster.replicas.values()];
  const sum = (of: (replica: (typeof all)[number]) => number) =>
    all.reduce((total, each) => total + of(each), 0);
  const counts = () => ({
    calls: cluster.pages.length,
    ranked: sum(({ keepers }) => keepers.stats.ranked),
    footers: sum(({ inventory }) => inventory.stats.named),
  });
  const round = async (): Promise<void> => {
    for (let part = 0; part < 60; part += 1) await cluster.clock.advance(15_000);
    await cluster.quiet();
  };
  for (const replica of all) replica.antiEntropy.start();
  await round();
  const [first] = all;
  const kept = keys.filter(({ version }) => first?.keepers.isKeptHere(version.chunkPath(0)));
  for (const key of kept.slice(0, lost)) await first?.disk.delete(key);
  const before = counts();
  await round();
  const after = counts();
  await cluster.stop();
  const calls = after.calls - before.calls;
  const sent = (calls * 2 * ShelfDigests.lengthBytes) / KiB;
  const value = `${calls} calls, ${sent} KiB of digests, ${after.ranked - before.ranked} ranked, ${after.footers - before.footers} footers`;
  return [
    "anti-entropy round",
    `${replicas} members, ${chunks} chunks, ${lost} lost`,
    value,
    "members^2, lost: O(n)",
  ];
}

async function announcements(replicas: number): Promise<Row> {
  const cluster = new ReplicatedFixture({ replicas, copies: 2 });
  const { announcer, keepers } = cluster.get("r0");
  const chunks = 200;
  for (let index = 0, announced = 0; announced < chunks; index += 1) {
    const key = { version: cluster.version(`key-${index}`, KiB), index: 0 };
    if (!keepers.isKeptHere(key.version.chunkPath(0))) continue;
    announced += 1;
    announcer.announce(key);
  }
  await cluster.clock.advance(5000);
  const { delivered, calls, dropped } = announcer.stats;
  const value = `${delivered} delivered in ${calls} calls, ${dropped} dropped`;
  return ["announcements, 2 copies", `${replicas} members, ${chunks} chunks`, value, "members: O(1) a chunk"];
}

function lruInsert(entries: number): Row {
  const map = new LruMap<number, number>({ entriesMax: entries });
  for (let key = 0; key < entries; key += 1) map.set(key, key);
  const inserts = 100_000;
  const startedMs = performance.now();
  for (let key = entries; key < entries + inserts; key += 1) map.set(key, key);
  const micros = ((performance.now() - startedMs) * 1000) / inserts;
  return ["LRU insert that evicts", `${entries} entries`, `${micros.toFixed(2)} us`, "entries: O(1)"];
}

async function diskTier(chunks: number): Promise<Row[]> {
  const fixture = new DiskFixture();
  try {
    const keys = Array.from({ length: chunks }, (_, index) => keyOf(`key-${index}`, KiB));
    // The last puts pass the high watermark, and evict down to the low one.
    const maxBytes = chunks * chunkFileSize(storedKeyOf(keys[0] as ChunkKey));
    const disk = await fixture.open({ maxBytes, policy: newTuned });
    const before = heapBytes();
    const put = async (some: readonly ChunkKey[]): Promise<void> => {
      for (const key of some) await fixture.put(disk, key);
    };
    const evicting = await longestTurnMs(() => put(keys));
    const perChunk = (heapBytes() - before) / disk.chunkCount;
    const size = `${disk.chunkCount} of ${chunks} chunks`;
    return [
      ["watermark eviction, longest turn", size, `${evicting.toFixed(1)} ms`, "chunks: O(1) a turn"],
      ["heap of a chunk on disk", size, `${perChunk.toFixed(0)} B`, "chunks: O(1)"],
    ];
  } finally {
    await fixture.close();
  }
}

async function supersede(chunkSizeBytes: number): Promise<Row> {
  const fixture = new DiskFixture();
  try {
    const disk = await fixture.open({ policy: newTuned });
    const sizeBytes = 5 * 1024 * GiB;
    const fields = { originId: "o", bucket: "b", objectKey: "k", etag: "e", sizeBytes, chunkSizeBytes };
    const version = new ObjectVersion(fields);
    const longest = await longestTurnMs(() => disk.supersede(version));
    const size = `5 TiB in ${version.chunkCount} chunks, none held`;
    return ["supersede, longest turn", size, `${longest.toFixed(1)} ms`, "chunks held: O(n)"];
  } finally {
    await fixture.close();
  }
}

function memoryTier(chunks: number): Row {
  const budget = new MemoryBudget({ maxBytes: GiB, clock: new SystemClock() });
  const tier = new MemoryTier({ budget });
  const before = heapBytes();
  for (let index = 0; index < chunks; index += 1) {
    const chunk = chunkOf(budget, 4 * KiB);
    tier.put(`awss3/${"0".repeat(64)}/${index} 4096`, chunk);
    chunk.release();
  }
  const perChunk = (heapBytes() - before) / chunks;
  tier.clear();
  return ["heap of a 4 KiB chunk in memory", `${chunks} chunks`, `${perChunk.toFixed(0)} B`, "chunks: O(1)"];
}

async function metadata(entries: number): Promise<Row> {
  const cache = new AnswerCache<{ readonly etag: string; readonly sizeBytes: number }>({
    clock: new SystemClock(),
    joinMs: () => 0,
    entriesMax: entries,
    stats: { misses: 0, joins: 0 },
  });
  const before = heapBytes();
  for (let index = 0; index < entries; index += 1) {
    const answer = { etag: `etag-${index}`, sizeBytes: index };
    await cache.ask(`bucket/key-${index}`, async () => ({ answer, freshMs: 60_000 }));
  }
  const perEntry = (heapBytes() - before) / cache.size;
  return ["heap of a metadata entry", `${entries} entries`, `${perEntry.toFixed(0)} B`, "entries: O(1)"];
}

function startUp(isCached: boolean): Row {
  const main = join(import.meta.dirname, "../../src/main.ts");
  const env = isCached ? process.env : { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" };
  const times = Array.from({ length: 5 }, () => {
    const startedMs = performance.now();
    spawnSync(execPath, [main, "help"], { env });
    return performance.now() - startedMs;
  });
  const size = isCached ? "a later start" : "without a compile cache";
  return ["orca help", size, `${Math.min(...times).toFixed(0)} ms`, "the files of its command"];
}

const laws: readonly Law[] = [
  async () => [await memberTable(4), await memberTable(8)],
  () => [400, 1000].map(sessions),
  () => [10, 100, 1000].map(ranking),
  async () => [
    await antiEntropy(3, 300, 0),
    await antiEntropy(3, 1200, 0),
    await antiEntropy(9, 1200, 0),
    await antiEntropy(3, 1200, 10),
  ],
  async () => [await announcements(3), await announcements(12), await announcements(48)],
  () => [10_000, 100_000, 1_000_000].map(lruInsert),
  async () => [...(await diskTier(2000)), ...(await diskTier(4000))],
  async () => [await supersede(8 * MiB), await supersede(64 * MiB)],
  () => [2000, 8000].map(memoryTier),
  async () => [await metadata(10_000), await metadata(40_000)],
  () => [startUp(false), startUp(true)],
];

export async function growthRows(): Promise<readonly (readonly Cell[])[]> {
  const rows: Row[] = [];
  for (const law of laws) rows.push(...(await law()));
  return rows;
}
