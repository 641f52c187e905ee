/**
 * A restart with a full disk: a replica is ready before it knows all that it holds, because a chunk that the scan has not
 * come to is found by opening its file. The time is that of a process from its spawn on, as an orchestrator sees it.
 * Not in test:threads: each thread makes a start longer, and installed-process.test.ts bounds that.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { MiB } from "../../src/base/units.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import { chunkFilePath, encodeFooter, fanOuts, storedKeyOf } from "../../src/store/chunk-file/chunk-file.ts";
import { serveOrca } from "../support/orca-process.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";
import { endProcesses, freePort, type TestProcess } from "../support/process.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const chunks = 10_000;
const sizeBytes = 1500;
const readyWithinMs = 2000;
/** What 10,000 chunks may cost where the machine takes longer than that to start a replica with none. */
const chunksMayCostMs = 500;
/** Whatever else the machine does makes a start longer, never shorter: one that is in time proves that it can be. */
const startsMax = 5;

let origin: S3Server;
let folder: string;

before(async () => {
  // An orchestrator starts replicas without the compile cache that `npm test` has.
  delete process.env["NODE_COMPILE_CACHE"];
  origin = await S3Server.start({ buckets: [testBucket] });
  folder = mkdtempSync(join(tmpdir(), "orca-restart-"));
});
afterEach(endProcesses);
after(async () => {
  await origin.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Started {
  readonly child: TestProcess;
  readonly readyAfterMs: number;
  readonly get: (key: string) => Promise<Response>;
  readonly metric: (series: string) => Promise<number>;
}

/** Spawns a replica on `disk`, and asks /readyz from then on until it says 200. */
async function start(name: string): Promise<Started> {
  const opsPort = await freePort();
  const configuration = `server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:${opsPort}" }
origin:
  id: test
  driver: awss3
  awss3: { bucket: ${testBucket}, endpoint: "${origin.endpoint}", use_path_style: true }
disk: { root: ${join(folder, name)}, max_bytes: 1GiB }
cluster: { replica_id: r0 }
`;
  const spawnedMs = performance.now();
  const serving = serveOrca(folder, name, configuration);
  let status = 0;
  while (status !== 200) {
    assert.ok(performance.now() - spawnedMs < 30_000, "ready within 30 s");
    const response = await fetch(`http://127.0.0.1:${opsPort}/readyz`).catch(() => undefined);
    await response?.arrayBuffer();
    status = response?.status ?? 0;
    if (status !== 200) await sleep(5);
  }
  const readyAfterMs = performance.now() - spawnedMs;
  return { ...(await serving), readyAfterMs };
}

/** Lays a chunk as a replica would have, and its object into the origin. */
function lay(directory: string, objectKey: string, seed: number): void {
  const { etag } = origin.put(testBucket, objectKey, { seed, sizeBytes });
  const version = new ObjectVersion({
    originId: "test",
    bucket: testBucket,
    objectKey,
    etag,
    sizeBytes,
    chunkSizeBytes: 8 * MiB,
  });
  const bytes = patternBytes(seed, 0, sizeBytes);
  const footer = encodeFooter({
    storedKey: storedKeyOf({ version, index: 0 }),
    lengthBytes: sizeBytes,
    blockCrcs: Uint32Array.of(crc32(bytes)),
    sha256: createHash("sha256").update(bytes).digest(),
  });
  const path = chunkFilePath(directory, version.chunkPath(0));
  writeFileSync(path, Buffer.concat([bytes, footer]));
}

/** Starts the full replica until it is ready in time, each time beside an empty one. */
async function startInTime(t: TestContext): Promise<Started> {
  for (let starts = 1; ; starts += 1) {
    const empty = await start("empty");
    await empty.child.stop();
    const full = await start("full");
    const times = `ready after ${Math.round(full.readyAfterMs)} ms, without chunks after ${Math.round(empty.readyAfterMs)} ms`;
    t.diagnostic(times);
    if (full.readyAfterMs <= Math.max(readyWithinMs, empty.readyAfterMs + chunksMayCostMs)) return full;
    await full.child.stop();
    assert.ok(starts < startsMax, times);
  }
}

test("a restart with 10,000 chunks on disk: ready within 2 s, the first hit from disk, no origin GET", async (t) => {
  const directory = join(folder, "full", "orca-disk.v1", "r0");
  for (const fanOut of fanOuts) mkdirSync(join(directory, fanOut), { recursive: true });
  for (let seed = 0; seed < chunks; seed += 1) lay(directory, `k${seed}`, seed);
  const full = await startInTime(t);
  const first = await full.get("k9999");
  assert.equal(first.headers.get("cache-status"), "orca; hit; detail=disk");
  assertPattern(Buffer.from(await first.arrayBuffer()), 9999, 0);
  await until(async () => (await full.metric("orca_disk_chunks")) >= chunks);
  for (const seed of [0, 1234, 5678]) {
    assertPattern(Buffer.from(await (await full.get(`k${seed}`)).arrayBuffer()), seed, 0);
  }
  assert.equal(await full.metric("orca_disk_damaged_total"), 0);
  assert.equal(origin.count("GET"), 0);
  await full.child.stop();
});
