/** What many clients that do nearly nothing cost a replica: memory, and the time of a client that works. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { KiB, MiB } from "../../src/base/units.ts";
import { LoadConnection } from "../bench/http-load.ts";
import { serveOrca } from "../support/orca-process.ts";
import { endProcesses, TestProcess } from "../support/process.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";
import { Victim } from "./flood-cluster.ts";

/** Each client of a crowd asks for this once. */
const hot = { key: "hot", seed: 1, sizeBytes: 4 * KiB };
/** The good client asks for this: so much work that a wake-up of the crowd's own process is not most of a GET. */
const large = { key: "large", seed: 2, sizeBytes: MiB };
/** Of an idle connection that has had an answer: its socket, its parser and what they leave room for. */
const connectionBytesMax = 20 * KiB;
const leftHeapBytesMax = 4 * MiB;
/** Of what a process holds, whatever it does. */
const noiseBytesMax = 48 * MiB;
/** Of a replica, to its origin and from the test's own questions. */
const ownSocketsMax = 4;

const pairs = 9;
/** Slow clients send some hundred bytes meanwhile. */
const roundMs = 700;

const crowdScript = new URL("crowd.ts", import.meta.url).pathname;

/** A replica by itself, whose time limits do not end an idle connection, with two objects in memory. */
async function start(context: TestContext): Promise<Victim> {
  const folder = mkdtempSync(join(tmpdir(), "orca-crowd-"));
  const origin = await S3Server.start({ buckets: [testBucket] });
  for (const object of [hot, large]) origin.put(testBucket, object.key, object);
  context.after(async () => {
    await endProcesses();
    await origin.stop();
    rmSync(folder, { recursive: true });
  });
  const replica = await serveOrca(
    folder,
    "orca",
    `server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0", max_connections: 10100, header_timeout: 5m, keep_alive_timeout: 5m }
origin: { id: test, driver: awss3, awss3: { bucket: ${testBucket}, endpoint: "${origin.endpoint}", use_path_style: true } }
chunking: { size: 1MiB, tiers: [] }
memory: { max_bytes: 64MiB }
`,
    ["--expose-gc", "--import", new URL("collect-garbage.ts", import.meta.url).href],
  );
  return new Victim(replica, 0);
}

/** Clients from `127.0.2.<number>`. Resolves when they are all connected. */
async function crowd(
  { edgePort }: Victim,
  kind: "idle" | "slow",
  count: number,
  number: number,
): Promise<TestProcess> {
  const child = new TestProcess(`crowd ${number}`, process.execPath, [
    crowdScript,
    kind,
    String(edgePort),
    String(count),
    `127.0.2.${number}`,
  ]);
  await child.line(/^ready/);
  return child;
}

function connected({ replica }: Victim, count: number): Promise<void> {
  return until(async () => (await replica.metric("orca_client_connections")) === count);
}

function lostBy(child: TestProcess): string[] {
  return child.output.filter((line) => line.startsWith("lost"));
}

interface Memory {
  readonly residentBytes: number;
  readonly heapBytes: number;
}

/** The least of some collections, because V8 returns pages one after another. */
async function heldAfterCollection(victim: Victim): Promise<Memory> {
  let residentBytes = Infinity;
  let heapBytes = Infinity;
  for (let round = 0; round < 4; round += 1) {
    await victim.collectGarbage();
    residentBytes = Math.min(residentBytes, victim.held().residentBytes);
    heapBytes = Math.min(heapBytes, await victim.replica.metric("nodejs_heap_size_used_bytes"));
  }
  return { residentBytes, heapBytes };
}

/** The requests of a good client, one after the other for `durationMs`, in milliseconds. */
async function latencies({ edgePort }: Victim, durationMs: number): Promise<number[]> {
  const connection = new LoadConnection(edgePort);
  const taken: number[] = [];
  const endMs = performance.now() + durationMs;
  while (performance.now() < endMs) {
    const begunMs = performance.now();
    await connection.get({ path: `/${testBucket}/${large.key}`, range: "", bodyBytes: large.sizeBytes });
    taken.push(performance.now() - begunMs);
  }
  connection.close();
  return taken;
}

function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length * share)] ?? Infinity;
}

test("S3Listener: 10,000 idle connections cost little memory each, and leave nothing behind", {
  timeout: 240_000,
}, async (context) => {
  const victim = await start(context);
  // The code is compiled before anything is measured.
  await latencies(victim, 1000);
  const empty = await heldAfterCollection(victim);
  const { sockets } = victim.held();
  const full: Memory[] = [];
  for (let round = 0; round < 2; round += 1) {
    const crowds = await Promise.all([1, 2].map((number) => crowd(victim, "idle", 5000, number)));
    await connected(victim, 10_000);
    full.push(await heldAfterCollection(victim));
    await latencies(victim, 100);
    for (const child of crowds) {
      assert.deepEqual(lostBy(child), []);
      await child.stop();
    }
    await connected(victim, 0);
    await until(() => victim.held().sockets <= sockets + ownSocketsMax);
  }
  const [first, second] = full as [Memory, Memory];
  const left = await heldAfterCollection(victim);
  const each = (first.residentBytes - empty.residentBytes) / 10_000;
  context.diagnostic(`${Math.round(each)} bytes a connection`);
  assert.ok(each <= connectionBytesMax, `${each} bytes a connection`);
  assert.ok(
    left.heapBytes - empty.heapBytes <= leftHeapBytesMax,
    `heap: ${empty.heapBytes}, then ${left.heapBytes}`,
  );
  // The allocator keeps pages for the next ones, so a leak shows where the next ones need new pages.
  const more = second.residentBytes - first.residentBytes;
  assert.ok(more <= noiseBytesMax, `${more} bytes more for the next 10,000`);
});

test("S3Listener: 500 clients that send a byte of their head each second leave a good client's p99 below twice its quiet value", {
  timeout: 120_000,
}, async (context) => {
  const victim = await start(context);
  await latencies(victim, 1000);
  const empty = await heldAfterCollection(victim);
  const slow = await crowd(victim, "slow", 500, 3);
  const quiet: number[] = [];
  const loaded: number[] = [];
  // In turn, and the median of the rounds: whatever else the machine does for a moment is then in both or in neither.
  for (let pair = 0; pair < pairs; pair += 1) {
    slow.signal("SIGSTOP");
    quiet.push(percentile(await latencies(victim, roundMs), 0.99));
    slow.signal("SIGCONT");
    loaded.push(percentile(await latencies(victim, roundMs), 0.99));
  }
  await connected(victim, 500);
  assert.deepEqual(lostBy(slow), []);
  const [quietMs, loadedMs] = [percentile(quiet, 0.5), percentile(loaded, 0.5)];
  context.diagnostic(`p99 ${quietMs.toFixed(2)} ms quiet, ${loadedMs.toFixed(2)} ms loaded`);
  assert.ok(loadedMs <= 2 * quietMs, `p99 ${quietMs} ms quiet, ${loadedMs} ms loaded`);
  const grown = (await heldAfterCollection(victim)).heapBytes - empty.heapBytes;
  assert.ok(grown <= 500 * connectionBytesMax, `${grown} bytes more for 500 clients`);
  await slow.stop();
  await connected(victim, 0);
});
