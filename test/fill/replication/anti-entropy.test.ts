import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { KiB } from "../../../src/base/units.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { settle } from "../../support/fake-clock.ts";
import { patternBytes } from "../../support/pattern.ts";
import { ReplicatedFixture, type ReplicatedFixtureOptions } from "../../support/replicated-fixture.ts";

const debounceMs = 10_000;
const restMs = 50;

/** r1 holds `chunks` chunks; r0, which is to keep them all, holds none. */
function walkFixture(chunks: number, options: ReplicatedFixtureOptions = {}) {
  const cluster = new ReplicatedFixture({ replicas: 2, copies: 2, ...options });
  const refs: ChunkKey[] = Array.from({ length: chunks }, (_, index) => ({
    version: cluster.version(`key-${index}`, KiB),
    index: 0,
  }));
  const [walker, peer] = [cluster.get("r0"), cluster.get("r1")];
  for (const ref of refs) peer.disk.hold(ref, patternBytes(1, 0, KiB));
  walker.antiEntropy.start();
  return { cluster, refs, walker, peer };
}

test("CatchUp: a walk pulls what is missing, shows its progress, and tells once", async () => {
  const { cluster, refs, walker } = walkFixture(300);
  for (const ref of refs.slice(0, 100)) walker.disk.hold(ref, patternBytes(1, 0, KiB));
  await cluster.clock.advance(debounceMs);
  const { stats } = walker.antiEntropy;
  assert.deepEqual([stats.walking, stats.walked, stats.total], [1, 128, 300]);
  await cluster.clock.advance(10 * restMs);
  await cluster.quiet();
  assert.deepEqual([stats.walks, stats.walking, stats.walked, stats.missing], [1, 0, 300, 200]);
  assert.equal(walker.disk.chunkCount, 300);
  assert.deepEqual(
    cluster.pages.map(({ to, request }) => [to, request.chunksMax, request.keptBy]),
    [
      ["r1", 128, "r0"],
      ["r1", 128, "r0"],
      ["r1", 128, "r0"],
    ],
  );
  assert.equal(cluster.logger.count("info"), 1);
  await cluster.stop();
  assert.equal(cluster.clock.pendingTimers, 0);
});

test("CatchUp: it stands back while the puller's queue is more than 80 % full", async () => {
  const { cluster, walker, peer } = walkFixture(100, { puller: { queueMax: 10 } });
  cluster.network.blackHoles.add(peer.id);
  await cluster.clock.advance(debounceMs + 20 * restMs);
  // Four run; nine waiting are more than eight.
  assert.deepEqual([walker.puller.running, walker.puller.waiting], [4, 9]);
  assert.deepEqual([walker.antiEntropy.stats.missing, walker.puller.stats.dropped], [13, 0]);
  cluster.network.blackHoles.clear();
  await cluster.clock.advance(30_000);
  await cluster.quiet();
  assert.deepEqual([walker.puller.stats.pulled, walker.puller.stats.dropped], [100, 0]);
  assert.equal(walker.antiEntropy.stats.walks, 1);
  await cluster.stop();
});

test("CatchUp: a page that fails is asked for again, and the walk goes on from there", async () => {
  const { cluster, walker } = walkFixture(300);
  let faults = 2;
  cluster.onPage = (_from, _to, { after }) => {
    if (after === "" || faults === 0) return;
    faults -= 1;
    throw new OrcaError("peer_unavailable", "mesh", "it is silent");
  };
  await cluster.clock.advance(debounceMs + 60_000);
  await cluster.quiet();
  const tokens = cluster.pages.map(({ request }) => request.after);
  assert.equal(tokens.length, 5);
  assert.deepEqual([tokens[1], tokens[2]], [tokens[2], tokens[3]]);
  assert.deepEqual([walker.antiEntropy.stats.walked, walker.disk.chunkCount], [300, 300]);
  assert.equal(walker.antiEntropy.stats.peersFailed, 0);
  await cluster.stop();
});

test("CatchUp: a peer that fails three times in a row is left, and the next walk comes sooner", async () => {
  const { cluster, walker } = walkFixture(1);
  let pages = 0;
  cluster.onPage = () => {
    pages += 1;
    throw new OrcaError("peer_unavailable", "mesh", "it is silent");
  };
  await cluster.clock.advance(debounceMs + 1500);
  assert.deepEqual([pages, walker.antiEntropy.stats.walks, walker.antiEntropy.stats.peersFailed], [3, 1, 1]);
  await cluster.clock.advance(30_000 + 1500);
  assert.deepEqual([pages, walker.antiEntropy.stats.walks], [6, 2]);
  await cluster.clock.advance(30_000 + 1500);
  assert.equal(pages, 6, "twice as long the second time");
  await cluster.stop();
});

