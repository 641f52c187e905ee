import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentLatency } from "../../../src/trace/stalls/recent-latency.ts";
import { StallWatch, watched } from "../../../src/trace/stalls/stall-watch.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";

function fixture() {
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const stalls = new StallWatch(clock, logger);
  const lines = (event: string) =>
    logger.events
      .map(({ fields }) => fields as Record<string, unknown>)
      .filter((line) => line["event"] === event);
  return { clock, logger, stalls, lines };
}

const nobody = () => [];

test("RecentLatency: 99 of 100 are below it, within a factor of 1.5, and old ones are forgotten", async () => {
  const clock = new FakeClock();
  const latency = new RecentLatency(clock);
  for (let count = 0; count < 19; count += 1) latency.observe(100);
  assert.equal(latency.p99Ms, undefined, "too few");
  for (let count = 0; count < 180; count += 1) latency.observe(100);
  latency.observe(60_000);
  const p99Ms = latency.p99Ms ?? 0;
  assert.ok(p99Ms >= 100 && p99Ms <= 150, String(p99Ms));
  for (let count = 0; count < 4; count += 1) latency.observe(60_000);
  assert.ok((latency.p99Ms ?? 0) >= 60_000);
  await clock.advance(300_000);
  assert.ok((latency.p99Ms ?? 0) >= 60_000, "the window before still counts");
  await clock.advance(600_000);
  assert.equal(latency.p99Ms, undefined);
});

test("StallWatch: a call is told once, with what waits for it, and told when it ends", async () => {
  const { clock, stalls, lines } = fixture();
  const call = stalls.begin("origin", "get", { key: "k" }, () => ["the flight", "request A"]);
  assert.ok(call);
  await clock.advance(4999);
  assert.equal(lines("call_stalled").length, 0);
  await clock.advance(10_000);
  const [line] = lines("call_stalled");
  assert.equal(lines("call_stalled").length, 1);
  assert.deepEqual(
    [line?.["place"], line?.["operation"], line?.["key"], line?.["usualMs"], line?.["stack"]],
    ["origin", "get", "k", null, ["origin get", "the flight", "request A"]],
  );
  assert.match(String(line?.["see"]), /symptoms\.md#a-call-stalls/);
  assert.deepEqual([stalls.stats.stalls.origin, stalls.stats.running.origin], [1, 1]);
  stalls.end(call, "ok");
  assert.deepEqual([stalls.stats.stalls.origin, stalls.stats.running.origin], [1, 0]);
  assert.deepEqual(
    lines("call_stall_ended").map(({ tookMs, result }) => [tookMs, result]),
    [[14_999, "ok"]],
  );
  stalls.end(call, "ok");
  assert.equal(lines("call_stall_ended").length, 1, "a call ends once");
});

test("StallWatch: a call that is usually slow is told later, and one that is quick ends without a line", async () => {
  const { clock, stalls, lines, logger } = fixture();
  for (let count = 0; count < 50; count += 1) {
    const quick = stalls.begin("cachestore", "read", {}, nobody);
    await clock.advance(2000);
    assert.ok(quick);
    stalls.end(quick, "hit");
  }
  assert.equal(logger.events.length, 0);
  const call = stalls.begin("cachestore", "read", {}, nobody);
  assert.ok(call);
  await clock.advance(19_000);
  assert.equal(lines("call_stalled").length, 0);
  await clock.advance(15_000);
  assert.equal(lines("call_stalled").length, 1);
  stalls.end(call, "miss");
});

test("StallWatch: no timer runs without calls, lines are few, and calls are bounded", async () => {
  const { clock, stalls, lines } = fixture();
  const timersBefore = clock.pendingTimers;
  const calls = Array.from({ length: 9000 }, () => stalls.begin("disk", "read", {}, nobody));
  assert.equal(calls.filter((call) => call !== undefined).length, 8192);
  assert.equal(clock.pendingTimers, timersBefore + 1);
  await clock.advance(6000);
  assert.equal(lines("call_stalled").length, 5);
  assert.equal(stalls.stats.stalls.disk, 8192);
  for (const call of calls) if (call) stalls.end(call, "ok");
  assert.equal(lines("call_stall_ended").length, 5);
  assert.deepEqual([stalls.callsWatched, clock.pendingTimers], [0, timersBefore]);
});

test("watched: the result passes through, and a call that throws is ended", async () => {
  const { stalls } = fixture();
  const waiting = { stalls, waiting: nobody };
  assert.equal(await watched(waiting, "disk", "put", {}, async () => "stored"), "stored");
  await assert.rejects(
    watched(waiting, "disk", "put", {}, () => Promise.reject(new Error("no"))),
    /no/,
  );
  assert.equal(stalls.callsWatched, 0);
  assert.equal(await watched(undefined, "disk", "put", {}, async () => 3), 3);
});
