import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import { clusterFixture, stallTimeoutMs } from "../support/cluster-fixture.ts";
import { settle } from "../support/fake-clock.ts";
import { drain } from "../support/fill-fixture.ts";
import { assertPattern } from "../support/pattern.ts";

type Fixture = ReturnType<typeof clusterFixture>;
type Host = Fixture["replicas"][number];
type Version = ReturnType<Fixture["version"]>;

const whole = (host: Host, object: Version): Promise<Buffer> =>
  drain(new ObjectReader(host.path, object, 0, object.sizeBytes));

test("Relay: three replicas that read one chunk at once ask the origin for it once", async () => {
  const { origin, network, replicas, version, ranked } = clusterFixture();
  const object = version("k", 8 * MiB);
  const [coordinator] = ranked(object);
  const reads = replicas.flatMap((host) => [whole(host, object), whole(host, object)]);
  await settle();
  assert.equal(origin.reads.length, 1);
  origin.reads[0]?.deliver(3 * MiB);
  await settle();
  origin.reads[0]?.deliver().finish();
  for (const bytes of await Promise.all(reads)) assertPattern(bytes, 1, 0);
  assert.equal(network.streams.length, 2, "each of the other two asks once, however many readers it has");
  assert.ok(network.streams.every(({ to }) => to === coordinator?.id));
  assert.equal(coordinator?.relay.stats.relays, 0);
});

test("Relay: bytes reach the assembler's reader before the coordinator has the whole chunk", async () => {
  const { origin, ranked, version } = clusterFixture();
  const object = version("k", 8 * MiB);
  const [, assembler] = ranked(object);
  assert.ok(assembler);
  const reader = new ObjectReader(assembler.path, object, 0, object.sizeBytes);
  assert.equal(reader.take(), null);
  const ready = reader.ready();
  await settle();
  origin.reads[0]?.deliver(100);
  await ready;
  const slice = reader.take();
  assert.equal(slice?.length, 100);
  assert.equal(reader.source, "peer");
  reader.close();
  origin.reads[0]?.deliver().finish();
  await settle();
});

test("Relay: a whole chunk stays in the assembler's memory, and only its coordinator stores it on disk", async () => {
  const { origin, network, ranked, version } = clusterFixture({ disk: true });
  origin.auto = true;
  const object = version("k", 8 * MiB);
  const [coordinator, assembler] = ranked(object);
  assert.ok(coordinator && assembler);
  assertPattern(await whole(assembler, object), 1, 0);
  await settle();
  assert.equal(assembler.memory.stats.chunks, 1);
  assert.equal(assembler.disk?.chunks.size, 0);
  assert.equal(coordinator.disk?.chunks.size, 1);
  await whole(assembler, object);
  assert.equal(network.streams.length, 1);
});

test("Relay: a short range fetches its blocks, which stay in memory, and a read of the whole fetches the others", async () => {
  const { origin, network, ranked, version } = clusterFixture();
  origin.auto = true;
  const object = version("k", 8 * MiB);
  const [coordinator, assembler] = ranked(object);
  assert.ok(coordinator && assembler);
  const range = (): Promise<Buffer> =>
    drain(new ObjectReader(assembler.path, object, 5 * MiB - 10, 5 * MiB + 90));
  const asked = (): number[][] =>
    network.streams.map(({ request: { offset, lengthBytes } }) => [offset, lengthBytes]);
  assertPattern(await range(), 1, 5 * MiB - 10);
  await settle();
  assert.deepEqual(asked(), [[4 * MiB, 2 * MiB]]);
  assert.deepEqual([assembler.memory.bytes, coordinator.memory.bytes], [2 * MiB, 2 * MiB]);
  assertPattern(await range(), 1, 5 * MiB - 10);
  assert.equal(network.streams.length, 1, "the second time it comes from memory");
  assertPattern(await whole(assembler, object), 1, 0);
  await settle();
  const gaps = [
    [0, 4 * MiB],
    [6 * MiB, 2 * MiB],
  ];
  assert.deepEqual(asked().slice(1), gaps);
  assert.deepEqual(
    origin.reads.map(({ range: read }) => read),
    [[4 * MiB, 2 * MiB], ...gaps],
  );
  assert.equal(
    network.streams.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0),
    8 * MiB,
  );
});