test("CatchUp: a peer whose next page is the same again is at fault, and is left", async () => {
  const { cluster, walker, peer } = walkFixture(1);
  const path = cluster.version("key").chunkPath(0);
  peer.lister.list = async () => ({ chunks: [], nextAfter: path, passed: 1, total: 1 });
  await cluster.clock.advance(debounceMs + 20_000);
  assert.deepEqual(
    cluster.pages.map(({ request }) => request.after),
    ["", path, path, path],
  );
  const { walks, walking, peersFailed } = walker.antiEntropy.stats;
  assert.deepEqual([walks, walking, peersFailed], [1, 0, 1]);
  await cluster.stop();
});

test("CatchUp: changes of members that follow one another are one walk, others are none", async () => {
  const { cluster, walker } = walkFixture(1);
  await cluster.clock.advance(debounceMs + restMs);
  assert.equal(walker.antiEntropy.stats.walks, 1);
  walker.antiEntropy.membersChanged();
  await cluster.clock.advance(debounceMs + restMs);
  assert.equal(walker.antiEntropy.stats.walks, 1, "the same members");
  cluster.join("r2");
  await cluster.clock.advance(debounceMs - 1);
  cluster.join("r3");
  await cluster.clock.advance(debounceMs - 1);
  assert.equal(walker.antiEntropy.stats.walks, 1);
  await cluster.clock.advance(1 + 3 * restMs);
  assert.equal(walker.antiEntropy.stats.walks, 2);
  await cluster.stop();
});

test("CatchUp: a change while it walks is another walk", async () => {
  const { cluster, walker } = walkFixture(300);
  await cluster.clock.advance(debounceMs);
  cluster.join("r2");
  await cluster.clock.advance(10 * restMs);
  assert.equal(walker.antiEntropy.stats.walks, 1);
  await cluster.clock.advance(debounceMs + 10 * restMs);
  assert.equal(walker.antiEntropy.stats.walks, 2);
  await cluster.stop();
});

test("CatchUp: where nothing changes it walks every 15 minutes", async () => {
  const { cluster, walker } = walkFixture(1);
  await cluster.clock.advance(debounceMs + restMs);
  await cluster.clock.advance(15 * 60_000 - 1);
  assert.equal(walker.antiEntropy.stats.walks, 1);
  await cluster.clock.advance(1 + restMs);
  assert.equal(walker.antiEntropy.stats.walks, 2);
  await cluster.stop();
});

test("CatchUp: it uses free room alone", async () => {
  const { cluster, walker } = walkFixture(20);
  walker.disk.spareBytes = KiB - 1;
  await cluster.clock.advance(debounceMs + restMs);
  await cluster.quiet();
  assert.deepEqual([walker.antiEntropy.stats.missing, walker.antiEntropy.stats.unfit], [20, 20]);
  assert.equal(walker.puller.stats.queued, 0);
  await cluster.stop();
});

for (const [when, advanceMs] of [
  ["before it begins", 0],
  ["while it rests", debounceMs],
  ["between two walks", debounceMs + 60_000],
] as const) {
  test(`AntiEntropy: a stop ${when} leaves no timer`, async () => {
    const { cluster, walker } = walkFixture(300);
    await cluster.clock.advance(advanceMs);
    await walker.antiEntropy.stop();
    await walker.puller.stop();
    assert.equal(cluster.clock.pendingTimers, 0);
    walker.antiEntropy.start();
    cluster.join("r9");
    assert.equal(cluster.clock.pendingTimers, 0);
  });
}

test("CatchUp: a stop does not wait for a peer that is silent", async () => {
  const { cluster, walker } = walkFixture(1);
  const silent = cluster.get("r1").lister;
  silent.list = () => new Promise(() => {});
  await cluster.clock.advance(debounceMs);
  await walker.antiEntropy.stop();
  assert.equal(walker.antiEntropy.stats.walking, 0);
});

/** Four replicas, of which the one that is not to keep a chunk holds it, and both that are. */
function surplusFixture() {
  const cluster = new ReplicatedFixture({ replicas: 3 });
  const ref: ChunkKey = { version: cluster.version("k", KiB), index: 0 };
  const [first, second, surplus] = cluster.ranked(ref) as [
    ReturnType<ReplicatedFixture["join"]>,
    ReturnType<ReplicatedFixture["join"]>,
    ReturnType<ReplicatedFixture["join"]>,
  ];
  const path = ref.version.chunkPath(0);
  for (const { disk } of [first, second, surplus]) disk.hold(ref, patternBytes(1, 0, KiB));
  surplus.antiEntropy.start();
  return { cluster, ref, path, first, second, surplus };
}

