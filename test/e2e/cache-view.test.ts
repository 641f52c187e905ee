/** What people see of caches, and do to them: the commands, against replicas that have served real clients. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { cacheClear } from "../../src/cli/cache-clear-command.ts";
import { cacheStats } from "../../src/cli/cache-stats-command.ts";
import { cacheVerify } from "../../src/cli/cache-verify-command.ts";
import { inspect } from "../../src/cli/inspect/inspect-command.ts";
import type { OpsCommandOptions } from "../../src/cli/ops-call.ts";
import type { InspectDocument } from "../../src/ops/endpoints/inspect-endpoint.ts";
import { patternBytes } from "../support/pattern.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";
import { StartedReplicas } from "./started-replicas.ts";

const chunking = { size: "1MiB", tiers: [] };
const seed = 5;
const started = new StartedReplicas();

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run<Options extends OpsCommandOptions>(
  command: (options: Options) => Promise<number>,
  { opsEndpoint }: Pick<ReplicaFixture, "opsEndpoint">,
  options: Omit<Options, keyof OpsCommandOptions> & Partial<OpsCommandOptions>,
): Promise<Outcome> {
  const written = { stdout: "", stderr: "" };
  const shared: OpsCommandOptions = {
    ops: opsEndpoint,
    json: false,
    clock: new SystemClock(),
    stdout: { write: (text) => void (written.stdout += text) },
    stderr: { write: (text) => void (written.stderr += text) },
  };
  const exitCode = await command({ ...shared, ...options } as unknown as Options);
  return { exitCode, ...written };
}

const progress = { write: () => true };

async function inspected(replica: ReplicaFixture, key: string): Promise<InspectDocument> {
  const { exitCode, stdout, stderr } = await run(inspect, replica, {
    url: `s3://${testBucket}/${key}`,
    json: true,
  });
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout) as InspectDocument;
}

async function read({ get }: ReplicaFixture, key: string, sizeBytes: number): Promise<void> {
  const body = Buffer.from(await (await get(key)).arrayBuffer());
  assert.ok(body.equals(patternBytes(seed, 0, sizeBytes)));
}

function indexesOf(ranges: string | null): number[] {
  return (ranges === null || ranges === "" ? [] : ranges.split(",")).flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
  });
}

/** Commits end behind the answers that caused them. */
/** Files of chunks on the disk of a replica. */
function chunkFiles({ diskRoot }: ReplicaFixture): string[] {
  return readdirSync(diskRoot, { recursive: true, encoding: "utf8" })
    .filter((path) => /\/[0-9a-f]{2}\/test\.[0-9a-f]{64}\.\d+$/.test(path))
    .map((path) => join(diskRoot, path));
}

test("inspect: three replicas tell where each chunk lies, and who coordinates it", async () => {
  const cluster = await started.cluster({ disk: true, settings: { chunking } });
  const { origin, replicas } = cluster;
  const sizeBytes = 16 * MiB - 100;
  origin.put(testBucket, "dir/k", { seed, sizeBytes });
  const [asked, , other] = replicas as [ReplicaFixture, ReplicaFixture, ReplicaFixture];
  const cold = await inspected(asked, "dir/k");
  assert.deepEqual([cold.size, cold.chunks, cold.chunk_size, cold.origin], [sizeBytes, 16, MiB, "test"]);
  assert.deepEqual(
    cold.replicas.map(({ replica_id: id, self, memory, reason }) => [id, self, memory, reason]),
    [
      ["r0", true, "", null],
      ["r1", false, "", null],
      ["r2", false, "", null],
    ],
  );
  await read(asked, "dir/k", sizeBytes);
  for (const replica of replicas) {
    await until(async () => (await replica.metric("orca_flights")) === 0);
  }
  const warm = await inspected(other, "dir/k");
  const all = Array.from({ length: 16 }, (_, index) => index);
  const coordinated = warm.replicas.flatMap(({ coordinates }) => indexesOf(coordinates));
  assert.deepEqual(
    coordinated.sort((left, right) => left - right),
    all,
    "each chunk has one coordinator",
  );
  for (const { replica_id: id, self, coordinates, memory, disk, flight } of warm.replicas) {
    assert.equal(self, id === "r2");
    assert.equal(disk, coordinates, `the coordinator ${id} keeps its chunks on disk`);
    assert.equal(memory, id === "r0" ? "0-15" : coordinates);
    assert.equal(flight, "");
    const replica = replicas[Number(id.slice(1))] as ReplicaFixture;
    assert.equal(chunkFiles(replica).length, indexesOf(disk).length);
  }
  const { stdout } = await run(inspect, asked, { url: `s3://${testBucket}/dir/k` });
  assert.match(
    stdout,
    /^s3:\/\/models\/dir\/k\n16 MiB in 16 chunks of 1 MiB, ETag \w+, origin test\n\nreplica /,
  );
  assert.match(stdout, /^r0 \(answers\) +[\d,-]+ +memory, disk +\d+ +[\d,-]+$/m);
  assert.match(stdout, /^ +memory +\d+ +[\d,-]+$/m);
  assert.match(stdout, /\nEvery chunk is held somewhere\.\n$/);
});