test("Relay: when its only reader leaves before the first byte, nothing is fetched, here or at the coordinator", async () => {
  const { origin, ranked, version } = clusterFixture();
  const object = version("k", 8 * MiB);
  const [coordinator, assembler] = ranked(object);
  assert.ok(assembler && coordinator);
  const reader = new ObjectReader(assembler.path, object, 0, object.sizeBytes);
  reader.take();
  const ready = reader.ready();
  await settle();
  assert.equal(assembler.budget.usedBytes, 8 * MiB);
  reader.close();
  await ready;
  await settle();
  assert.equal(origin.reads[0]?.signal.aborted, true);
  for (const { budget, relay, filler } of [assembler, coordinator]) {
    assert.deepEqual([budget.usedBytes, relay.flightsInProgress, filler.flightsInProgress], [0, 0, 0]);
  }
  assert.deepEqual([assembler.relay.stats.cut, coordinator.filler.stats.cut], [1, 1]);
});

test("Relay: when its only reader leaves in the middle of a block, that block arrives whole and stays", async () => {
  const { origin, ranked, version } = clusterFixture({ disk: true });
  const object = version("k", 8 * MiB);
  const [coordinator, assembler] = ranked(object);
  assert.ok(assembler && coordinator);
  const reader = new ObjectReader(assembler.path, object, 0, object.sizeBytes);
  reader.take();
  const ready = reader.ready();
  await settle();
  origin.reads[0]?.deliver(MiB + 10);
  await ready;
  await settle();
  assert.ok(reader.take());
  reader.close();
  await settle();
  assert.equal(origin.reads[0]?.signal.aborted, false);
  origin.reads[0]?.deliver(MiB - 10);
  await settle();
  assert.deepEqual([origin.reads[0]?.signal.aborted, origin.reads[0]?.deliveredBytes], [true, 2 * MiB]);
  assert.deepEqual([assembler.memory.bytes, coordinator.memory.bytes], [2 * MiB, 2 * MiB]);
  assert.equal(coordinator.disk?.partial?.puts.length, 2);
  assert.deepEqual(assembler.disk?.partial?.puts, [], "nothing has verified its bytes there");
});

test("Relay: when the coordinator dies, the next in rank fetches the rest for all replicas, in one fill", async () => {
  const { origin, network, replicas, ranked, version } = clusterFixture({ replicas: 4 });
  const object = version("k", 8 * MiB);
  const [coordinator, next, third, fourth] = ranked(object);
  assert.ok(coordinator && next && third && fourth);
  const reads = [next, third, fourth].map((host) => whole(host, object));
  await settle();
  origin.reads[0]?.deliver(3 * MiB);
  await settle();
  network.hosts.delete(coordinator.id);
  origin.reads[0]?.deliver(MiB);
  await settle();
  assert.equal(origin.reads.length, 2);
  assert.equal(origin.reads[1]?.request.offset, 3 * MiB, "from the byte where it stopped");
  origin.auto = true;
  origin.reads[1]?.deliver().finish();
  for (const bytes of await Promise.all(reads)) assertPattern(bytes, 1, 0);
  const fetched = origin.reads.slice(1).reduce((sum, { deliveredBytes }) => sum + deliveredBytes, 0);
  assert.ok(fetched <= 8 * MiB, `the chunk is fetched once more at most, not ${fetched} bytes`);
  for (const host of replicas) {
    if (host !== coordinator) assert.deepEqual(host.view.probed, [coordinator.id]);
  }
});

