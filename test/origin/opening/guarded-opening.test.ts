import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { SeededRandom } from "../../../src/base/random.ts";
import { KiB } from "../../../src/base/units.ts";
import { GuardedOrigin } from "../../../src/origin/guarded-origin.ts";
import type { Opening } from "../../../src/origin/origin.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { MemorySink } from "../../support/memory-sink.ts";
import { assertPattern } from "../../support/pattern.ts";
import { type ScriptedOpening, ScriptedOrigin } from "../../support/scripted-origin.ts";

const request = { bucket: "b", key: "k", offset: 64, lengthBytes: 100, withChecksums: false };
const head = { sizeBytes: 1000, etag: "e1", lastModifiedMs: undefined, metadata: {} };

function failure(): OrcaError {
  return new OrcaError("origin_unavailable", "origin", "Cannot ask");
}

function fixture() {
  const origin = new ScriptedOrigin();
  const clock = new FakeClock();
  const guarded = new GuardedOrigin({
    origin,
    clock,
    random: new SeededRandom(1),
    requestsInFlightMax: 4,
    queueTimeoutMs: 5000,
    retry: { attempts: 3, backoffInitialMs: 100, backoffMaxMs: 2000, maxTotalDurationMs: 5000 },
    minRate: { bytesPerSecond: KiB, windowMs: 1000 },
  });
  const sink = new MemorySink(100);
  const ends: (OrcaError | undefined)[] = [];
  const openings: Opening[] = [];
  const receive = (opening: Opening) => {
    openings.push(opening);
    return { sink, ended: (error?: OrcaError) => void ends.push(error) };
  };
  return { origin, clock, guarded, sink, ends, openings, receive };
}

function openingAt(origin: ScriptedOrigin, index: number): ScriptedOpening {
  const opening = origin.openings[index];
  assert.ok(opening, `opening ${index} was asked`);
  return opening;
}

test("GuardedOrigin.open: the metadata is here before the bytes, and one request brings both", async () => {
  const { origin, guarded, sink, ends, openings, receive } = fixture();
  const answer = guarded.open(request, receive);
  await settle();
  const opening = openingAt(origin, 0).answer(head);
  assert.deepEqual(await answer, { outcome: "opened", head });
  assert.deepEqual([openings.length, openings[0]?.lengthBytes, ends.length], [1, 100, 0]);
  assert.equal(guarded.requestsInFlight, 1, "the permit covers the body");
  opening.deliver(100).finish();
  await settle();
  assertPattern(sink.received, origin.seed, 64);
  assert.deepEqual(ends, [undefined]);
  assert.deepEqual(guarded.stats.requests, { get: 1, head: 0, list: 0, sub_resource: 0 });
  assert.deepEqual([guarded.stats.bytes, guarded.requestsInFlight], [100, 0]);
});

test("GuardedOrigin.open: when the body has ended, nothing listens to the signal of its place", async () => {
  for (const fails of [false, true]) {
    const { origin, guarded, receive } = fixture();
    const left = new AbortController();
    // A composed signal that somebody listens to stays in memory until it aborts.
    const signal = AbortSignal.any([left.signal, new AbortController().signal]);
    const answer = guarded.open(request, (opening) => ({ ...receive(opening), signal }));
    await settle();
    const opening = openingAt(origin, 0).answer(head);
    await answer;
    assert.equal(getEventListeners(signal, "abort").length, 1);
    if (fails) opening.fail(failure());
    else opening.deliver(100).finish();
    await settle();
    assert.equal(getEventListeners(signal, "abort").length, 0);
  }
});

test("GuardedOrigin.open: attempts that fail before the metadata are repeated", async () => {
  const { origin, clock, guarded, receive } = fixture();
  const answer = guarded.open(request, receive);
  await settle();
  openingAt(origin, 0).fail(failure());
  await clock.advance(200);
  openingAt(origin, 1).answer(head).deliver(100).finish();
  assert.equal((await answer).outcome, "opened");
  assert.deepEqual([guarded.stats.requests.get, guarded.stats.retries], [2, 1]);
});

