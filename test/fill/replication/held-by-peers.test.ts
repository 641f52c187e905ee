import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import type { BroughtPart } from "../../../src/fill/filler.ts";
import { ObjectReader } from "../../../src/fill/object-reader.ts";
import { settle } from "../../support/fake-clock.ts";
import { drain } from "../../support/fill-fixture.ts";
import { MemorySink } from "../../support/memory-sink.ts";
import { patternBytes } from "../../support/pattern.ts";
import { ReplicatedFixture, type ReplicatedReplica } from "../../support/replicated-fixture.ts";

/** A chunk of 3 MiB that its coordinator does not hold, and the two others in rank order. */
function heldFixture() {
  const cluster = new ReplicatedFixture();
  const version = cluster.version("k", 3 * MiB);
  const ref = { version, index: 0 };
  const [coordinator, second, third] = cluster.ranked(ref) as [
    ReplicatedReplica,
    ReplicatedReplica,
    ReplicatedReplica,
  ];
  const hold = (replica: ReplicatedReplica): void => replica.disk.hold(ref, patternBytes(1, 0, 3 * MiB));
  const asked = (): [string, number][] =>
    cluster.network.streams.map(({ to, request }) => [to, request.offset]);
  return { cluster, version, ref, coordinator, second, third, hold, asked };
}

test("HeldByPeers: what another keeper holds costs no origin GET", async () => {
  const { cluster, version, ref, coordinator, second, hold, asked } = heldFixture();
  hold(second);
  await cluster.read(coordinator, version);
  assert.equal(cluster.origin.reads.length, 0);
  assert.deepEqual(asked(), [[second.id, 0]]);
  assert.equal(coordinator.path.sentBytes.peer, 3 * MiB);
  assert.deepEqual([coordinator.held.stats.brought, coordinator.held.stats.broughtBytes], [1, 3 * MiB]);
  assert.equal(cluster.copiesOf(ref), 2);
});

test("HeldByPeers: what does not hash to what its sender says is not kept on disk", async () => {
  const { version, ref, coordinator, second, hold } = heldFixture();
  hold(second);
  second.disk.damage(ref);
  await drain(new ObjectReader(coordinator.path, version, 0, version.sizeBytes));
  await settle();
  assert.equal(coordinator.disk.presence(ref), "absent");
  assert.deepEqual([coordinator.filler.stats.commitsMismatched, coordinator.filler.stats.commits], [1, 0]);
});

test("HeldByPeers: who kept the chunk before is asked as well", async () => {
  const { cluster, version, coordinator, second, third, hold, asked } = heldFixture();
  hold(third);
  await cluster.read(coordinator, version);
  assert.equal(cluster.origin.reads.length, 0);
  assert.deepEqual(asked().slice(0, 2), [
    [second.id, 0],
    [third.id, 0],
  ]);
  await cluster.quiet();
});

test("HeldByPeers: what nobody holds comes from the origin, in one GET", async () => {
  const { cluster, version, coordinator } = heldFixture();
  await cluster.read(coordinator, version);
  await cluster.quiet();
  assert.equal(cluster.origin.reads.length, 1);
  assert.equal(coordinator.held.stats.notHeld, 2);
  assert.equal(coordinator.path.sentBytes.origin, 3 * MiB);
});

test("HeldByPeers: a peer that breaks off is gone on from, at the byte where it stopped", async () => {
  const { cluster, version, coordinator, second, third, hold, asked } = heldFixture();
  hold(second);
  cluster.network.cutAfterBytes = ({ to }) => (to === second.id ? MiB + 100 : undefined);
  await cluster.read(coordinator, version);
  assert.deepEqual(asked().slice(0, 2), [
    [second.id, 0],
    [third.id, MiB + 100],
  ]);
  assert.deepEqual(
    cluster.origin.reads.map(({ request }) => [request.offset, request.lengthBytes]),
    [[MiB + 100, 2 * MiB - 100]],
  );
  assert.equal(coordinator.held.stats.broken, 1);
  await cluster.clock.advance(10_000);
});

test("HeldByPeers: a peer that is gone is avoided, and one that is silent is not asked for a time", async () => {
  const { cluster, version, coordinator, second, third } = heldFixture();
  cluster.network.hosts.delete(second.id);
  cluster.network.blackHoles.add(third.id);
  cluster.deaf = true;
  const reading = cluster.read(coordinator, version);
  await cluster.clock.advance(1999);
  assert.equal(cluster.origin.reads.length, 0);
  await cluster.clock.advance(1);
  await reading;
  assert.equal(cluster.origin.reads.length, 1);
  assert.deepEqual([coordinator.held.stats.broken, coordinator.held.stats.silent], [1, 1]);
  assert.deepEqual([coordinator.coordination.stats.failures, coordinator.held.stats.asked], [1, 2]);
  const bring = (): Promise<BroughtPart | undefined> => {
    const part = { to: 100, filled: 0 };
    return coordinator.held.bring(
      { version, index: 0 },
      part,
      new MemorySink(100),
      new AbortController().signal,
    );
  };
  assert.equal(await bring(), undefined);
  assert.equal(coordinator.held.stats.asked, 2, "neither is asked again");
  await cluster.clock.advance(10_000);
  const again = bring();
  await cluster.clock.advance(2000);
  assert.equal(await again, undefined);
  assert.equal(coordinator.held.stats.asked, 4);
});

test("ChunkServer: two that take themselves for the coordinator do not wait for each other", async () => {
  const { cluster, version, ref, coordinator, second } = heldFixture();
  cluster.origin.auto = false;
  const request = { offset: 0, end: 3 * MiB, seen: true, pastDisk: false };
  const flights = [coordinator, second].map(({ filler }) => filler.fill(ref, request));
  await settle();
  assert.deepEqual(
    cluster.origin.reads.map(({ request: { offset } }) => offset),
    [0, 0],
  );
  for (const read of cluster.origin.reads) read.deliver().finish();
  await settle();
  assert.deepEqual(
    flights.map(({ state }) => state.kind),
    ["closed", "closed"],
  );
  assert.equal(cluster.clock.pendingTimers, 0);
  assert.equal(version.chunkCount, 1);
});

test("ChunkServer: nor do the later parts of flights that have turned to the origin", async () => {
  const { cluster, version, ref, coordinator, second } = heldFixture();
  cluster.origin.auto = false;
  const request = { offset: 2 * MiB, end: 3 * MiB, seen: true, pastDisk: false };
  for (const { filler } of [coordinator, second]) filler.fill(ref, request);
  await settle();
  assert.equal(cluster.origin.reads.length, 2);
  const streams = cluster.network.streams.length;
  // Somebody wants the front at once, while the first parts are still owed.
  const readers = [coordinator, second].map((replica) => cluster.read(replica, version));
  await settle();
  assert.equal(cluster.network.streams.length, streams, "nobody else is asked any more");
  assert.equal(cluster.origin.reads.length, 4);
  for (const read of cluster.origin.reads) read.deliver().finish();
  await Promise.all(readers);
});

test("ChunkServer: a flight that has turned to the origin is joined", async () => {
  const { cluster, version, ref, coordinator, second } = heldFixture();
  cluster.origin.auto = false;
  second.filler.fill(ref, { offset: 0, end: 3 * MiB, seen: true, pastDisk: false });
  await settle();
  const reading = cluster.read(coordinator, version);
  await settle();
  cluster.origin.reads[0]?.deliver().finish();
  await reading;
  assert.equal(cluster.origin.reads.length, 1);
});