test("inspect: a cluster of one, an absent key, an unknown bucket and a wrong URL", async () => {
  const single = await started.single({ settings: { chunking } });
  single.origin.put(testBucket, "k?%", { seed, sizeBytes: 3 * MiB });
  await read(single, "k%3F%25", 3 * MiB);
  const { replicas } = await inspected(single, "k?%");
  assert.deepEqual(
    replicas.map(({ coordinates, memory, disk, cachestore }) => [coordinates, memory, disk, cachestore]),
    [["0-2", "0-2", "", ""]],
  );
  single.origin.put(testBucket, "empty", { seed, sizeBytes: 0 });
  assert.equal((await run(inspect, single, { url: "s3://models/empty" })).exitCode, 0);
  const absent = await run(inspect, single, { url: "s3://models/absent" });
  assert.deepEqual([absent.exitCode, absent.stdout], [1, ""]);
  assert.match(absent.stderr, /^Cannot inspect s3:\/\/models\/absent at http:.*\/inspect: Cannot .*absent/);
  assert.doesNotMatch(absent.stderr, /Is a replica running/);
  const unknown = await run(inspect, single, { url: "s3://nowhere/k" });
  assert.match(unknown.stderr, /Cannot find bucket "nowhere": served here are models\n$/);
  for (const url of ["models/k", "s3://models", "s3://models/", "s3:///k"])
    await assert.rejects(run(inspect, single, { url }), /expected s3:\/\/BUCKET\/KEY/);
});

test("cache stats: tells of each tier what it holds", async () => {
  const single = await started.single({ disk: true, settings: { chunking } });
  const { metric } = single;
  single.origin.put(testBucket, "k", { seed, sizeBytes: 3 * MiB });
  await read(single, "k", 3 * MiB);
  await read(single, "k", 3 * MiB);
  await until(async () => (await metric("orca_commits_total")) === 3);
  const { exitCode, stdout } = await run(cacheStats, single, {});
  assert.equal(exitCode, 0);
  assert.match(stdout, /^memory +3 +3 MiB +256 MiB +\d+ +\d+ +0$/m);
  assert.match(stdout, /^disk +3 +3 MiB +1 GiB +- +- +0$/m);
  assert.match(stdout, /^test +1 +\d+ +1$/m);
  assert.match(stdout, /^disk: 0 blocks \(0 B\) read, 3 chunks stored, 0 not stored$/m);
});