test("Relay: a peer that never answers costs one stall, and is then avoided for a time", async () => {
  const { clock, origin, network, ranked, version, replicas } = clusterFixture({ replicas: 2 });
  origin.auto = true;
  const objects = Array.from({ length: 40 }, (_, index) => version(`k${index}`, 2 * MiB));
  const [hole] = replicas;
  const [, other] = replicas;
  assert.ok(hole && other);
  network.blackHoles.add(hole.id);
  const foreign = objects.filter((object) => ranked(object)[0] === hole);
  assert.ok(foreign.length > 5);
  const first = whole(other, foreign[0] as Version);
  await settle();
  await clock.advance(stallTimeoutMs);
  assertPattern(await first, 1, 0);
  for (const object of foreign.slice(1, 4)) assertPattern(await whole(other, object), 1, 0);
  assert.equal(network.streams.length, 1);
  // After that time one request goes to it, and the others still avoid it.
  await clock.advance(10_000);
  const trial = whole(other, foreign[4] as Version);
  assertPattern(await whole(other, foreign[5] as Version), 1, 0);
  assert.equal(network.streams.length, 2);
  await clock.advance(stallTimeoutMs);
  assertPattern(await trial, 1, 0);
});

test("Relay: an origin's error passes through the coordinator unchanged, and the origin is not asked again", async () => {
  const { origin, network, ranked, version } = clusterFixture();
  const object = version("k", 8 * MiB);
  const [, assembler] = ranked(object);
  assert.ok(assembler);
  const read = whole(assembler, object);
  read.catch(() => {});
  await settle();
  origin.reads[0]?.fail(new OrcaError("origin_etag_changed", "origin", "Cannot read: it changed"));
  await assert.rejects(read, { code: "origin_etag_changed", source: "origin" });
  assert.equal(origin.reads.length, 1);
  assert.equal(network.streams.length, 1);
  assert.deepEqual(assembler.view.probed, []);
});

test("Relay: a replica that stops sends its callers to the next, without an error", async () => {
  const { origin, ranked, version } = clusterFixture();
  const object = version("k", 8 * MiB);
  const [coordinator, , third] = ranked(object);
  assert.ok(coordinator && third);
  const read = whole(third, object);
  await settle();
  origin.reads[0]?.deliver(MiB);
  await settle();
  const stopped = coordinator.filler.stop();
  await settle();
  await stopped;
  origin.auto = true;
  origin.reads[1]?.deliver().finish();
  assertPattern(await read, 1, 0);
});

const views: readonly (readonly [string, (fixture: Fixture) => void])[] = [
  [
    "all replicas believe in a member that does not exist",
    ({ replicas, members, network }) => {
      const phantom = { ...(members[0] as (typeof members)[number]), replicaId: "phantom" };
      for (const { view } of replicas) view.live = [...members, phantom];
      network.hosts.delete("phantom");
    },
  ],
  [
    "each knows only itself and the next",
    ({ replicas, members }) => {
      for (const [index, { view }] of replicas.entries()) {
        view.live = [members[index], members[(index + 1) % members.length]].map(
          (member) => member as (typeof members)[number],
        );
      }
    },
  ],
  [
    "each believes that it is no member itself",
    ({ replicas, members }) => {
      for (const { id, view } of replicas) view.live = members.filter(({ replicaId }) => replicaId !== id);
    },
  ],
  [
    "each knows only itself",
    ({ replicas, members }) => {
      for (const { id, view } of replicas) view.live = members.filter(({ replicaId }) => replicaId === id);
    },
  ],
  [
    "one has a view of its own, and the others believe it",
    ({ replicas, members }) => {
      const [first] = replicas;
      if (first) first.view.live = members.slice(0, 1);
      for (const { view } of replicas) view.believes = true;
    },
  ],
];

for (const [what, disagree] of views) {
  test(`Relay: right bytes in one hop where ${what}`, async () => {
    const fixture = clusterFixture();
    const { origin, network, replicas, version } = fixture;
    origin.auto = true;
    disagree(fixture);
    for (let index = 0; index < 12; index += 1) {
      const object = version(`k${index}`, 3 * MiB);
      const reads = replicas.map((host) => whole(host, object));
      for (const bytes of await Promise.all(reads)) assertPattern(bytes, 1, 0);
    }
    await settle();
    assert.ok(origin.reads.length <= 12 * replicas.length, "at worst each replica fills for itself");
    for (const { from, request } of network.streams) {
      assert.ok(!request.passedOver.includes(from));
    }
    for (const { relay, filler, budget, memory } of replicas) {
      assert.equal(relay.flightsInProgress, 0);
      assert.equal(filler.flightsInProgress, 0);
      assert.equal(budget.usedBytes, memory.bytes);
    }
  });
}

