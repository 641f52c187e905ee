import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../src/base/random.ts";
import { Throttle } from "../../src/origin/throttling/throttle.ts";
import { connectThrottles } from "../../src/replica/origin-throttling.ts";
import { ClusterFixture } from "../support/membership-fixture.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";

const share = 64;

/** The throttle of one replica of a cluster, and its log. */
function connected(cluster: ClusterFixture, replicaId: string) {
  const { clock, random } = cluster;
  const throttle = new Throttle({ originId: "o", clock, share, waitMaxMs: 5000 });
  const logger = new RecordedLogger();
  connectThrottles({
    origins: [{ id: "o", throttle, requestsInFlightMax: share }],
    replicaId,
    clock,
    random: new SeededRandom(Math.floor(random.next() * 2 ** 32)),
    logger,
    membership: cluster.membership(replicaId),
  });
  return { throttle, logger };
}

function linesOf({ events }: RecordedLogger): string[] {
  return events.map(({ level, message }) => `${level} ${message.split(":")[0]}`);
}

const began = 'warn Origin "o" throttles';
const ended = 'info Origin "o" does not throttle any more';

test("connectThrottles: one replica's cut reaches all others within a second, and all recover", async () => {
  const cluster = await ClusterFixture.running(5);
  const parts = cluster.running().map(({ replicaId }) => connected(cluster, replicaId));
  const first = parts[0] as (typeof parts)[number];
  first.throttle.rejected(first.throttle.round, undefined);
  await cluster.clock.advance(1000);
  for (const { throttle } of parts) assert.ok(throttle.limit >= 44 && throttle.limit <= 48);
  await cluster.clock.advance(20_000);
  for (const { throttle, logger } of parts) {
    assert.equal(throttle.part, 1);
    assert.deepEqual(linesOf(logger), [began, ended]);
  }
  assert.deepEqual(
    parts.map(({ throttle }) => [throttle.stats.cuts, throttle.stats.cutsHeard]),
    [
      [1, 0],
      [0, 1],
      [0, 1],
      [0, 1],
      [0, 1],
    ],
  );
  cluster.stop();
});

test("connectThrottles: two replicas that cut at once have agreed on one cut", async () => {
  const cluster = await ClusterFixture.running(3);
  const parts = cluster.running().map(({ replicaId }) => connected(cluster, replicaId));
  for (const { throttle } of parts.slice(0, 2)) throttle.rejected(throttle.round, 60);
  await cluster.clock.advance(1000);
  for (const { throttle } of parts) assert.equal(throttle.part, 0.7);
  for (const { throttle } of parts) throttle.close();
  cluster.stop();
});

test("connectThrottles: a replica that joins during an episode learns the limit from one other", async () => {
  const cluster = await ClusterFixture.running(3);
  const parts = cluster.running().map(({ replicaId }) => connected(cluster, replicaId));
  const first = parts[0] as (typeof parts)[number];
  first.throttle.rejected(first.throttle.round, 60);
  await cluster.clock.advance(30_000);
  const published = (): number[] =>
    ["r1", "r2", "r3"].map((id) => cluster.membership(id).stats.rumors.published);
  assert.deepEqual(published(), [1, 0, 0]);
  cluster.start("r4");
  const joined = connected(cluster, "r4");
  await cluster.clock.advance(5000);
  assert.equal(joined.throttle.part, 0.7);
  assert.ok((joined.throttle.state?.holdMs ?? 0) > 20_000, "and how long it must not grow");
  assert.deepEqual(published(), [2, 0, 0]);
  assert.deepEqual(linesOf(joined.logger), [began]);
  for (const { throttle } of [...parts, joined]) throttle.close();
  cluster.stop();
});

test("connectThrottles: an episode is one line, however many cuts it has, and episodes are a line a minute", async () => {
  const cluster = await ClusterFixture.running(1);
  const { throttle, logger } = connected(cluster, "r1");
  for (let cut = 0; cut < 5; cut += 1) {
    throttle.rejected(throttle.round, undefined);
    await cluster.clock.advance(1000);
  }
  await cluster.clock.advance(20_000);
  assert.deepEqual(linesOf(logger), [began, ended]);
  throttle.rejected(throttle.round, undefined);
  await cluster.clock.advance(40_000);
  assert.deepEqual(linesOf(logger), [began, ended]);
  throttle.rejected(throttle.round, undefined);
  await cluster.clock.advance(10_000);
  assert.deepEqual(linesOf(logger), [began, ended, began, ended]);
  assert.deepEqual(logger.events[2]?.fields, {
    origin: "o",
    part: 0.7,
    limit: share,
    suppressed: 1,
    see: "docs/operations/symptoms.md#the-origin-throttles",
  });
  cluster.stop();
});

test("connectThrottles: a rumor about an unknown origin does nothing", async () => {
  const cluster = await ClusterFixture.running(2);
  const { throttle } = connected(cluster, "r2");
  cluster.membership("r1").publish({
    kind: "throttle",
    id: "x",
    sizeBytes: 100,
    body: { originId: "other", part: 0.1, holdMs: 0 },
  });
  await cluster.clock.advance(2000);
  assert.equal(cluster.membership("r2").stats.rumors.heard, 1);
  assert.equal(throttle.isCut, false);
  cluster.stop();
});
