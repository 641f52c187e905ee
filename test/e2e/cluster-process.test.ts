/** What only processes of their own can show: a replica that is killed, and one that stands still. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MiB } from "../../src/base/units.ts";
import type { OrcaProcess } from "../support/orca-process.ts";
import { assertPattern } from "../support/pattern.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";
import { liveMembers, ProcessCluster } from "./process-cluster.ts";

let cluster: ProcessCluster;

async function start(serverSettings = ""): Promise<void> {
  cluster = await ProcessCluster.start({
    settings: () => "memory: { max_bytes: 256MiB }",
    clusterSettings: "  stall_timeout: 1s",
    serverSettings,
  });
}
afterEach(() => cluster?.stop());

async function read({ get }: OrcaProcess, key: string): Promise<Buffer> {
  const response = await get(key);
  assert.ok(response.ok, `${response.status} ${response.statusText}`);
  return Buffer.from(await response.arrayBuffer());
}

// With two threads, these receive the chunks of peers.
for (const threads of [1, 2]) {
  test(`kill -9 of a coordinator while it streams: no client sees it, and what is fetched again was in flight there (${threads} threads)`, async () => {
    await start(`, threads: ${threads}`);
    const { origin, replicas } = cluster;
    const [first, second, third] = replicas as [OrcaProcess, OrcaProcess, OrcaProcess];
    const sizeBytes = 32 * MiB;
    origin.put(testBucket, "k", { seed: 4, sizeBytes });
    // Every GET stops in its middle, so that what is in flight stays in flight until the kill.
    const gates = Array.from({ length: 32 }, () => origin.hold("GET", "k", MiB / 2));
    const reads = [first, second].flatMap((replica) => [read(replica, "k"), read(replica, "k")]);
    let inFlight = 0;
    await until(async () => {
      const asked = origin.count("GET", "k");
      inFlight = await third.metric("orca_flights");
      await sleep(100);
      return inFlight > 0 && asked === origin.count("GET", "k");
    });
    third.child.signal("SIGKILL");
    await third.child.exited;
    for (const gate of gates) gate.release();
    for (const bytes of await Promise.all(reads)) {
      assert.equal(bytes.length, sizeBytes);
      assertPattern(bytes, 4, 0);
    }
    const fetched = origin.requests.filter(({ operation }) => operation === "GET").length - 32;
    // A chunk that is taken up in its middle takes a second GET for the part before it.
    assert.ok(fetched <= 2 * inFlight, `${fetched} GETs more than chunks, with ${inFlight} in flight`);
    assert.ok(
      origin.bytesSent("k") - sizeBytes <= inFlight * MiB,
      `${origin.bytesSent("k") - sizeBytes} bytes more`,
    );
  });
}

test("a peer that accepts and never answers costs one stall, then nothing", async () => {
  await start();
  const { origin, replicas } = cluster;
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
  const slow = times.filter((ms) => ms > 500);
  assert.ok(slow.length <= 2, `${slow.length} of 30 reads were slow: ${slow.map(Math.round).join(", ")} ms`);
  // Metadata and bytes each have a session to find it out on.
  assert.ok(Math.max(...times) < 4000, `${Math.max(...times)} ms`);
  await until(async () => (await liveMembers(first)) === 3);
});
