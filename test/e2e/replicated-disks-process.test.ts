/**
 * Each chunk on two replicas' disks, without a cachestore: what only processes can show, since one of them is killed and
 * its disk is lost. The tests count files, as the file system has them, and GETs of the origin.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { GiB, KiB } from "../../src/base/units.ts";
import { ClusterCertificates, serverName } from "../support/cluster-certificates.ts";
import { type OrcaProcess, orca, serveOrca } from "../support/orca-process.ts";
import { assertPattern } from "../support/pattern.ts";
import { endProcesses, freePort } from "../support/process.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

/** One chunk each. Memory holds a third of them, so that most reads are of disks. */
const objects = 300;
const sizeBytes = 48 * KiB;
const copiesWanted = 2;
const clients = 6;

/** More of them, read when the disks are nearly full. */
const freshObjects = 60;
/** Room for 220 chunks below the high watermark of 0.95, and an eviction leaves 196. A file has 48 KiB and 200 bytes. */
const diskBytes = Math.ceil((220 * (sizeBytes + 200)) / 0.95);

/** A round begins 10 s after a start or a change of members, and a chunk is pulled in milliseconds. */
const comparedWithinMs = 25_000;

let origin: S3Server;
let certificates: ClusterCertificates;
let folder: string;
let ports: readonly number[];
let replicas: OrcaProcess[];