test("Relay: a short range is filled here when its coordinator keeps naming another replica", async () => {
  const { origin, network, replicas, members, version, ranked } = clusterFixture();
  origin.auto = true;
  for (const { id, view } of replicas) view.live = members.filter(({ replicaId }) => replicaId !== id);
  const object = version("k", 3 * MiB);
  const [coordinator, assembler] = ranked(object);
  assert.ok(coordinator && assembler);
  const bytes = await drain(new ObjectReader(assembler.path, object, 2 * MiB, 2 * MiB + 100));
  assertPattern(bytes, 1, 2 * MiB);
  assert.equal(network.streams.length, 1, "the first denial is enough, since no other peer is left to ask");
  assert.equal(origin.reads[0]?.request.offset, 2 * MiB);
});

test("Relay: a chunk that the disk cannot read is filled where the coordinator disagrees", async () => {
  const { origin, ranked, version } = clusterFixture({ replicas: 2, disk: true });
  origin.auto = true;
  const object = version("k", 8 * MiB);
  const [coordinator, assembler] = ranked(object);
  assert.ok(coordinator && assembler?.disk);
  coordinator.view.live = coordinator.view.live.filter(({ replicaId }) => replicaId !== coordinator.id);
  assembler.disk.presence = () => "held";
  assembler.disk.readBlock = async () => false;
  assertPattern(await drain(new ObjectReader(assembler.path, object, 0, object.sizeBytes)), 1, 0);
});

test("Relay: one fault that ends many streams of a peer is one failure", async () => {
  const { clock, origin, network, replicas, version } = clusterFixture();
  const [assembler] = replicas;
  assert.ok(assembler);
  const object = version("k", 400 * MiB);
  const nameOf = (index: number): string => assembler.coordination.chunkName({ version: object, index });
  const indexes = Array.from({ length: 50 }, (_, index) => index).filter(
    (index) => assembler.coordination.coordinator(nameOf(index)).replicaId === "r1",
  );
  network.onSlice = ({ to }) => {
    if (to === "r1") throw new OrcaError("peer_unavailable", "mesh", "the session has ended");
  };
  const reads = indexes
    .slice(0, 5)
    .map((index) => drain(new ObjectReader(assembler.path, object, index * 8 * MiB, (index + 1) * 8 * MiB)));
  await settle();
  for (const read of origin.reads) read.deliver(MiB);
  await settle();
  for (const read of origin.reads) if (read.owedBytes > 0) read.deliver().finish();
  await Promise.all(reads);
  await clock.advance(10_000);
  const next = assembler.coordination.next(nameOf(indexes[0] as number), []);
  assert.equal(next.replicaId, "r1", "it is tried again after the first time of avoidance");
});

test("Relay: two replicas short of memory that read each other's chunks do not wait for each other", async () => {
  const { origin, replicas, version } = clusterFixture({ replicas: 2, maxBytes: 16 * MiB });
  origin.auto = true;
  const reads = Array.from({ length: 24 }, (_, index) => {
    const object = version(`k${index}`, 8 * MiB);
    return replicas.map((host) => whole(host, object));
  }).flat();
  // No time passes, so no read may have to wait for a timeout.
  for (const bytes of await Promise.all(reads)) assertPattern(bytes, 1, 0);
});

