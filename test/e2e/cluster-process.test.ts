/**
 * What only processes of their own can show: a replica that is killed, and one that stands still.
 * Not in test:threads: clusters in one process are, and processes take long to start.
 */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MiB } from "../../src/base/units.ts";
import type { OrcaProcess } from "../support/orca-process.ts";
import { assertPattern } from "../support/pattern.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";
import { liveMembers, ProcessCluster } from "./process-cluster.ts";

let cluster: ProcessCluster | undefined;

afterEach(() => cluster?.stop());

async function start(stallTimeout: string, serverSettings = "", more = ""): Promise<ProcessCluster> {
  cluster = await ProcessCluster.start({
    settings: () => "memory: { max_bytes: 256MiB }",
    clusterSettings: `  stall_timeout: ${stallTimeout}${more}`,
    serverSettings,
  });
  return cluster;
}

async function read({ get }: OrcaProcess, key: string): Promise<Buffer> {
  const response = await get(key);
  assert.ok(response.ok, `${response.status} ${response.statusText}`);
  return Buffer.from(await response.arrayBuffer());
}

const originBytes = 'orca_origin_bytes_total{origin="test"}';

function lengthOf(range: string | undefined): number {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
  return Number(to) + 1 - Number(from);
}

/** Until each replica has a session to the port for chunk bytes of each other one. */
async function moveToBytesPorts({ origin, replicas }: ProcessCluster): Promise<void> {
  let count = 0;
  await until(async () => {
    count += 1;
    origin.put(testBucket, `warm${count}`, { seed: 5, sizeBytes: 8 * MiB });
    for (const replica of replicas) assertPattern(await read(replica, `warm${count}`), 5, 0);
    const open = replicas.map(({ metric }) => metric('orca_mesh_sessions_open{side="client"}'));
    return (await Promise.all(open)).every((sessions) => sessions === 6);
  });
}

// With two threads, these receive the chunks of peers, and with a port for chunk bytes they send them as well.
for (const [threads, isSending] of [
  [1, false],
  [2, false],
  [2, true],
] as const) {
  test(`kill -9 of a coordinator while it streams: no client sees it, and what is fetched again was in flight there (${threads} threads${isSending ? " that send chunks" : ""})`, async () => {
    // A replica that is killed closes its connections. Another one that is late on a busy machine must not pass for it.
    const bytesPort = isSending ? '\n  bytes_listen: "127.0.0.1:0"' : "";
    const started = await start("1m", `, threads: ${threads}`, bytesPort);
    if (isSending) await moveToBytesPorts(started);
    const { origin, replicas } = started;
    const warmedBytes = await (replicas[2] as OrcaProcess).metric(originBytes);
    const [first, second, third] = replicas as [OrcaProcess, OrcaProcess, OrcaProcess];
    const sizeBytes = 32 * MiB;
    origin.put(testBucket, "k", { seed: 4, sizeBytes });
    // Every GET stops in its middle, so that what is in flight stays in flight until the kill.
    const gates = Array.from({ length: 32 }, () => origin.hold("GET", "k", MiB / 2));
    const reads = [first, second].flatMap((replica) => [read(replica, "k"), read(replica, "k")]);
    await until(async () => {
      const asked = origin.count("GET", "k");
      const receivedBytes = (await third.metric(originBytes)) - warmedBytes;
      await sleep(100);
      return receivedBytes >= MiB / 2 && asked === origin.count("GET", "k");
    });
    third.child.signal("SIGKILL");
    await third.child.exited;
    for (const gate of gates) gate.release();
    for (const bytes of await Promise.all(reads)) {
      assert.equal(bytes.length, sizeBytes);
      assertPattern(bytes, 4, 0);
    }
    const gets = origin.requests.filter(({ operation, key }) => operation === "GET" && key === "k");
    const fetched = gets.length - 32;
    // Nothing else cuts a GET.
    const inFlight = gets.filter(({ range, bytesSent }) => bytesSent < lengthOf(range)).length;
    assert.ok(inFlight > 0);
    // A chunk that is taken up in its middle takes a second GET for the part before it.
    assert.ok(fetched <= 2 * inFlight, `${fetched} GETs more than chunks, with ${inFlight} in flight`);
    assert.ok(
      origin.bytesSent("k") - sizeBytes <= inFlight * MiB,
      `${origin.bytesSent("k") - sizeBytes} bytes more`,
    );
  });
}

test("a peer that accepts and never answers costs one stall, then nothing", async () => {
  const { origin, replicas } = await start("1s");
  const [first, , third] = replicas as [OrcaProcess, OrcaProcess, OrcaProcess];
  for (let index = 0; index < 30; index += 1)
    origin.put(testBucket, `k${index}`, { seed: index, sizeBytes: 100_000 });
  third.child.signal("SIGSTOP");
  const times: number[] = [];
  for (let index = 0; index < 30; index += 1) {
    const startedMs = performance.now();
    assertPattern(await read(first, `k${index}`), index, 0);
    times.push(performance.now() - startedMs);
  }
  third.child.signal("SIGCONT");
  const calls = 'orca_mesh_calls_failed_total{service="object",reason="unavailable"}';
  const ends = ["unreachable", "broken", "abandoned"].map(
    (end) => `orca_fill_chunk_calls_total{end="${end}"}`,
  );
  let stalls = 0;
  for (const series of [calls, ...ends]) stalls += await first.metric(series);
  // Metadata and bytes each have a session to find it out on.
  assert.ok(stalls >= 1 && stalls <= 2, `${stalls} of 30 reads waited for it`);
  // Beside what this machine takes for a read just now.
  const [median = 0] = times.toSorted((a, b) => a - b).slice(times.length / 2);
  assert.ok(Math.max(...times) < 4000 + 10 * median, times.map(Math.round).join(", "));
  await until(async () => (await liveMembers(first)) === 3);
});