test("GuardedOrigin.open: after the last attempt the origin's own error comes out", async () => {
  const { origin, clock, guarded, receive, openings } = fixture();
  const answer = assert.rejects(guarded.open(request, receive), { code: "origin_unavailable" });
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await settle();
    openingAt(origin, attempt).fail(failure());
    await clock.advance(400);
  }
  await answer;
  assert.deepEqual([origin.openings.length, openings.length, guarded.requestsInFlight], [3, 0, 0]);
});

test("GuardedOrigin.open: a body that breaks off is told to its place and not repeated", async () => {
  const { origin, clock, guarded, sink, ends, receive } = fixture();
  const answer = guarded.open(request, receive);
  await settle();
  openingAt(origin, 0).answer(head).deliver(40).fail(failure());
  assert.equal((await answer).outcome, "opened");
  await clock.advance(5000);
  assert.deepEqual([ends.length, ends[0]?.code, sink.received.length], [1, "origin_unavailable", 40]);
  assert.deepEqual([origin.openings.length, guarded.requestsInFlight], [1, 0]);
});

test("GuardedOrigin.open: an error after the last byte is none", async () => {
  const { origin, guarded, ends, receive } = fixture();
  const answer = guarded.open(request, receive);
  await settle();
  openingAt(origin, 0).answer(head).deliver(100).fail(failure());
  await answer;
  await settle();
  assert.deepEqual(ends, [undefined]);
});

test("GuardedOrigin.open: a body below the minimum rate ends, and its place hears why", async () => {
  const { origin, clock, guarded, ends, receive } = fixture();
  const answer = guarded.open(request, receive);
  await settle();
  openingAt(origin, 0).answer(head).deliver(1);
  await answer;
  await clock.advance(1000);
  assert.match(ends[0]?.message ?? "", /origin.min_rate/);
  assert.equal(guarded.stats.slowBodies, 1);
});

test("GuardedOrigin.open: of a larger object with its checksums, the rest is cut with the last byte wanted", async () => {
  const { origin, guarded, ends, receive } = fixture();
  const answer = guarded.open({ ...request, offset: 0, withChecksums: true }, receive);
  await settle();
  const opening = openingAt(origin, 0).answer(head);
  await answer;
  opening.deliver(99);
  assert.equal(opening.signal.aborted, false);
  opening.deliver(1);
  assert.equal(opening.signal.aborted, true);
  await settle();
  assert.deepEqual(ends, [undefined]);
  assert.deepEqual([...guarded.stats.errors], []);
});

test("GuardedOrigin.open: an absent object, and one that ends before the offset, bring no bytes", async () => {
  for (const [outcome, expected] of [
    [null, { outcome: "absent", marker: null }],
    [{ kind: "delete-marker" } as never, { outcome: "absent", marker: { kind: "delete-marker" } }],
    ["unsatisfiable", { outcome: "unsatisfiable" }],
  ] as const) {
    const { origin, guarded, openings, receive } = fixture();
    const answer = guarded.open(request, receive);
    await settle();
    openingAt(origin, 0).finish(outcome);
    assert.deepEqual(await answer, expected);
    await settle();
    assert.deepEqual([openings.length, guarded.requestsInFlight], [0, 0]);
  }
});

test("GuardedOrigin.open: the last bytes go where the answer says they begin, and only an origin that can is asked", async () => {
  const { origin, guarded, sink, ends, openings, receive } = fixture();
  const last = { ...request, offset: 0, lastBytes: 10 };
  assert.equal(guarded.opens(last), true);
  const answer = guarded.open(last, receive);
  await settle();
  openingAt(origin, 0).answer(head).deliver(100).finish();
  assert.deepEqual(await answer, { outcome: "opened", head });
  await settle();
  assert.deepEqual([openings[0]?.offset, openings[0]?.lengthBytes], [900, 100]);
  assertPattern(sink.received, origin.seed, 900);
  assert.deepEqual([ends, guarded.requestsInFlight], [[undefined], 0]);
  origin.opensAtEnd = false;
  assert.deepEqual([guarded.opens(last), guarded.opens(request)], [false, true]);
});
