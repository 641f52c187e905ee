import assert from "node:assert/strict";
import { test } from "node:test";
import type { Entrant } from "../../src/origin/hedging/hedge.ts";
import { OriginTrace } from "../../src/origin/origin-trace.ts";
import { Trace } from "../../src/trace/trace.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";

function entrant(isHedge: boolean): Entrant {
  return {
    isHedge,
    signal: new AbortController().signal,
    isLost: false,
    sent: () => {},
    answered: () => true,
  };
}

test("OriginTrace: of two attempts that race, each ends the watch of its own, whichever ends first", async () => {
  const [clock, logger] = [new FakeClock(), new RecordedLogger()];
  const trace = new Trace(logger, clock);
  const steps = OriginTrace.ofHead(
    trace,
    "o",
    { bucket: "b", key: "k" },
    { requestId: "A", waits: undefined },
  );
  const lines = (event: string) =>
    logger.events
      .map(({ fields }) => fields as Record<string, unknown>)
      .filter((line) => line["event"] === event);
  const [first, second] = [entrant(false), entrant(true)];
  steps.attempt(undefined, first);
  await clock.advance(3000);
  steps.attempt(undefined, second);
  assert.equal(trace.stalls.callsWatched, 2);
  await clock.advance(3000);
  assert.deepEqual(
    lines("call_stalled").map(({ attempt }) => attempt),
    [1],
  );
  steps.ended(undefined, 3000, undefined, second);
  assert.deepEqual([lines("call_stall_ended").length, trace.stalls.callsWatched], [0, 1]);
  steps.cancelled(6000, first);
  assert.deepEqual(
    lines("call_stall_ended").map(({ attempt, tookMs, result }) => [attempt, tookMs, result]),
    [[1, 6000, "cancelled"]],
  );
  assert.equal(trace.stalls.callsWatched, 0);
});
