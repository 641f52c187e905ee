/** `orca warm` while the replica that leads it stops: another one goes on, the command follows it, and no byte comes twice. */
import assert from "node:assert/strict";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { warm } from "../../src/cli/warm/warm-command.ts";
import type { WarmOptions } from "../../src/cli/warm/warm-follower.ts";
import type { PinsDocument } from "../../src/ops/pins/pins-endpoint.ts";
import type { WarmDocument } from "../../src/ops/warm/warm-document.ts";
import type { WarmUpsDocument } from "../../src/ops/warm/warm-endpoints.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";
import { StartedReplicas } from "./started-replicas.ts";

const chunking = { size: "1MiB", tiers: [] };
const seed = 5;
const objects = 40;
const url = `s3://${testBucket}/run/`;
const started = new StartedReplicas();

/** A warm-up that runs, and the lines that it has told. */
function begin({ opsEndpoint }: Pick<ReplicaFixture, "opsEndpoint">, options: Partial<WarmOptions>) {
  const lines: WarmDocument[] = [];
  const written = { stderr: "" };
  const exitCode = warm({
    ops: opsEndpoint,
    json: true,
    dryRun: false,
    clock: new SystemClock(),
    stdout: { write: (text) => void lines.push(JSON.parse(text) as WarmDocument) },
    stderr: { write: (text) => void (written.stderr += text) },
    progress: { write: () => undefined },
    ...options,
  });
  return { exitCode, lines, written };
}

function chunkFiles({ diskRoot }: ReplicaFixture): number {
  return readdirSync(diskRoot, { recursive: true, encoding: "utf8" }).filter((path) =>
    /\/[0-9a-f]{2}\/test\.[0-9a-f]{64}\.\d+$/.test(path),
  ).length;
}

async function warmUpsAt({ opsEndpoint }: ReplicaFixture): Promise<WarmUpsDocument> {
  return (await (await fetch(`${opsEndpoint}/cache/warm`)).json()) as WarmUpsDocument;
}

async function clusterOf(replication: number) {
  const cluster = await started.cluster({ disk: true, settings: { chunking, cluster: { replication } } });
  for (let index = 0; index < objects; index += 1)
    cluster.origin.put(testBucket, `run/${String(index).padStart(2, "0")}`, { seed, sizeBytes: MiB });
  return cluster;
}

function filled(lines: readonly WarmDocument[], chunks: number): Promise<void> {
  return until(() => (lines.at(-1)?.filled.chunks ?? 0) >= chunks);
}

test("warm: the replica that leads stops, another goes on under the same run id, and the command follows it", async () => {
  const cluster = await clusterOf(1);
  const { origin, replicas } = cluster;
  const [leader] = replicas as [ReplicaFixture];
  const running = begin(leader, { url, rateBytes: 20 * MiB });
  await filled(running.lines, 10);
  const ownBefore = leader.replica.stop().then(() => chunkFiles(leader));
  assert.equal(await running.exitCode, 0, running.written.stderr);
  const lost = await ownBefore;
  const first = running.lines[0] as WarmDocument;
  const last = running.lines.at(-1) as WarmDocument;
  assert.deepEqual([last.state, last.verified.chunks, last.run_id], ["complete", objects, first.run_id]);
  const states = new Set(running.lines.map(({ state }) => state));
  assert.ok(states.has("handed_on"));
  assert.equal(origin.count("GET"), objects + lost, "what was on the disk of the leader is gone with it");
  assert.equal(origin.bytesSent(), (objects + lost) * MiB);
  assert.equal(
    chunkFiles(replicas[1] as ReplicaFixture) + chunkFiles(replicas[2] as ReplicaFixture),
    objects,
  );
  const { replica_id: id } = running.lines.find(({ continued }) => continued)?.continued ?? {};
  const successor = replicas[Number(id?.slice(1))] as ReplicaFixture;
  assert.match(
    running.written.stderr,
    new RegExp(`^The replica stops\\. Replica ${id} goes on; to follow it:\n`),
  );
  const asked = await fetch(`${successor.opsEndpoint}/cache/warm?run=${first.run_id}`);
  assert.deepEqual(JSON.parse(await asked.text()), last);
  const { warm_ups: left, ended } = await warmUpsAt(successor);
  assert.deepEqual([left.length, ended], [0, [last]]);
  const unknown = await fetch(`${successor.opsEndpoint}/cache/warm?run=${"0".repeat(32)}`);
  assert.equal(unknown.status, 400);
});

