/** Hits on disk: the same bytes, answers and counts, with one thread that serves clients and with several. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, suite, test } from "node:test";
import { KiB, MiB } from "../../src/base/units.ts";
import type { SettingsTree } from "../../src/config/load.ts";
import { type PatternObject, readAlone } from "../support/read-alone.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const small = objects("small", 12, 64 * KiB);
const large = objects("large", 3, 5 * MiB + 1000);
/** For little memory. Each of the large objects has three of these chunks. */
const chunking = { size: "2MiB", tiers: [] };
const smallBytes = 12 * 64 * KiB;
const largeBytes = 3 * (5 * MiB + 1000);

let origin: S3Server | undefined;
let diskRoot = "";
let replica: ReplicaFixture | undefined;

afterEach(async () => {
  await replica?.stop();
  await origin?.stop();
  replica = undefined;
  origin = undefined;
  if (diskRoot) rmSync(diskRoot, { recursive: true, force: true });
});

function objects(name: string, count: number, sizeBytes: number): PatternObject[] {
  return Array.from({ length: count }, (_, seed) => ({ key: `${name}${seed}`, seed, sizeBytes }));
}

/** A replica whose disk holds the objects, and whose memory holds nothing. */
async function startWith(
  threads: number,
  stored: readonly PatternObject[],
  settings: SettingsTree = {},
): Promise<ReplicaFixture> {
  const chunkBytes = settings.chunking ? 2 * MiB : 8 * MiB;
  origin ??= await S3Server.start({ buckets: [testBucket] });
  diskRoot = mkdtempSync(join(tmpdir(), "orca-disk-hits-"));
  const options = { origin, diskRoot, disk: true, settings: { ...settings, server: { threads } } };
  const filling = await startReplica(options);
  replica = filling;
  for (const { key, seed, sizeBytes } of stored) {
    origin.put(testBucket, key, { seed, sizeBytes });
    await readAlone(filling, { key, seed, sizeBytes });
  }
  const chunks = stored.reduce((count, { sizeBytes }) => count + Math.ceil(sizeBytes / chunkBytes), 0);
  await until(async () => (await filling.metric("orca_disk_chunks")) === chunks);
  await filling.stop();
  replica = await startReplica(options);
  return replica;
}

function chunkFiles(): string[] {
  const names = readdirSync(diskRoot, { recursive: true, encoding: "utf8" });
  return names.filter((name) => /\.[0-9a-f]{64}\.\d+$/.test(name)).map((name) => join(diskRoot, name));
}

function sum(stored: readonly PatternObject[]): number {
  return stored.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
}

for (const threads of [1, 2]) {
  suite(`disk hits, server.threads: ${threads}`, () => {
    for (const [name, stored] of [
      ["small", small],
      ["large", large],
    ] as const) {
      test(`${name} objects come from disk, then into memory, and each byte is counted once`, async () => {
        const orca = await startWith(threads, stored);
        const gets = origin?.count("GET");
        const statuses: string[] = [];
        // The first read fetches blocks for itself. The second one has been seen, and takes the chunk into memory.
        for (let pass = 0; pass < 3; pass += 1) {
          for (const each of stored) statuses.push(await readAlone(orca, each));
        }
        const count = stored.length;
        assert.deepEqual(
          statuses,
          ["disk", "disk", "memory"].flatMap((source) => Array(count).fill(`orca; hit; detail=${source}`)),
        );
        const [disk, memory] = [
          await orca.metric('orca_bytes_sent_total{source="disk"}'),
          await orca.metric('orca_bytes_sent_total{source="memory"}'),
        ];
        // A slice that is taken after its chunk has come into memory is one of memory.
        assert.equal(disk + memory, 3 * sum(stored));
        if (stored === small) assert.equal(memory, sum(stored));
        assert.equal(
          await orca.metric('orca_requests_total{operation="get_object",status="200"}'),
          3 * count,
        );
        assert.deepEqual([origin?.count("GET"), await orca.metric("orca_disk_damaged_total")], [gets, 0]);
      });
    }

    test("a bit that flipped on disk is never served: the bytes come from the origin, once", async () => {
      const stored = [...small, ...large];
      const orca = await startWith(threads, stored);
      // Every second file is read once before.
      for (const [turn, each] of stored.entries()) if (turn % 2 === 0) await readAlone(orca, each);
      for (const [turn, file] of chunkFiles().entries()) {
        const bytes = readFileSync(file);
        const offset = (turn * 7919) % (64 * KiB);
        bytes[offset] = (bytes[offset] as number) ^ (1 << (turn % 8));
        writeFileSync(file, bytes);
      }
      const sentBefore = origin?.bytesSent() ?? 0;
      await Promise.all(stored.map((each) => readAlone(orca, each)));
      assert.equal(await orca.metric("orca_disk_damaged_total"), stored.length);
      assert.equal((origin?.bytesSent() ?? 0) - sentBefore, smallBytes + largeBytes);
      await Promise.all(stored.map((each) => readAlone(orca, each)));
      assert.equal((origin?.bytesSent() ?? 0) - sentBefore, smallBytes + largeBytes);
    });

    test("every byte is right while the disk and memory evict what is read", async () => {
      const sizes = [4 * KiB, 64 * KiB, 200 * KiB, 3 * MiB];
      const orca = await startWith(threads, [], {
        memory: { max_bytes: "32MiB" },
        disk: { max_bytes: "40MiB" },
        chunking,
      });
      const stored = Array.from({ length: 120 }, (_, number): PatternObject => {
        return { key: `o${number}`, seed: number, sizeBytes: sizes[number % sizes.length] as number };
      });
      for (const { key, seed, sizeBytes } of stored) origin?.put(testBucket, key, { seed, sizeBytes });
      const readers = Array.from({ length: 8 }, async (_, reader) => {
        for (let turn = 0; turn < 30; turn += 1) {
          await readAlone(orca, stored[(reader * 31 + turn * 7) % stored.length] as PatternObject);
        }
      });
      await Promise.all(readers);
      assert.ok((await orca.metric("orca_disk_evictions_total")) > 0);
      assert.ok((await orca.metric('orca_bytes_sent_total{source="disk"}')) > 0);
      assert.equal(await orca.metric("orca_disk_damaged_total"), 0);
    });

    test("clients that leave in the middle of a body from disk hold no memory", async () => {
      const orca = await startWith(threads, large, { memory: { max_bytes: "32MiB" }, chunking });
      const port = Number(new URL(orca.endpoint).port);
      const leave = async (_: unknown, turn: number): Promise<void> => {
        const socket = connect(port, "127.0.0.1");
        socket.write(`GET /${testBucket}/large${turn % large.length} HTTP/1.1\r\nHost: x\r\n\r\n`);
        await once(socket, "data");
        socket.destroy();
      };
      await Promise.all(Array.from({ length: 20 }, leave));
      // Needs all of memory but a few MiB.
      for (let pass = 0; pass < 3; pass += 1) for (const each of large) await readAlone(orca, each);
      assert.equal(await orca.metric("orca_disk_damaged_total"), 0);
    });
  });
}