before(async () => {
  certificates = await ClusterCertificates.create();
});
after(() => certificates.remove());
afterEach(async () => {
  await endProcesses();
  await origin.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function startThree(diskMaxBytes = GiB): Promise<void> {
  folder = mkdtempSync(join(tmpdir(), "orca-copies-"));
  origin = await S3Server.start({ buckets: [testBucket] });
  for (let seed = 0; seed < objects + freshObjects; seed += 1)
    origin.put(testBucket, `k${seed}`, { seed, sizeBytes });
  ports = [await freePort(), await freePort(), await freePort(), await freePort()];
  replicas = await Promise.all([0, 1, 2].map((index) => serve(index, diskMaxBytes)));
  await until(async () => (await liveCounts()).every((count) => count === 3));
}

async function serve(index: number, diskMaxBytes = GiB): Promise<OrcaProcess> {
  const { certFile, keyFile, caFile } = await certificates.files(`r${index}`);
  return serveOrca(
    folder,
    `r${index}`,
    `server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0" }
origin:
  id: test
  driver: awss3
  awss3: { bucket: ${testBucket}, endpoint: "${origin.endpoint}", use_path_style: true }
chunking: { size: 1MiB, tiers: [] }
memory: { max_bytes: 5MiB }
disk: { root: ${diskOf(index)}, max_bytes: ${diskMaxBytes} }
cluster:
  peers: [${ports.map((port) => `"https://127.0.0.1:${port}"`).join(", ")}]
  internal_listen: "127.0.0.1:${ports[index]}"
  replica_id: r${index}
  replication: ${copiesWanted}
  stall_timeout: 1s
  internal_tls: { enabled: true, cert_file: ${certFile}, key_file: ${keyFile}, ca_file: ${caFile}, server_name: ${serverName} }
`,
  );
}

function diskOf(index: number): string {
  return join(folder, `disk-${index}`);
}

function pathOf(index: number, name = ""): string {
  return join(diskOf(index), "orca-disk.v1", `r${index}`, name);
}

/** Names of the chunks on a disk, as the file system has them. */
function chunksOn(index: number): string[] {
  return readdirSync(pathOf(index), { recursive: true, encoding: "utf8" }).filter((path) =>
    /^[0-9a-f]{2}\/test\./.test(path),
  );
}

/** On how many disks each chunk lies; a chunk that lies on none is left out. */
function copies(): Map<string, number> {
  const found = new Map<string, number>();
  for (const index of replicas.keys()) {
    for (const name of chunksOn(index)) found.set(name, (found.get(name) ?? 0) + 1);
  }
  return found;
}

function isEachTwice(): boolean {
  const counts = [...copies().values()];
  return counts.length === objects && counts.every((count) => count === copiesWanted);
}

/** How many copies there are beyond two of each chunk, as the file system has them; undefined where a chunk has fewer. */
function extraCopies(chunks: number): number | undefined {
  const counts = [...copies().values()];
  if (counts.length < chunks || counts.some((count) => count < copiesWanted)) return undefined;
  return counts.reduce((total, count) => total + count - copiesWanted, 0);
}

async function sumOf(series: string): Promise<number> {
  const values = await Promise.all(replicas.map(({ metric }) => metric(series)));
  return values.reduce((total, value) => total + value, 0);
}

function liveCounts(): Promise<number[]> {
  return Promise.all(
    replicas.map(async ({ opsEndpoint }) => {
      const status = (await (await fetch(`${opsEndpoint}/cluster`)).json()) as {
        members: { state: string }[];
      };
      return status.members.filter(({ state }) => state === "alive").length;
    }),
  );
}

/** Every object from one number to another once, through the given replicas in turn, by several clients. */
async function readAll(through: readonly OrcaProcess[], from = 0, to = objects): Promise<void> {
  let next = from;
  const client = async (): Promise<void> => {
    for (let seed = next++; seed < to; seed = next++) {
      const response = await (through[seed % through.length] as OrcaProcess).get(`k${seed}`);
      const body = Buffer.from(await response.arrayBuffer());
      assert.equal(response.status, 200, body.toString("utf8", 0, 300));
      assert.equal(body.length, sizeBytes);
      assertPattern(body, seed, 0);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
}

function pulled(): Promise<number[]> {
  return Promise.all(replicas.map(({ metric }) => metric('orca_pulls_total{end="pulled"}')));
}

test("kill -9 of a replica and the loss of its disk: no client error, no origin GET, and two copies again within 25 s of its return", async (t) => {
  await startThree();
  await readAll(replicas);
  await until(isEachTwice);
  assert.equal(origin.count("GET"), objects);

  const [first, second, third] = replicas as [OrcaProcess, OrcaProcess, OrcaProcess];
  const reading = readAll([first, second]);
  third.child.signal("SIGKILL");
  await third.child.exited;
  rmSync(diskOf(2), { recursive: true, force: true });
  await reading;
  await readAll([second, first]);
  assert.equal(origin.count("GET"), objects, "what was held came from the other copy");

  const returnedMs = performance.now();
  replicas[2] = await serve(2);
  await readAll(replicas);
  await until(() => [...copies().values()].every((count) => count >= copiesWanted), comparedWithinMs);
  t.diagnostic(`two copies of everything ${Math.round(performance.now() - returnedMs)} ms after the return`);
  assert.equal(copies().size, objects);
  assert.equal(origin.count("GET"), objects);
});

test("a fourth replica takes no more than its share and 10 %, without an origin GET; the copies it took over stay as extra ones, and go first when a disk is full", {
  timeout: 120_000,
}, async (t) => {
  await startThree(diskBytes);
  await readAll(replicas);
  await until(isEachTwice);
  const pulledBefore = await pulled();

  const joinedMs = performance.now();
  const fourth = await serve(3, diskBytes);
  replicas.push(fourth);
  await readAll(replicas);
  const share = (objects * copiesWanted) / 4;
  // Each chunk that the fourth keeps has one keeper less among the others, and its copy is still there.
  // The two counts are also equal for a moment on the way, so the wait is for nearly the whole share.
  await until(
    async () =>
      chunksOn(3).length >= share * 0.9 && (await sumOf("orca_extra_copies")) === chunksOn(3).length,
    comparedWithinMs,
  );
  t.diagnostic(`all copies made and marked ${Math.round(performance.now() - joinedMs)} ms after the start`);
  const moved = chunksOn(3).length;
  assert.equal(extraCopies(objects), moved);
  assert.ok(moved <= share * 1.1, `${moved} chunks moved, of a share of ${share}`);
  assert.ok(moved >= share * 0.9, `${moved} chunks moved, of a share of ${share}`);
  assert.deepEqual((await pulled()).slice(0, 3), pulledBefore, "nothing moved but to the fourth");
  assert.equal(origin.count("GET"), objects);
  await readAll([fourth]);
  assert.equal(origin.count("GET"), objects);

  const held = [...replicas.keys()].map((index) => chunksOn(index).length);
  await readAll(replicas, objects, objects + freshObjects);
  await until(() => extraCopies(objects + freshObjects) !== undefined);
  const evicted = await sumOf("orca_disk_evictions_total");
  t.diagnostic(`${held.join(", ")} chunks before, ${evicted} evicted`);
  assert.ok(evicted >= 3 * 20, `${evicted} chunks were evicted`);
  assert.equal(extraCopies(objects + freshObjects), moved - evicted, "only extra copies were evicted");
  assert.equal(origin.count("GET"), objects + freshObjects);
});

/** Flips one bit in every chunk on a disk. @returns what lay there before, by name. */
function flipEach(index: number): Map<string, Buffer> {
  const right = new Map<string, Buffer>();
  for (const name of chunksOn(index)) {
    const path = pathOf(index, name);
    const bytes = readFileSync(path);
    right.set(name, Buffer.from(bytes));
    const at = right.size * 100;
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(path, bytes);
  }
  return right;
}

async function restart(index: number): Promise<OrcaProcess> {
  const { metric } = (replicas[index] = await serve(index));
  await until(async () => (await metric("orca_disk_chunks")) === chunksOn(index).length);
  return replicas[index];
}

test("a bit flipped in each chunk on one disk: found on read and by verify, counted, never served, healed from the other copy", async () => {
  await startThree();
  await readAll(replicas);
  await until(isEachTwice);
  const [{ child }] = replicas as [OrcaProcess];
  await child.stop();
  const right = flipEach(0);
  const flipped = await restart(0);
  // Both keepers are asked, and the third, who asks them.
  for (const replica of replicas) await readAll([replica]);
  assert.equal(await flipped.metric("orca_disk_damaged_total"), right.size);
  await until(isEachTwice, comparedWithinMs);
  for (const [name, bytes] of right) assert.ok(readFileSync(pathOf(0, name)).equals(bytes), name);

  await flipped.child.stop();
  flipEach(0);
  const again = await restart(0);
  const verify = orca("verify", "cache", "verify", "--rate", "1GiB", "--ops", again.opsEndpoint);
  assert.equal(await verify.exited, 0);
  assert.match(
    verify.output.join("\n"),
    new RegExp(`Checked ${right.size} chunks .*: ${right.size} bad ones, deleted`),
  );
  assert.equal(await again.metric("orca_disk_damaged_total"), right.size);
  await readAll(replicas);
  await until(isEachTwice, comparedWithinMs);
  for (const [name, bytes] of right) assert.ok(readFileSync(pathOf(0, name)).equals(bytes), name);
  assert.equal(origin.count("GET"), objects);
});