test("Surplus: a copy goes when all who are to keep the chunk hold it, and they keep theirs for a minute", async () => {
  const { cluster, ref, path, first, second, surplus } = surplusFixture();
  await cluster.clock.advance(debounceMs + 1000);
  assert.equal(surplus.disk.presence(ref), "absent");
  assert.deepEqual([surplus.antiEntropy.stats.surplusDropped, surplus.antiEntropy.stats.surplusKept], [1, 0]);
  assert.ok(first.lister.isPledged(path) && second.lister.isPledged(path));
  await cluster.clock.advance(60_000);
  assert.ok(!first.lister.isPledged(path));
  await cluster.stop();
});

test("Surplus: a copy stays while one who is to keep the chunk lacks it, or does not answer", async () => {
  const { cluster, ref, path, first, second, surplus } = surplusFixture();
  first.disk.chunks.delete(path);
  await cluster.clock.advance(debounceMs + 1000);
  assert.equal(surplus.disk.presence(ref), "held");
  assert.equal(surplus.antiEntropy.stats.surplusKept, 1);
  first.disk.hold(ref, patternBytes(1, 0, KiB));
  cluster.network.hosts.delete(second.id);
  cluster.onPage = (_from, to) => {
    if (to === second.id) throw new OrcaError("peer_unavailable", "mesh", "it is silent");
  };
  await cluster.clock.advance(35_000);
  assert.equal(surplus.disk.presence(ref), "held");
  cluster.onPage = () => {};
  await cluster.clock.advance(120_000);
  assert.equal(surplus.disk.presence(ref), "absent");
  await cluster.stop();
});

test("Surplus: all who are to keep chunks are asked at once", async () => {
  const { cluster, first, second, surplus } = surplusFixture();
  const asked: string[] = [];
  for (const { id, lister } of [first, second]) {
    lister.list = ({ paths }) => {
      if (paths.length > 0) asked.push(id);
      return paths.length > 0
        ? new Promise(() => {})
        : Promise.resolve({ chunks: [], nextAfter: "", passed: 0, total: 0 });
    };
  }
  await cluster.clock.advance(debounceMs + 1000);
  assert.deepEqual(asked.sort(), [first.id, second.id].sort());
  assert.equal(surplus.antiEntropy.stats.walking, 1);
  await cluster.stop();
});

test("Surplus: a copy that another counts on stays", async () => {
  const { cluster, ref, path, surplus } = surplusFixture();
  await surplus.lister.list({ after: "", chunksMax: 0, keptBy: "", paths: [path] });
  await cluster.clock.advance(debounceMs + 1000);
  assert.equal(surplus.disk.presence(ref), "held");
  await cluster.clock.advance(120_000);
  assert.equal(surplus.disk.presence(ref), "absent");
  await cluster.stop();
});

test("Surplus: of two that take each other for the keeper, who was asked first keeps its copy", async () => {
  const { path, first, second } = surplusFixture();
  // Both have asked, and both hear that the other holds the chunk.
  for (const { lister } of [first, second]) {
    const page = await lister.list({ after: "", chunksMax: 0, keptBy: "", paths: [path] });
    assert.equal(page.chunks.length, 1);
  }
  await settle();
  assert.ok(first.lister.isPledged(path) && second.lister.isPledged(path));
});

test("CatchUp: what is queued for free room counts against it, so that a walk evicts nothing", async () => {
  const cluster = new ReplicatedFixture({ replicas: 2, copies: 2 });
  const [walker, peer] = [cluster.get("r0"), cluster.get("r1")];
  for (let number = 0; number < 100; number += 1) {
    peer.disk.hold({ version: cluster.version(`key-${number}`, KiB), index: 0 }, patternBytes(1, 0, KiB));
  }
  // Room for two, and no pull ends: none of it is used yet.
  walker.disk.spareBytes = 2 * KiB;
  cluster.network.blackHoles.add(peer.id);
  walker.antiEntropy.start();
  await cluster.clock.advance(11_000);
  assert.equal(walker.puller.stats.queued, 2);
  await cluster.stop();
});

test("CatchUp.chunkLost: what is lost after a walk is back within a minute, and not only by the next one", async () => {
  const { cluster, walker, refs } = walkFixture(3);
  walker.antiEntropy.start();
  await cluster.clock.advance(debounceMs + 10 * restMs);
  await cluster.quiet();
  assert.equal(walker.disk.chunkCount, 3);
  const [lost] = refs as [ChunkKey];
  await walker.disk.delete(lost);
  walker.antiEntropy.chunkLost();
  walker.antiEntropy.chunkLost();
  await cluster.clock.advance(30_000 + 10 * restMs);
  await cluster.quiet();
  assert.equal(walker.disk.chunkCount, 3);
  assert.equal(walker.antiEntropy.stats.walks, 2);
  await cluster.stop();
});