for (const [what, isFirst, asked] of [
  ["the first bytes of a client are an eighth of a run", true, [[0, MiB]]],
  ["a client that goes on waits for its whole run", false, [[0, 8 * MiB]]],
] as const) {
  test(`Relay.fill: while memory is short, ${what}`, async () => {
    const { origin, network, ranked, version } = clusterFixture({ maxBytes: 16 * MiB });
    origin.auto = true;
    const object = version("k", 8 * MiB);
    const [, assembler] = ranked(object);
    assert.ok(assembler);
    const { budget, relay } = assembler;
    const taken = budget.tryReserve(16 * MiB);
    relay.fill(
      { version: object, index: 0 },
      { offset: 0, end: 8 * MiB, seen: false, skipDisk: false, isFirst },
    );
    await settle();
    assert.equal(network.streams.length, 0);
    taken?.release();
    await settle();
    const streams = network.streams.map(({ request: { offset, lengthBytes } }) => [offset, lengthBytes]);
    assert.deepEqual(streams, asked);
    assert.deepEqual([relay.flightsInProgress, budget.reservedBytes], [0, 0]);
  });
}

test("Relay: read-ahead goes to each chunk's own coordinator", async () => {
  const { origin, network, replicas, version, ranked } = clusterFixture({
    readAheadMax: 8,
    chunkSizeBytes: MiB,
  });
  origin.auto = true;
  const object = version("k", 12 * MiB);
  const [reader] = replicas;
  assert.ok(reader);
  assertPattern(await whole(reader, object), 1, 0);
  assert.equal(origin.reads.length, 12);
  const foreign = Array.from({ length: 12 }, (_, index) => ranked(object, index)[0]).filter(
    (each) => each !== reader,
  );
  assert.equal(network.streams.length, foreign.length);
  assert.ok(reader.relay.stats.readAheads > 0);
});

test("Relay: bytes that a peer sent before it broke off are served, and not stored on disk unverified", async () => {
  const { origin, network, ranked, version } = clusterFixture({ replicas: 2, disk: true });
  const object = version("k", 8 * MiB);
  const [coordinator, assembler] = ranked(object);
  assert.ok(coordinator?.disk && assembler?.disk);
  const read = whole(assembler, object);
  await settle();
  origin.reads[0]?.deliver(2 * MiB);
  await settle();
  network.hosts.delete(coordinator.id);
  origin.reads[0]?.deliver(MiB);
  await settle();
  origin.reads[1]?.deliver().finish();
  assertPattern(await read, 1, 0);
  await settle();
  assert.equal(assembler.relay.stats.adopted, 1);
  assert.deepEqual(assembler.disk.puts, []);
});

test("ChunkServer: a request for cached bytes gets held chunks and starts no fill", async () => {
  const { origin, replicas, version } = clusterFixture();
  const [host] = replicas;
  assert.ok(host);
  const object = version("k", 100 * KiB);
  const request = {
    key: { version: object, index: 0 },
    offset: 0,
    lengthBytes: 10,
    passedOver: [],
    cachedOnly: true,
  };
  assert.equal(host.server.answer(request), undefined);
  assert.equal(origin.reads.length, 0);
  origin.auto = true;
  await whole(host, object);
  await settle();
  const answer = host.server.answer(request);
  assert.equal(answer?.source, "memory");
  assert.ok(answer);
  assertPattern(await drain(answer.slices), 1, 0);
});

test("ChunkServer: an asked replica never asks another one, even while it relays the chunk itself", async () => {
  const { origin, network, ranked, version } = clusterFixture();
  const object = version("k", 8 * MiB);
  const [coordinator, assembler] = ranked(object);
  assert.ok(coordinator && assembler);
  const read = whole(assembler, object);
  await settle();
  const request = { key: { version: object, index: 0 }, offset: 0, lengthBytes: 10, cachedOnly: false };
  assert.throws(() => assembler.server.answer({ ...request, passedOver: [] }), { code: "not_coordinator" });
  // A caller that could not reach the coordinator asks it to fill, not to join its own relay.
  const answer = assembler.server.answer({ ...request, passedOver: [coordinator.id] });
  assert.equal(answer?.source, "origin");
  origin.auto = true;
  assert.ok(answer);
  assertPattern(await drain(answer.slices), 1, 0);
  assert.equal(network.streams.length, 1);
  assert.equal(origin.reads.length, 2);
  origin.reads[0]?.deliver().finish();
  assertPattern(await read, 1, 0);
});