test("warm: with copies on disks each chunk comes from the origin once, although its leader stops", async () => {
  const cluster = await clusterOf(2);
  const { origin, replicas } = cluster;
  const [leader, second, third] = replicas as [ReplicaFixture, ReplicaFixture, ReplicaFixture];
  const running = begin(leader, { url, rateBytes: 20 * MiB });
  await filled(running.lines, 10);
  const stopping = leader.replica.stop();
  assert.equal(await running.exitCode, 0, running.written.stderr);
  await stopping;
  assert.equal(running.lines.at(-1)?.verified.chunks, objects);
  assert.equal(origin.count("GET"), objects);
  assert.equal(origin.bytesSent(), objects * MiB);
  assert.deepEqual([chunkFiles(second), chunkFiles(third)], [objects, objects]);
});

test("warm: a manifest, its rate and its pins go on, from replica to replica", async () => {
  const cluster = await clusterOf(3);
  const { origin, replicas } = cluster;
  const manifest = join(tmpdir(), `orca-manifest-${process.pid}`);
  const places = Array.from({ length: objects }, (_, index) => `${url}${String(index).padStart(2, "0")}`);
  writeFileSync(manifest, `# a comment of ${"x".repeat(MiB)}\n${places.join("\n")}\n`);
  const [leader] = replicas as [ReplicaFixture];
  const startMs = performance.now();
  const running = begin(leader, { manifest, rateBytes: 10 * MiB, pinMs: 3_600_000 });
  await filled(running.lines, 5);
  const stopping = [leader.replica.stop()];
  await until(() => running.lines.some(({ state }) => state === "handed_on"));
  const { replica_id: id } = running.lines.find(({ continued }) => continued)?.continued ?? {};
  const next = replicas[Number(id?.slice(1))] as ReplicaFixture;
  await until(async () => ((await warmUpsAt(next)).warm_ups[0]?.filled.chunks ?? 0) >= 5);
  stopping.push(next.replica.stop());
  const exitCode = await running.exitCode;
  rmSync(manifest);
  await Promise.all(stopping);
  assert.equal(exitCode, 0, running.written.stderr);
  assert.equal(running.lines.filter(({ state }) => state === "handed_on").length, 2);
  assert.equal(running.lines.at(-1)?.verified.chunks, objects);
  assert.equal(origin.count("GET"), objects);
  assert.ok(performance.now() - startMs > 3000, "40 MiB at 10 MiB a second");
  const kept = replicas.find((replica) => replica !== leader && replica !== next) as ReplicaFixture;
  const pins = (await (await fetch(`${kept.opsEndpoint}/cache/pins`)).json()) as PinsDocument;
  assert.deepEqual([pins.chunks, new Set(pins.objects.map(({ until: end }) => end)).size], [objects, 1]);
});

test("warm: one that was handed on has no caller, and is cancelled by its run id", async () => {
  const cluster = await clusterOf(1);
  const { origin, replicas } = cluster;
  const [leader] = replicas as [ReplicaFixture];
  const running = begin(leader, { url, rateBytes: 4 * MiB });
  await filled(running.lines, 4);
  const stopping = leader.replica.stop();
  await until(() => running.lines.some(({ state }) => state === "handed_on"));
  const { replica_id: id } = running.lines.find(({ continued }) => continued)?.continued ?? {};
  const { run_id: runId } = running.lines[0] as WarmDocument;
  const next = replicas[Number(id?.slice(1))] as ReplicaFixture;
  const cancelled = begin(next, { cancel: runId });
  assert.equal(await cancelled.exitCode, 0, cancelled.written.stderr);
  assert.deepEqual(
    cancelled.lines.map(({ state, reason }) => [state, reason]),
    [["failed", "Cannot go on: it was cancelled"]],
  );
  assert.match(cancelled.written.stderr, /orca warm --resume /);
  assert.equal(await running.exitCode, 1);
  await stopping;
  assert.equal((await warmUpsAt(next)).warm_ups.length, 0);
  assert.ok(origin.count("GET") < objects);
});

test("warm: Ctrl-C ends a warm-up that the command follows at another replica", async () => {
  const cluster = await clusterOf(1);
  const { replicas } = cluster;
  const [leader] = replicas as [ReplicaFixture];
  const stop = Promise.withResolvers<string>();
  const running = begin(leader, { url, rateBytes: 4 * MiB, stopSignal: () => stop.promise });
  await filled(running.lines, 4);
  const stopping = leader.replica.stop();
  const handedOn = (): number => running.lines.findIndex(({ state }) => state === "handed_on");
  await until(() => handedOn() >= 0 && running.lines.length > handedOn() + 1);
  stop.resolve("SIGINT");
  assert.equal(await running.exitCode, 130);
  assert.match(
    running.written.stderr,
    /\nStopped\. What was fetched stays\. To go on:\n  orca warm --resume \S+ /,
  );
  await stopping;
  for (const replica of replicas.slice(1)) assert.equal((await warmUpsAt(replica)).warm_ups.length, 0);
});