test("cache verify: finds a flipped bit, removes it, and the next read heals it", async () => {
  const single = await started.single({ disk: true, settings: { chunking } });
  const { origin, metric } = single;
  // A pass begins with the replica. One that still runs would be joined, and might have passed the damaged chunk.
  await until(async () => (await metric('orca_scrub_passes_total{end="finished"}')) === 1);
  origin.put(testBucket, "k", { seed, sizeBytes: 8 * MiB });
  await read(single, "k", 8 * MiB);
  await until(async () => (await metric("orca_commits_total")) === 8);
  const [victim = ""] = chunkFiles(single);
  const bytes = readFileSync(victim);
  bytes[1000] = (bytes[1000] as number) ^ 1;
  writeFileSync(victim, bytes);
  const found = await run(cacheVerify, single, { progress, rateBytes: 1024 * MiB });
  assert.deepEqual([found.exitCode, found.stderr], [0, ""]);
  assert.match(
    found.stdout,
    /^Checked 8 chunks \(8 MiB\): 1 bad one, deleted; the next read fetches them again\.\n$/,
  );
  assert.equal(chunkFiles(single).length, 7);
  assert.equal(await metric("orca_disk_damaged_total"), 1);
  const again = await run(cacheVerify, single, { progress, json: true });
  const lines = again.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    [lines.at(-1)?.["state"], lines.at(-1)?.["checked_chunks"], lines.at(-1)?.["bad_chunks"]],
    ["complete", 7, 0],
  );
  await read(single, "k", 8 * MiB);
  assert.equal(origin.count("GET", "k"), 8, "memory still had it");
});

test("cache verify: the scrub goes on when the client disconnects, and the next verify joins it", async () => {
  const single = await started.single({ disk: true, settings: { chunking } });
  const { origin, metric, opsEndpoint } = single;
  origin.put(testBucket, "k", { seed, sizeBytes: 8 * MiB });
  await read(single, "k", 8 * MiB);
  await until(async () => (await metric("orca_commits_total")) === 8);
  const before = await metric('orca_scrub_passes_total{end="finished"}');
  const stop = new AbortController();
  const verify = async () =>
    (await (await fetch(`${opsEndpoint}/cache/verify`)).json()) as { state: string; checked_chunks: number };
  const response = await fetch(`${opsEndpoint}/cache/verify?bytes_per_second=${MiB}`, {
    method: "POST",
    headers: { "x-orca-action": "verify" },
    signal: stop.signal,
  });
  await response.body?.getReader().read();
  stop.abort();
  await until(async () => (await verify()).checked_chunks > 0);
  assert.equal((await verify()).state, "running");
  assert.equal(await metric("orca_scrub_running"), 1);
  const rest = await run(cacheVerify, single, { progress, rateBytes: 1024 * MiB });
  assert.match(rest.stdout, /^Checked 8 chunks \(8 MiB\): all are right\.\n$/);
  assert.equal(await metric('orca_scrub_passes_total{end="finished"}'), before + 1);
});

test("scrub: a replica runs it by itself, and stats tell what it found", async () => {
  const single = await started.single({ disk: true, settings: { chunking } });
  const { origin, metric, diskRoot } = single;
  origin.put(testBucket, "k", { seed, sizeBytes: 4 * MiB });
  await read(single, "k", 4 * MiB);
  await until(async () => (await metric("orca_commits_total")) === 4);
  const [victim = ""] = chunkFiles(single);
  await single.replica.stop();
  const bytes = readFileSync(victim);
  bytes[1000] = (bytes[1000] as number) ^ 1;
  writeFileSync(victim, bytes);
  const [name = ""] = readdirSync(join(diskRoot, "orca-disk.v1"));
  rmSync(join(diskRoot, "orca-disk.v1", name, "scrub.json"));
  const again = await startReplica({ disk: true, diskRoot, origin, settings: { chunking } });
  try {
    await until(async () => (await again.metric("orca_scrub_running")) === 0);
    await until(async () => (await again.metric('orca_scrub_passes_total{end="finished"}')) === 1);
    assert.equal(await again.metric('orca_scrub_chunks_total{result="damaged"}'), 1);
    assert.equal(chunkFiles(again).length, 3);
    const { stdout } = await run(cacheStats, again, {});
    assert.match(
      stdout,
      /^scrub: complete, 1 bad chunk deleted, last finished [\d-]+T[\d:.]+Z, next due [\d-]+T[\d:.]+Z$/m,
    );
  } finally {
    await again.stop();
  }
});

