import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import type { FetchedBytes } from "../../../src/fill/flight-sources.ts";
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
  const key = { version, index: 0 };
  const [coordinator, second, third] = cluster.ranked(key) as [
    ReplicatedReplica,
    ReplicatedReplica,
    ReplicatedReplica,
  ];
  const hold = (replica: ReplicatedReplica): void => replica.disk.hold(key, patternBytes(1, 0, 3 * MiB));
  const asked = (): [string, number][] =>
    cluster.network.streams.map(({ to, request }) => [to, request.offset]);
  return { cluster, version, key, coordinator, second, third, hold, asked };
}

test("PeerCopies: a chunk that another keeper holds costs no origin GET", async () => {
  const { cluster, version, key, coordinator, second, hold, asked } = heldFixture();
  hold(second);
  await cluster.read(coordinator, version);
  assert.equal(cluster.origin.reads.length, 0);
  assert.deepEqual(asked(), [[second.id, 0]]);
  assert.equal(coordinator.path.sentBytes.peer, 3 * MiB);
  assert.deepEqual(
    [coordinator.peerCopies.stats.fetched, coordinator.peerCopies.stats.fetchedBytes],
    [1, 3 * MiB],
  );
  assert.equal(cluster.copiesOf(key), 2);
});

test("PeerCopies: a chunk that does not match its sender's SHA-256 is not kept on disk", async () => {
  const { version, key, coordinator, second, hold } = heldFixture();
  hold(second);
  second.disk.damage(key);
  await drain(new ObjectReader(coordinator.path, version, 0, version.sizeBytes));
  await settle();
  assert.equal(coordinator.disk.presence(key), "absent");
  assert.deepEqual([coordinator.filler.stats.commitsMismatched, coordinator.filler.stats.commits], [1, 0]);
});

test("PeerCopies: the replica that kept the chunk before is asked as well", async () => {
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

test("PeerCopies: a chunk that no replica holds comes from the origin, in one GET", async () => {
  const { cluster, version, coordinator } = heldFixture();
  await cluster.read(coordinator, version);
  await cluster.quiet();
  assert.equal(cluster.origin.reads.length, 1);
  assert.equal(coordinator.peerCopies.stats.notHeld, 2);
  assert.equal(coordinator.path.sentBytes.origin, 3 * MiB);
});

test("PeerCopies: after a peer breaks off, the fill continues at the byte where it stopped", async () => {
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
  assert.equal(coordinator.peerCopies.stats.broken, 1);
  await cluster.clock.advance(10_000);
});

test("PeerCopies: an unreachable peer is avoided, and a silent one is not asked for a time", async () => {
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
  assert.deepEqual([coordinator.peerCopies.stats.broken, coordinator.peerCopies.stats.silent], [1, 1]);
  assert.deepEqual([coordinator.coordination.stats.failures, coordinator.peerCopies.stats.asked], [1, 2]);
  const fetch = (): Promise<FetchedBytes | undefined> => {
    const part = { to: 100, filled: 0 };
    return coordinator.peerCopies.fetch(
      { version, index: 0 },
      part,
      new MemorySink(100),
      new AbortController().signal,
    );
  };
  assert.equal(await fetch(), undefined);
  assert.equal(coordinator.peerCopies.stats.asked, 2, "neither is asked again");
  await cluster.clock.advance(10_000);
  const again = fetch();
  await cluster.clock.advance(2000);
  assert.equal(await again, undefined);
  assert.equal(coordinator.peerCopies.stats.asked, 4);
});

test("ChunkServer: two replicas that each believe to be the coordinator do not wait for each other", async () => {
  const { cluster, version, key, coordinator, second } = heldFixture();
  cluster.origin.auto = false;
  const request = { offset: 0, end: 3 * MiB, seen: true, skipDisk: false };
  const flights = [coordinator, second].map(({ filler }) => filler.fill(key, request));
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

test("ChunkServer: nor do their flights for other blocks of the chunk, while the first ones still arrive", async () => {
  const { cluster, key, coordinator, second } = heldFixture();
  cluster.origin.auto = false;
  const both = [coordinator, second];
  const request = { offset: 2 * MiB, end: 3 * MiB, seen: true, skipDisk: false };
  const flights = both.map(({ filler }) => filler.fill(key, request));
  await settle();
  assert.equal(cluster.origin.reads.length, 2);
  const front = { ...request, offset: 0, end: 3 * MiB };
  flights.push(...both.map(({ filler }) => filler.fill(key, front)));
  await settle();
  assert.deepEqual(
    cluster.origin.reads.map(({ range }) => range),
    [
      [2 * MiB, MiB],
      [2 * MiB, MiB],
      [0, 2 * MiB],
      [0, 2 * MiB],
    ],
  );
  for (const read of cluster.origin.reads) read.deliver().finish();
  await settle();
  assert.ok(flights.every(({ state }) => state.kind === "closed"));
  assert.equal(cluster.clock.pendingTimers, 0);
});

test("ChunkServer: a flight that has turned to the origin is joined", async () => {
  const { cluster, version, key, coordinator, second } = heldFixture();
  cluster.origin.auto = false;
  second.filler.fill(key, { offset: 0, end: 3 * MiB, seen: true, skipDisk: false });
  await settle();
  const reading = cluster.read(coordinator, version);
  await settle();
  cluster.origin.reads[0]?.deliver().finish();
  await reading;
  assert.equal(cluster.origin.reads.length, 1);
});
