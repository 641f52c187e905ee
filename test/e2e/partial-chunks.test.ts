/** Ranges of large objects through a whole replica, with a real disk: what they cost the origin, also after a restart. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SeededRandom } from "../../src/base/random.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const sizeBytes = 64 * MiB + 5;
const seed = 3;
const folder = mkdtempSync(join(tmpdir(), "orca-partial-"));
after(() => rmSync(folder, { recursive: true, force: true }));

async function readRange({ get }: ReplicaFixture, start: number, lengthBytes: number): Promise<void> {
  const response = await get("k", { Range: `bytes=${start}-${start + lengthBytes - 1}` });
  assert.equal(response.status, 206);
  assertPattern(Buffer.from(await response.arrayBuffer()), seed, start);
}

test("40 random ranges cost one block each, nothing after a restart, and the whole object then only the gaps", async () => {
  const origin = await S3Server.start({ buckets: [testBucket] });
  origin.put(testBucket, "k", { seed, sizeBytes });
  const options = { disk: true, origin, diskRoot: folder, settings: { chunking: { size: "16MiB" } } };
  const random = new SeededRandom(5);
  const starts = Array.from({ length: 40 }, () => Math.floor(random.next() * (sizeBytes - 64 * KiB)));
  const blocks = new Set(
    starts.flatMap((start) => [start, start + 64 * KiB - 1].map((at) => Math.floor(at / MiB))),
  );
  let orca = await startReplica(options);
  const originBytes = (): Promise<number> => orca.metric('orca_origin_bytes_total{origin="test"}');
  const fetched = async (): Promise<number> => (await originBytes()) / MiB;
  for (const start of starts) await readRange(orca, start, 64 * KiB);
  const fetchedBlocks = await fetched();
  assert.ok(fetchedBlocks >= blocks.size && fetchedBlocks <= 40 * 1.1, `${fetchedBlocks} blocks`);
  for (const start of starts) await readRange(orca, start, 64 * KiB);
  assert.equal(await fetched(), fetchedBlocks);
  await until(async () => (await orca.metric("orca_block_commits_total")) === fetchedBlocks);
  await orca.stop();
  orca = await startReplica(options);
  for (const start of starts) await readRange(orca, start, 64 * KiB);
  assert.equal(await fetched(), 0, "they are on disk");
  assertPattern(Buffer.from(await (await orca.get("k")).arrayBuffer()), seed, 0);
  assert.equal(await originBytes(), sizeBytes - fetchedBlocks * MiB);
  await until(async () => (await orca.metric("orca_commits_total")) === 5);
  await orca.stop();
  await origin.stop();
});

test("a client that leaves a large object after its first bytes costs the blocks until then", async () => {
  const settings = { chunking: { size: "64MiB", readahead: 0 } };
  const orca = await startReplica({ settings });
  const { origin } = orca;
  try {
    origin.put(testBucket, "k", { seed, sizeBytes: 128 * MiB });
    const gate = origin.hold("GET", "k", 2 * MiB + 5);
    const leaving = new AbortController();
    const response = await fetch(`${orca.endpoint}/${testBucket}/k`, { signal: leaving.signal });
    await response.body?.getReader().read();
    await gate.reached;
    const received = 'orca_origin_bytes_total{origin="test"}';
    await until(async () => (await orca.metric(received)) === 2 * MiB + 5);
    leaving.abort();
    await until(async () => (await orca.metric("orca_clients_gone_total")) === 1);
    gate.release();
    await until(async () => (await orca.metric("orca_flights")) === 0);
    assert.equal(await orca.metric("orca_flights_cut_total"), 1);
    assert.equal(await orca.metric(received), 3 * MiB);
    await readRange(orca, 0, 3 * MiB);
    assert.equal(origin.count("GET", "k"), 1);
  } finally {
    await orca.stop();
  }
});
