/** `orca warm`: what it fetches and from where, what it tells, and what it leaves behind. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { warm } from "../../src/cli/warm/warm-command.ts";
import type { WarmOptions } from "../../src/cli/warm/warm-follower.ts";
import type { WarmDocument } from "../../src/ops/warm/warm-document.ts";
import { patternBytes } from "../support/pattern.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";
import { StartedReplicas } from "./started-replicas.ts";

const chunking = { size: "2MiB", tiers: [] };
const seed = 5;
const sizes = { "run/a": 5 * MiB + 7, "run/b": 2 * MiB, "run/c": 100, "run/empty": 0 };
const totalBytes = 7 * MiB + 107;
const started = new StartedReplicas();

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly progress: string;
}

async function run(
  { opsEndpoint }: Pick<ReplicaFixture, "opsEndpoint">,
  options: Partial<WarmOptions>,
): Promise<Outcome> {
  const written = { stdout: "", stderr: "", progress: "" };
  const exitCode = await warm({
    ops: opsEndpoint,
    json: false,
    dryRun: false,
    clock: new SystemClock(),
    stdout: { write: (text) => void (written.stdout += text) },
    stderr: { write: (text) => void (written.stderr += text) },
    progress: { isTTY: true, columns: 100, write: (text) => void (written.progress += text) },
    ...options,
  });
  return { exitCode, ...written };
}

function documents({ stdout }: Outcome): WarmDocument[] {
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as WarmDocument);
}

function last(outcome: Outcome): WarmDocument {
  return documents(outcome).at(-1) as WarmDocument;
}

function putAll({ origin }: { origin: ReplicaFixture["origin"] }): void {
  for (const [key, sizeBytes] of Object.entries(sizes)) origin.put(testBucket, key, { seed, sizeBytes });
  origin.put(testBucket, "other", { seed, sizeBytes: MiB });
}

async function read({ get }: ReplicaFixture, key: string, sizeBytes: number): Promise<void> {
  const body = Buffer.from(await (await get(key)).arrayBuffer());
  assert.ok(body.equals(patternBytes(seed, 0, sizeBytes)));
}

function chunkFiles({ diskRoot }: ReplicaFixture): string[] {
  return readdirSync(diskRoot, { recursive: true, encoding: "utf8" })
    .filter((path) => /\/[0-9a-f]{2}\/test\.[0-9a-f]{64}\.\d+$/.test(path))
    .map((path) => join(diskRoot, path));
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

test("warm: one replica fetches each byte below a prefix once, and a second time nothing", async () => {
  const single = await started.single({ disk: true, settings: { chunking } });
  putAll(single);
  const { origin } = single;
  const nothing = await run(single, { url: `s3://${testBucket}/rum/` });
  assert.deepEqual(
    [nothing.exitCode, nothing.stderr],
    [1, "No object there: s3://models/rum/ names none.\n"],
  );
  const dry = await run(single, { url: `s3://${testBucket}/run/`, dryRun: true });
  assert.deepEqual([dry.exitCode, dry.stderr], [0, ""]);
  assert.match(dry.stdout, /^s3:\/\/models\/run\/: 4 objects, 7 MiB\n/);
  assert.match(dry.stdout, /^held +0 +0 B$/m);
  assert.match(dry.stdout, /^to fetch +5 +7 MiB$/m);
  assert.equal(origin.count("GET"), 0);
  const first = await run(single, { url: `s3://${testBucket}/run/` });
  assert.deepEqual([first.exitCode, first.stderr], [0, ""]);
  assert.match(first.stdout, /^fetched +5 +7 MiB$/m);
  assert.match(first.stdout, /^verified +5 +7 MiB$/m);
  assert.match(first.stdout, /\nEvery chunk is held where it should be\.\n$/);
  assert.equal(origin.count("GET"), 5, "one GET a chunk");
  assert.equal(origin.bytesSent(), totalBytes);
  assert.equal(origin.count("HEAD"), 3, "an empty object needs none");
  assert.equal(chunkFiles(single).length, 5);
  origin.forgetRequests();
  for (const [key, sizeBytes] of Object.entries(sizes)) if (sizeBytes > 0) await read(single, key, sizeBytes);
  const again = last(await run(single, { url: `s3://${testBucket}/run/`, json: true }));
  assert.deepEqual([again.state, again.held.chunks, again.filled.chunks], ["complete", 5, 0]);
  assert.equal(origin.count("GET"), 0);
});

test("warm: three replicas fetch each byte once, spread by coordinator, whichever is asked", async () => {
  const cluster = await started.cluster({ disk: true, settings: { chunking } });
  const { origin, replicas } = cluster;
  origin.put(testBucket, "big", { seed, sizeBytes: 40 * MiB });
  const outcome = await run(replicas[1] as ReplicaFixture, { url: `s3://${testBucket}/big`, json: true });
  assert.deepEqual([outcome.exitCode, outcome.stderr], [0, ""]);
  const { state, filled, verified, held } = last(outcome);
  assert.equal(state, "complete");
  assert.deepEqual([filled.chunks, verified.chunks, held.chunks], [20, 20, 0]);
  assert.equal(origin.count("GET"), 20);
  assert.equal(origin.bytesSent(), 40 * MiB);
  const files = replicas.map((replica) => chunkFiles(replica).length);
  assert.equal(sum(files), 20);
  assert.ok(
    files.every((count) => count > 0),
    `all take part: ${files.join(", ")}`,
  );
  for (const replica of replicas) await read(replica, "big", 40 * MiB);
  assert.equal(origin.count("GET"), 20);
});

test("warm: with replicated disks each keeper copies a chunk once, and the origin is asked once", async () => {
  const cluster = await started.cluster({ disk: true, settings: { chunking, cluster: { replication: 2 } } });
  const { origin, replicas } = cluster;
  origin.put(testBucket, "big", { seed, sizeBytes: 20 * MiB });
  const outcome = await run(replicas[0] as ReplicaFixture, { url: `s3://${testBucket}/big` });
  assert.deepEqual([outcome.exitCode, outcome.stderr], [0, ""]);
  assert.equal(origin.count("GET"), 10);
  assert.equal(origin.bytesSent(), 20 * MiB);
  const files = replicas.map((replica) => chunkFiles(replica).length);
  assert.equal(sum(files), 20, "two copies of ten chunks");
  let pulledBytes = 0;
  for (const replica of replicas) pulledBytes += await replica.metric("orca_pull_bytes_total");
  assert.equal(pulledBytes, 20 * MiB, "no copy is made twice");
});

test("warm: a chunk of which clients have read a part is completed, and the origin sends no byte twice", async () => {
  const single = await started.single({ disk: true, settings: { chunking: { size: "8MiB", tiers: [] } } });
  const { origin } = single;
  origin.put(testBucket, "k", { seed, sizeBytes: 8 * MiB });
  const part = await single.get("k", { range: `bytes=${3 * MiB}-${3 * MiB}` });
  assert.equal((await part.arrayBuffer()).byteLength, 1);
  await until(async () => (await single.metric("orca_flights")) === 0);
  const { state } = last(await run(single, { url: `s3://${testBucket}/k`, json: true }));
  assert.equal(state, "complete");
  assert.equal(origin.bytesSent(), 8 * MiB);
  assert.equal(chunkFiles(single).length, 1);
});

test("warm: a manifest names objects, and those that cannot be read are named at the end", async () => {
  const single = await started.single({ disk: true, settings: { chunking } });
  putAll(single);
  const manifest = join(single.diskRoot, "manifest");
  writeFileSync(
    manifest,
    `# epoch 1\ns3://${testBucket}/run/a\r\n${testBucket}/other\n${testBucket}/absent\n`,
  );
  const { exitCode, stdout, stderr } = await run(single, { manifest });
  assert.equal(exitCode, 1);
  assert.match(stdout, /^manifest of 3 objects: 3 objects, 6 MiB\n/);
  assert.match(stdout, /^fetched +4 +6 MiB$/m);
  assert.match(
    stderr,
    /^1 chunk not held:\nobject +chunk +reason\ns3:\/\/models\/absent +all +Cannot .*absent/,
  );
  writeFileSync(manifest, "models/run/a\nmodels\n");
  const wrong = await run(single, { manifest });
  assert.deepEqual([wrong.exitCode, wrong.stdout], [1, ""]);
  assert.match(
    wrong.stderr,
    /Cannot use the manifest: line 2 names no object, expected s3:\/\/BUCKET\/KEY\n$/,
  );
});

test("warm: a chunk that the disk does not keep is named, and the exit code is 1", async () => {
  const single = await started.single({
    disk: true,
    settings: { chunking: { size: "8MiB", tiers: [] }, disk: { max_bytes: "20MiB" } },
  });
  single.origin.put(testBucket, "k", { seed, sizeBytes: 48 * MiB });
  const outcome = await run(single, { url: `s3://${testBucket}/k` });
  assert.equal(outcome.exitCode, 1);
  assert.match(outcome.stderr, /^\d chunks not held:\nobject +chunk +reason\n/);
  assert.match(outcome.stderr, /^s3:\/\/models\/k +\d +replica "\w+" does not hold it$/m);
  assert.match(outcome.stderr, /\nIs disk\.max_bytes large enough\?/);
});

test("warm: a file that was deleted or damaged behind the replica's back is fetched again", async () => {
  const single = await started.single({ disk: true, settings: { chunking } });
  const { origin } = single;
  origin.put(testBucket, "k", { seed, sizeBytes: 8 * MiB });
  assert.equal((await run(single, { url: `s3://${testBucket}/k` })).exitCode, 0);
  const [gone = "", cut = ""] = chunkFiles(single);
  rmSync(gone);
  writeFileSync(cut, "short");
  const again = last(await run(single, { url: `s3://${testBucket}/k`, json: true }));
  assert.deepEqual([again.state, again.held.chunks, again.filled.chunks], ["complete", 2, 2]);
});

test("warm: an interrupted warm-up leaves nothing running, and goes on from its id", async () => {
  const cluster = await started.cluster({ disk: true, settings: { chunking } });
  const { origin, replicas } = cluster;
  for (const key of ["a", "b", "c", "d"]) origin.put(testBucket, `run/${key}`, { seed, sizeBytes: 2 * MiB });
  const gate = origin.faults.hold("GET", "run/c", 100);
  const stop = Promise.withResolvers<string>();
  const asked = replicas[0] as ReplicaFixture;
  let lines = "";
  const running = run(asked, {
    url: `s3://${testBucket}/run/`,
    json: true,
    stdout: { write: (text) => void (lines += text) },
    stopSignal: () => stop.promise,
  });
  await gate.reached;
  await until(() => lines.includes('"filled":{"chunks":3'));
  const shown = (await (await fetch(`${asked.opsEndpoint}/cache/warm`)).json()) as {
    warm_ups: WarmDocument[];
  };
  assert.deepEqual(
    shown.warm_ups.map(({ source, state }) => [source, state]),
    [["s3://models/run/", "filling"]],
  );
  stop.resolve("SIGINT");
  const { exitCode, stderr } = await running;
  assert.equal(exitCode, 130);
  const id = /^Stopped\. What was fetched stays\. To go on:\n  orca warm --resume (\S+)\n$/.exec(stderr)?.[1];
  assert.ok(id !== undefined, stderr);
  gate.release();
  for (const replica of replicas) await until(async () => (await replica.metric("orca_flights")) === 0);
  await until(async () => {
    const { warm_ups: left } = (await (await fetch(`${asked.opsEndpoint}/cache/warm`)).json()) as {
      warm_ups: WarmDocument[];
    };
    return left.length === 0;
  });
  const resumed = await run(replicas[2] as ReplicaFixture, { resume: id, json: true });
  assert.equal(resumed.exitCode, 0);
  assert.deepEqual([last(resumed).verified.chunks, last(resumed).bytes], [4, 8 * MiB]);
});

test("warm: while clients wait for the origin, a warm-up asks it nothing", async () => {
  const single = await started.single({
    disk: true,
    settings: { chunking: { size: "1MiB", tiers: [], readahead: 0 }, origin: { target_global: 2 } },
  });
  const { origin } = single;
  for (const key of ["c1", "c2", "c3"]) origin.put(testBucket, key, { seed, sizeBytes: MiB });
  origin.put(testBucket, "run/k", { seed, sizeBytes: 6 * MiB });
  const gate = origin.faults.hold("GET", "c1");
  const other = origin.faults.hold("GET", "c2");
  const clients = ["c1", "c2"].map((key) => read(single, key, MiB));
  await Promise.all([gate.reached, other.reached]);
  clients.push(read(single, "c3", MiB));
  await until(async () => (await single.metric('orca_origin_requests_waiting{origin="test"}')) === 1);
  const running = run(single, { url: `s3://${testBucket}/run/`, json: true });
  await until(async () => (await single.metric("orca_warm_ups")) === 1);
  other.release();
  // Its permit goes to the client that waits, and then it is free: one of two is in use, so a warm-up may not have it.
  await Promise.all(clients.slice(1));
  assert.equal(origin.requests.filter(({ key }) => key.startsWith("run/")).length, 0);
  gate.release();
  await Promise.all(clients);
  assert.equal(last(await running).state, "complete");
  assert.equal(origin.bytesSent("run/k"), 6 * MiB);
  assert.equal(origin.inFlightMax, 2);
});

test("warm: --rate bounds the bytes from the origin", async () => {
  const single = await started.single({ disk: true, settings: { chunking: { size: "1MiB", tiers: [] } } });
  single.origin.put(testBucket, "k", { seed, sizeBytes: 4 * MiB });
  const startMs = performance.now();
  const { exitCode } = await run(single, { url: `s3://${testBucket}/k`, rateBytes: 4 * MiB });
  assert.equal(exitCode, 0);
  assert.ok(performance.now() - startMs >= 990, "4 MiB at 4 MiB a second");
});

test("warm: a replica that stops is left out, and the others hold all", async () => {
  const cluster = await started.cluster({ disk: true, settings: { chunking } });
  const { origin, replicas } = cluster;
  origin.put(testBucket, "big", { seed, sizeBytes: 60 * MiB });
  const gate = origin.faults.hold("GET", "big");
  const running = run(replicas[0] as ReplicaFixture, { url: `s3://${testBucket}/big`, json: true });
  await gate.reached;
  const stopping = (replicas[2] as ReplicaFixture).stop();
  await until(() => replicas[0]?.replica.liveMembers === 2);
  gate.release();
  const outcome = await running;
  await stopping;
  assert.deepEqual([outcome.exitCode, last(outcome).verified.chunks], [0, 30], outcome.stderr);
});

test("warm: an object that is overwritten meanwhile is warmed as it is now", async () => {
  const single = await started.single({ disk: true, settings: { chunking } });
  const { origin } = single;
  origin.put(testBucket, "k", { seed, sizeBytes: 8 * MiB });
  const gate = origin.faults.hold("GET", "k");
  const running = run(single, { url: `s3://${testBucket}/k`, json: true });
  await gate.reached;
  origin.put(testBucket, "k", { seed: seed + 1, sizeBytes: 6 * MiB });
  gate.release();
  const outcome = await running;
  assert.deepEqual([outcome.exitCode, last(outcome).verified.chunks], [0, 3], outcome.stderr);
  const body = Buffer.from(await (await single.get("k")).arrayBuffer());
  assert.ok(body.equals(patternBytes(seed + 1, 0, 6 * MiB)));
});

test("warm: where no other replica is left, a warm-up ends with its replica, and goes on from its id", async () => {
  const diskRoot = mkdtempSync(join(tmpdir(), "orca-warm-"));
  try {
    let single = await started.single({ disk: true, diskRoot, settings: { chunking } });
    const { origin } = single;
    origin.put(testBucket, "big", { seed, sizeBytes: 20 * MiB });
    const gate = origin.faults.hold("GET", "big");
    const running = run(single, { url: `s3://${testBucket}/big` });
    await gate.reached;
    const stopping = single.replica.stop();
    const { exitCode, stderr } = await running;
    gate.release();
    await stopping;
    assert.equal(exitCode, 1);
    assert.match(stderr, /^The warm-up failed: Cannot go on: this replica stops\. Resume at another one\n/);
    const resume = /--resume (\S+)\n$/.exec(stderr)?.[1];
    single = await started.single({ disk: true, diskRoot, origin, settings: { chunking } });
    const resumed = await run(single, { resume, json: true });
    assert.deepEqual([resumed.exitCode, last(resumed).verified.chunks], [0, 10], resumed.stderr);
  } finally {
    await started.stop();
    rmSync(diskRoot, { recursive: true, force: true });
  }
});

test("warm: a fifth warm-up is turned away, and an origin that denies fails one", async () => {
  const single = await started.single({ settings: { chunking } });
  const { origin } = single;
  const gates = [1, 2, 3, 4].map((number) => origin.faults.hold("LIST", `p${number}`));
  const stop = Promise.withResolvers<string>();
  const running = [1, 2, 3, 4].map((number) =>
    run(single, { url: `s3://${testBucket}/p${number}`, stopSignal: () => stop.promise }),
  );
  await Promise.all(gates.map(({ reached }) => reached));
  const fifth = await run(single, { url: `s3://${testBucket}/p5` });
  assert.deepEqual([fifth.exitCode, fifth.stdout], [1, ""]);
  assert.match(fifth.stderr, /: Cannot warm: 4 warm-ups run here already\n$/);
  stop.resolve("SIGINT");
  assert.deepEqual(
    (await Promise.all(running)).map(({ exitCode }) => exitCode),
    [130, 130, 130, 130],
  );
  for (const gate of gates) gate.release();
  await until(async () => (await single.metric("orca_warm_ups")) === 0);
  origin.faults.always("LIST", "p6", { status: 403 });
  const denied = await run(single, { url: `s3://${testBucket}/p6` });
  assert.equal(denied.exitCode, 1);
  assert.match(denied.stderr, /^The warm-up failed: Cannot /);
});

test("x-orca-warm: a HEAD of the first byte warms an object, and is answered as any HEAD", async () => {
  const cluster = await started.cluster({
    disk: true,
    settings: { chunking, server: { warm_header: true } },
  });
  const { origin, replicas } = cluster;
  origin.put(testBucket, "k", { seed, sizeBytes: 12 * MiB });
  const [asked] = replicas as [ReplicaFixture];
  const head = (key: string, headers: Record<string, string>): Promise<Response> =>
    fetch(`${asked.endpoint}/${testBucket}/${key}`, { method: "HEAD", headers });
  for (const headers of [
    { range: "bytes=0-0" },
    { "x-orca-warm": "1" },
    { range: "bytes=0-1", "x-orca-warm": "1" },
  ]) {
    const plain = await head("k", headers);
    assert.equal(plain.headers.get("x-orca-warm"), null);
  }
  const absent = await head("absent", { range: "bytes=0-0", "x-orca-warm": "1" });
  assert.deepEqual([absent.status, absent.headers.get("x-orca-warm")], [404, null]);
  assert.equal(origin.count("GET"), 0);
  const warmed = await head("k", { range: "bytes=0-0", "x-orca-warm": "1" });
  assert.deepEqual(
    [warmed.status, warmed.headers.get("content-range"), warmed.headers.get("x-orca-warm")],
    [206, `bytes 0-0/${12 * MiB}`, "queued"],
  );
  await until(async () => (await asked.metric('orca_warm_queue_total{result="complete"}')) === 1);
  assert.equal(origin.bytesSent("k"), 12 * MiB);
  assert.equal(sum(replicas.map((replica) => chunkFiles(replica).length)), 6);
});

test("x-orca-warm: off by default, and denied without the right to read", async () => {
  let single = await started.single({ disk: true, settings: { chunking } });
  single.origin.put(testBucket, "k", { seed, sizeBytes: 2 * MiB });
  const headers = { range: "bytes=0-0", "x-orca-warm": "1" };
  const plain = await fetch(`${single.endpoint}/${testBucket}/k`, { method: "HEAD", headers });
  assert.deepEqual([plain.status, plain.headers.get("x-orca-warm")], [206, null]);
  await started.stop();
  const keys = join(tmpdir(), `orca-warm-keys-${process.pid}.yaml`);
  writeFileSync(keys, "keys:\n  - { access_key: other, secret: hush-hush, buckets: [models] }\n");
  const server = { warm_header: true, auth: { enabled: true, access_keys_file: keys } };
  single = await started.single({ disk: true, settings: { chunking, server } });
  single.origin.put(testBucket, "k", { seed, sizeBytes: 2 * MiB });
  const denied = await fetch(`${single.endpoint}/${testBucket}/k`, { method: "HEAD", headers });
  rmSync(keys);
  assert.deepEqual([denied.status, denied.headers.get("x-orca-warm")], [403, null]);
  assert.equal(await single.metric("orca_warm_queue_waiting"), 0);
  assert.equal(single.origin.count("HEAD") + single.origin.count("GET"), 0);
});
