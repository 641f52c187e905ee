import assert from "node:assert/strict";
import { test } from "node:test";
import { type LimitCut, Throttle } from "../../../src/origin/throttling/throttle.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";

function fixture(share = 64) {
  const clock = new FakeClock();
  const throttle = new Throttle({ originId: "o", clock, share, waitMaxMs: 5000 });
  const cuts: (LimitCut & { began: boolean; heard: boolean })[] = [];
  const recovered: number[] = [];
  throttle.events = {
    onCut: (cut, how) => cuts.push({ ...cut, ...how }),
    onRecovered: () => recovered.push(clock.monotonic()),
  };
  return { clock, throttle, cuts, recovered };
}

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`);
}

test("Throttle.rejected: a burst of rejections is one cut", () => {
  const { throttle, cuts } = fixture();
  const { round } = throttle;
  for (let request = 0; request < 64; request += 1) throttle.rejected(round, undefined);
  assert.equal(throttle.limit, 44);
  assert.deepEqual(cuts, [{ part: 0.7, holdMs: 0, began: true, heard: false }]);
  assert.deepEqual(throttle.stats, { cuts: 1, cutsHeard: 0, letThrough: 0 });
});

test("Throttle.rejected: one cut for a round trip, and no two within 100 ms", async () => {
  const { clock, throttle } = fixture();
  const before = throttle.round;
  throttle.rejected(before, undefined);
  throttle.rejected(throttle.round, undefined);
  assert.equal(throttle.stats.cuts, 1, "sent after the cut, and too soon");
  await clock.advance(100);
  throttle.rejected(before, undefined);
  assert.equal(throttle.stats.cuts, 1, "late, and sent before the cut");
  throttle.rejected(throttle.round, undefined);
  near(throttle.part, 0.49);
  assert.equal(throttle.limit, 31);
});

test("Throttle: a limit is never below 1, and grows from nothing to the share in 20 s", async () => {
  const { clock, throttle, cuts, recovered } = fixture(64);
  for (let cut = 0; cut < 20; cut += 1) {
    throttle.rejected(throttle.round, undefined);
    await clock.advance(100);
  }
  assert.equal(throttle.limit, 1);
  near(throttle.part, 1 / 64);
  // 0.7 ** 12 is below 1 / 64: what follows lowers nothing, and is not reported.
  assert.equal(cuts.length, 12);
  const cutMs = clock.monotonic() - 100;
  await clock.advance(150);
  near(throttle.part, 1 / 64 + 1 / 80);
  await clock.advance(20_000);
  assert.deepEqual([throttle.part, throttle.limit], [1, 64]);
  assert.deepEqual(recovered, [cutMs + 79 * 250]);
  assert.equal(clock.pendingTimers, 0);
});

test("Throttle: with a share of 1 nothing is ever cut", () => {
  const { clock, throttle, cuts } = fixture(1);
  throttle.rejected(throttle.round, 10);
  throttle.heard({ part: 0.01, holdMs: 0 });
  assert.deepEqual([throttle.limit, throttle.isCut, cuts.length, clock.pendingTimers], [1, false, 0, 0]);
});

test("Throttle: Retry-After keeps the limit from growing, for a minute at most", async () => {
  for (const [retryAfterSeconds, holdMs] of [
    [3, 3000],
    [3600, 60_000],
  ] as const) {
    const { clock, throttle, cuts } = fixture();
    throttle.rejected(throttle.round, retryAfterSeconds);
    assert.equal(cuts[0]?.holdMs, holdMs);
    await clock.advance(holdMs - 1);
    assert.equal(throttle.part, 0.7);
    await clock.advance(1);
    near(throttle.part, 0.7125);
    throttle.close();
  }
});

test("Throttle.rejected: a Retry-After counts although its rejection does not cut", async () => {
  const { clock, throttle } = fixture();
  const { round } = throttle;
  throttle.rejected(round, undefined);
  throttle.rejected(round, 2);
  await clock.advance(1999);
  assert.equal(throttle.part, 0.7);
});

test("Throttle.heard: the lower part counts, once however often it arrives, and a higher one does nothing", async () => {
  const { clock, throttle, cuts } = fixture();
  throttle.rejected(throttle.round, undefined);
  throttle.heard({ part: 0.7, holdMs: 0 });
  throttle.heard({ part: 0.9, holdMs: 5000 });
  assert.deepEqual([throttle.part, cuts.length], [0.7, 1]);
  throttle.heard({ part: 0.3, holdMs: 0 });
  throttle.heard({ part: 0.3, holdMs: 0 });
  assert.equal(throttle.limit, 19);
  assert.deepEqual(cuts.at(-1), { part: 0.3, holdMs: 0, began: false, heard: true });
  assert.deepEqual(throttle.stats, { cuts: 1, cutsHeard: 1, letThrough: 0 });
  await clock.advance(250);
  near(throttle.part, 0.3125);
  throttle.close();
});

test("Throttle.heard: a peer's cut answers the rejections of requests sent before it", async () => {
  const { clock, throttle } = fixture();
  await clock.advance(1000);
  const { round } = throttle;
  throttle.heard({ part: 0.7, holdMs: 0 });
  await clock.advance(200);
  throttle.rejected(round, undefined);
  assert.equal(throttle.part, 0.7);
  throttle.close();
});

test("Throttle.heard: a late rumor costs one cut, from which the limit grows again", async () => {
  const { clock, throttle, recovered } = fixture();
  throttle.rejected(throttle.round, undefined);
  await clock.advance(6000);
  assert.deepEqual([throttle.part, recovered.length], [1, 1]);
  throttle.heard({ part: 0.7, holdMs: 0 });
  assert.equal(throttle.limit, 44);
  await clock.advance(6000);
  assert.deepEqual([throttle.part, recovered.length], [1, 2]);
});

test("Throttle.heard: a part that is less than one request is one request", () => {
  const { throttle } = fixture(8);
  throttle.heard({ part: 0.001, holdMs: 0 });
  assert.deepEqual([throttle.limit, throttle.part], [1, 1 / 8]);
  throttle.resize(4);
  assert.deepEqual([throttle.limit, throttle.part], [1, 1 / 4]);
  throttle.resize(40);
  assert.equal(throttle.limit, 10);
  throttle.close();
});

test("Throttle.resize: a share of 1 ends the episode", () => {
  const { clock, throttle, recovered } = fixture(8);
  throttle.rejected(throttle.round, undefined);
  throttle.resize(1);
  assert.deepEqual([throttle.isCut, recovered.length, clock.pendingTimers], [false, 1, 0]);
});

test("Throttle.enter: requests in flight at the cut count, and one waits until there is room", async () => {
  const { clock, throttle } = fixture(4);
  const held = [];
  for (let request = 0; request < 4; request += 1) held.push(await throttle.enter({ pacedMs: 0 }));
  throttle.rejected(throttle.round, undefined);
  assert.equal(throttle.limit, 2);
  const paced = { pacedMs: 0 };
  let isIn = false;
  const waiting = throttle.enter(paced).then((entry) => {
    isIn = true;
    return entry;
  });
  await clock.advance(40);
  held.pop()?.release();
  held.pop()?.release();
  await settle();
  assert.deepEqual([isIn, throttle.waiting], [false, 1]);
  held.pop()?.release();
  const entry = await waiting;
  assert.equal(paced.pacedMs, 40);
  entry.release();
  held.pop()?.release();
  throttle.close();
});

test("Throttle.enter: growth lets waiting requests in", async () => {
  const { clock, throttle } = fixture(8);
  throttle.rejected(throttle.round, undefined);
  for (let request = 0; request < 5; request += 1) await throttle.enter({ pacedMs: 0 });
  let inMs = -1;
  void throttle.enter({ pacedMs: 0 }).then(() => (inMs = clock.monotonic()));
  await clock.advance(1000);
  // 8 * (0.7 + 4 / 80) is 6.
  assert.equal(inMs, 1000);
  throttle.close();
});

test("Throttle.enter: a request waits for waitMaxMs in all its attempts together, and is then let through", async () => {
  const { clock, throttle } = fixture(2);
  throttle.rejected(throttle.round, 60);
  await throttle.enter({ pacedMs: 0 });
  const paced = { pacedMs: 2000 };
  let isIn = false;
  void throttle.enter(paced).then(() => (isIn = true));
  await clock.advance(2999);
  assert.equal(isIn, false);
  await clock.advance(1);
  assert.deepEqual([isIn, paced.pacedMs, throttle.stats.letThrough], [true, 5000, 1]);
  await throttle.enter(paced);
  assert.deepEqual([paced.pacedMs, throttle.stats.letThrough], [5000, 2]);
  throttle.close();
});

test("Throttle.close: nothing waits any more, no timer runs, and no later cut starts one", async () => {
  const { clock, throttle } = fixture(2);
  throttle.rejected(throttle.round, undefined);
  await throttle.enter({ pacedMs: 0 });
  const waiting = throttle.enter({ pacedMs: 0 });
  throttle.close();
  await waiting;
  throttle.rejected(throttle.round, undefined);
  throttle.heard({ part: 0.2, holdMs: 0 });
  assert.deepEqual([clock.pendingTimers, throttle.isCut], [0, false]);
});

test("Throttle.close: what comes after it is no cut, and tells nobody", () => {
  const { clock, throttle, cuts } = fixture();
  throttle.close();
  throttle.rejected(throttle.round, 10);
  throttle.heard({ part: 0.5, holdMs: 0 });
  assert.deepEqual([cuts, throttle.part, clock.pendingTimers], [[], 1, 0]);
  assert.deepEqual(throttle.stats, { cuts: 0, cutsHeard: 0, letThrough: 0 });
});
