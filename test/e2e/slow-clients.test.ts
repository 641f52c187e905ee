import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MiB } from "../../src/base/units.ts";
import type { SettingsTree } from "../../src/config/load.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

const memoryBytes = 16 * MiB;
/** More than the buffers of both ends of a connection take. */
const sizeBytes = 48 * MiB;

async function start(context: TestContext, server: SettingsTree = {}): Promise<ReplicaFixture> {
  const fixture = await startReplica({
    settings: {
      server,
      chunking: { size: "1MiB", tiers: [], readahead: 0 },
      memory: { max_bytes: "16MiB", queue_timeout: "2s" },
    },
  });
  context.after(() => fixture.stop());
  return fixture;
}

/** A client that asks for an object of its own and reads nothing. */
function idleReader(context: TestContext, { endpoint, origin }: ReplicaFixture, seed: number): Socket {
  origin.put(testBucket, `idle-${seed}`, { seed, sizeBytes });
  const socket = connect(Number(new URL(endpoint).port), "127.0.0.1");
  socket.on("error", () => {});
  socket.pause();
  socket.write(`GET /${testBucket}/idle-${seed} HTTP/1.1\r\nHost: h\r\n\r\n`);
  context.after(() => socket.destroy());
  return socket;
}

/** Until the clients take nothing more, because all buffers are full. */
async function sendingStops({ origin }: ReplicaFixture, readers: number): Promise<void> {
  let sent = -1;
  await until(async () => {
    const before = sent;
    await sleep(200);
    sent = 0;
    for (let seed = 0; seed < readers; seed += 1) sent += origin.bytesSent(`idle-${seed}`);
    return sent === before && sent > readers * MiB;
  });
}

test("readers that read nothing hold half of memory at most, and a cold GET finds the rest", {
  timeout: 60_000,
}, async (context) => {
  const fixture = await start(context);
  const readers = 24;
  const sockets = Array.from({ length: readers }, (_, seed) => idleReader(context, fixture, seed));
  await sendingStops(fixture, readers);
  fixture.origin.put(testBucket, "cold", { seed: 99, sizeBytes: 3 * MiB });
  const response = await fixture.get("cold");
  assert.equal(response.status, 200);
  assertPattern(Buffer.from(await response.arrayBuffer()), 99, 0);
  assert.equal(await fixture.metric("orca_requests_in_flight"), readers);
  const heldBytes = await fixture.metric("orca_memory_held_by_readers_bytes");
  assert.ok(heldBytes > memoryBytes / 4 && heldBytes <= memoryBytes / 2, `${heldBytes} bytes are held`);
  for (const socket of sockets) socket.resetAndDestroy();
  await until(async () => (await fixture.metric("orca_memory_held_by_readers_bytes")) === 0);
});

test("a client that takes its bytes more slowly than server.client_min_rate is cut, and one that waits for the origin is not", {
  timeout: 60_000,
}, async (context) => {
  const fixture = await start(context, { client_min_rate: "4MiB", client_stall_timeout: "1s" });
  const { origin, endpoint } = fixture;
  origin.put(testBucket, "held", { seed: 7, sizeBytes: 3 * MiB });
  const gate = origin.hold("GET", "held", MiB / 2);
  const patient = await fixture.get("held");
  const slow = idleReader(context, fixture, 1);
  const closed = once(slow, "close");
  // Some bytes all the time, so that the connection does not stall.
  slow.on("data", () => {
    slow.pause();
    setTimeout(() => slow.resume(), 100);
  });
  slow.resume();
  await closed;
  assert.equal(await fixture.metric("orca_clients_slow_total"), 1);
  gate.release();
  assertPattern(Buffer.from(await patient.arrayBuffer()), 7, 0);
  // Nobody is held to the rate who takes at once what there is.
  origin.put(testBucket, "whole", { seed: 8, sizeBytes });
  assertPattern(Buffer.from(await (await fetch(`${endpoint}/${testBucket}/whole`)).arrayBuffer()), 8, 0);
  assert.equal(await fixture.metric("orca_clients_slow_total"), 1);
});