test("cache clear: a prefix goes from memory, disk and directory; the rest stays; then everything", async () => {
  const single = await started.single({ disk: true, settings: { chunking } });
  const { origin, metric } = single;
  const keys = ["a/1", "a/2", "b/1"];
  for (const key of keys) {
    origin.put(testBucket, key, { seed, sizeBytes: 2 * MiB });
    await read(single, key, 2 * MiB);
  }
  await until(async () => (await metric("orca_commits_total")) === 6);
  const part = await run(cacheClear, single, { prefix: `${testBucket}/a/`, cachestore: false });
  assert.deepEqual([part.exitCode, part.stderr], [0, ""]);
  assert.equal(
    part.stdout,
    `Cleared "models/a/" from this replica, and the metadata of 2 objects

tier    chunks  bytes
memory       4  4 MiB
disk         4  4 MiB
`,
  );
  assert.equal(chunkFiles(single).length, 2);
  for (const key of keys) await read(single, key, 2 * MiB);
  assert.deepEqual(
    keys.map((key) => [origin.count("HEAD", key), origin.count("GET", key)]),
    [
      [0, 4],
      [0, 4],
      [0, 2],
    ],
  );
  await until(async () => (await metric("orca_commits_total")) === 10);
  const all = await run(cacheClear, single, { cachestore: false, json: true });
  assert.deepEqual(JSON.parse(all.stdout).memory.chunks, 6);
  assert.deepEqual(chunkFiles(single), []);
  const wrong = await run(cacheClear, single, { prefix: "nowhere/x", cachestore: false });
  assert.match(wrong.stderr, /Cannot find bucket "nowhere"/);
});

test("/cache/clear: what is not understood clears nothing", async () => {
  const single = await started.single({ settings: { chunking } });
  const { origin, opsEndpoint } = single;
  origin.put(testBucket, "k", { seed, sizeBytes: MiB });
  await read(single, "k", MiB);
  const headers = { "x-orca-action": "clear" };
  for (const query of ["?prefx=models/a", "?prefix=models&prefix=models", "?cachestore=yes", "?prefix="]) {
    const response = await fetch(`${opsEndpoint}/cache/clear${query}`, { method: "POST", headers });
    assert.ok(response.status === 400 || response.status === 404, query);
    await response.body?.cancel();
  }
  const verify = await fetch(`${opsEndpoint}/cache/verify`);
  assert.equal(verify.status, 409, "there is no disk here");
  await read(single, "k", MiB);
  assert.deepEqual([origin.count("HEAD", "k"), origin.count("GET", "k")], [0, 1]);
});

test("inspect: one block of a chunk is a part, in memory and on disk, until the chunk is read whole", async () => {
  const single = await started.single({ disk: true, settings: { chunking: { size: "16MiB" } } });
  const replica = single;
  const sizeBytes = 32 * MiB;
  replica.origin.put(testBucket, "k", { seed, sizeBytes });
  const holdings = async () => {
    const [held] = (await inspected(replica, "k")).replicas;
    return [held?.memory, held?.disk, held?.partial];
  };
  await (await replica.get("k", { Range: `bytes=${20 * MiB}-${20 * MiB + 9}` })).arrayBuffer();
  await until(async () => (await replica.metric("orca_block_commits_total")) === 1);
  assert.deepEqual(await holdings(), ["1", "1", "1"]);
  const { stdout } = await run(inspect, replica, { url: `s3://${testBucket}/k` });
  assert.match(stdout, /part in memory, part on disk +1 +1$/m);
  assert.match(stdout, /^Held only in part: 1 chunk: 1$/m);
  await read(replica, "k", sizeBytes);
  await until(async () => (await replica.metric("orca_commits_total")) === 2);
  assert.deepEqual(await holdings(), ["0-1", "0-1", ""]);
});
