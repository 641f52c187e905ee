import assert from "node:assert/strict";
import { test } from "node:test";
import type { ByteSink } from "../../src/base/byte-sink.ts";
import { sleep } from "../../src/base/clock.ts";
import { type ErrorCode, OrcaError } from "../../src/base/orca-error.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { MiB } from "../../src/base/units.ts";
import { GuardedOrigin, type GuardedOriginOptions } from "../../src/origin/guarded-origin.ts";
import { Hedge } from "../../src/origin/hedging/hedge.ts";
import { Throttle } from "../../src/origin/throttling/throttle.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";
import { assertPattern } from "../support/pattern.ts";
import { ScriptedOrigin, type ScriptedRead } from "../support/scripted-origin.ts";

const request = {
  bucket: "b",
  key: "k",
  etag: "v1",
  objectSizeBytes: 8 * MiB,
  offset: MiB,
  lengthBytes: 4 * MiB,
};

function fixture(options: Partial<GuardedOriginOptions> = {}) {
  const origin = new ScriptedOrigin();
  const clock = new FakeClock();
  const guarded = new GuardedOrigin({
    origin,
    clock,
    random: new SeededRandom(1),
    requestsInFlightMax: 4,
    queueTimeoutMs: 5000,
    retry: { attempts: 3, backoffInitialMs: 100, backoffMaxMs: 2000, maxTotalDurationMs: 5000 },
    minRate: { bytesPerSecond: 0, windowMs: 30_000 },
    ...options,
  });
  const bytes = Buffer.alloc(request.lengthBytes);
  let filled = 0;
  const sink: ByteSink = {
    space: () => bytes.subarray(filled),
    advance: (lengthBytes) => void (filled += lengthBytes),
  };
  return { origin, clock, guarded, sink, bytes };
}

function failure(code: ErrorCode, retryAfterSeconds?: number): OrcaError {
  return new OrcaError(
    code,
    "origin",
    "Cannot ask",
    retryAfterSeconds === undefined ? {} : { retryAfterSeconds },
  );
}

function readAt(origin: ScriptedOrigin, index: number): ScriptedRead {
  const read = origin.reads[index];
  assert.ok(read, `read ${index} was asked`);
  return read;
}

test("GuardedOrigin.read: a body that breaks off is resumed at the byte where it stopped, pinned to the same ETag", async () => {
  const { origin, clock, guarded, sink, bytes } = fixture();
  const whole = guarded.read(request, sink);
  await settle();
  readAt(origin, 0).deliver(1_500_000).fail(failure("origin_unavailable"));
  await clock.advance(100);
  assert.deepEqual(readAt(origin, 1).request, {
    ...request,
    offset: MiB + 1_500_000,
    lengthBytes: 4 * MiB - 1_500_000,
  });
  readAt(origin, 1).deliver().finish();
  await whole;
  assertPattern(bytes, origin.seed, MiB);
  assert.equal(guarded.stats.resumes, 1);
  assert.equal(guarded.stats.bytes, 4 * MiB);
  assert.equal(guarded.requestsInFlight, 0);
});

test("GuardedOrigin.read: three failed attempts are the last, and the origin's own error comes out", async () => {
  const { origin, clock, guarded, sink } = fixture();
  const whole = assert.rejects(guarded.read(request, sink), { code: "origin_unavailable" });
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await settle();
    readAt(origin, attempt).fail(failure("origin_unavailable"));
    await clock.advance(400);
  }
  await whole;
  assert.equal(origin.reads.length, 3);
  assert.equal(guarded.stats.errors.get("origin_unavailable"), 3);
  assert.equal(guarded.requestsInFlight, 0);
});

test("GuardedOrigin.read: an attempt that brought a MiB starts the count anew, a trickle does not", async () => {
  const { origin, clock, guarded, sink } = fixture();
  const whole = assert.rejects(guarded.read(request, sink), { code: "origin_unavailable" });
  for (const lengthBytes of [MiB, MiB, MiB, 100, 100]) {
    await settle();
    readAt(origin, origin.reads.length - 1)
      .deliver(lengthBytes)
      .fail(failure("origin_unavailable"));
    await clock.advance(400);
  }
  await whole;
  assert.equal(origin.reads.length, 5);
});

test("GuardedOrigin.read: a slow body that breaks off is resumed, however long it took to come that far", async () => {
  const { origin, clock, guarded, sink, bytes } = fixture();
  const whole = guarded.read(request, sink);
  await settle();
  for (let seconds = 0; seconds < 60; seconds += 1) {
    readAt(origin, 0).deliver(10_000);
    await clock.advance(1000);
  }
  readAt(origin, 0).fail(failure("origin_unavailable"));
  await clock.advance(100);
  readAt(origin, 1).deliver().finish();
  await whole;
  assertPattern(bytes, origin.seed, MiB);
});

const minRate = { bytesPerSecond: 64 * 1024, windowMs: 30_000 };

/** Delivers `stepBytes` each second to the newest read, until the reads are `readsMax` or the time is over. */
async function drip(
  { origin, clock }: Pick<ReturnType<typeof fixture>, "origin" | "clock">,
  stepBytes: number,
  seconds: number,
): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    const read = origin.reads.at(-1);
    if (read && !read.signal.aborted) read.deliver(Math.min(stepBytes, read.owedBytes));
    await clock.advance(1000);
  }
}

test("GuardedOrigin.read: a body below the minimum rate is given up after a window, and resumed as often as retry says", async () => {
  const parts = fixture({ minRate });
  const { origin, guarded, sink, clock } = parts;
  const whole = assert.rejects(guarded.read(request, sink), {
    code: "origin_unavailable",
    message: /min_rate/,
  });
  await settle();
  await drip(parts, 1, 30);
  assert.equal(guarded.stats.slowBodies, 1);
  await drip(parts, 1, 100);
  await whole;
  assert.equal(origin.reads.length, 3);
  assert.equal(origin.reads[1]?.request.offset, MiB + 30);
  assert.equal(guarded.stats.slowBodies, 3);
  assert.equal(guarded.stats.errors.get("origin_unavailable"), 3);
  assert.equal(guarded.requestsInFlight, 0);
  assert.equal(clock.pendingTimers, 0);
});

test("GuardedOrigin.read: a drip that brings a MiB in a window does not start the count anew", async () => {
  const parts = fixture({ minRate });
  const { origin, guarded, sink } = parts;
  const whole = assert.rejects(guarded.read({ ...request, lengthBytes: 4 * MiB }, sink), {
    code: "origin_unavailable",
  });
  await settle();
  // 40 KiB/s: 1.2 MiB in each window.
  await drip(parts, 40 * 1024, 100);
  await whole;
  assert.equal(origin.reads.length, 3);
});

test("GuardedOrigin.read: bodies that break off before a window ends count as failed if they dripped", async () => {
  const parts = fixture({ minRate });
  const { origin, guarded, sink, clock } = parts;
  const whole = assert.rejects(guarded.read(request, sink), { code: "origin_unavailable" });
  await settle();
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await drip(parts, 40 * 1024, 28);
    readAt(origin, attempt).fail(failure("origin_unavailable"));
    await clock.advance(400);
  }
  await whole;
  assert.equal(origin.reads.length, 3);
});

test("GuardedOrigin.read: a body at the minimum rate is read to its end", async () => {
  const parts = fixture({ minRate });
  const { origin, guarded, sink, bytes, clock } = parts;
  const whole = guarded.read(request, sink);
  await settle();
  await drip(parts, 64 * 1024, 65);
  readAt(origin, 0).finish();
  await whole;
  assertPattern(bytes, origin.seed, MiB);
  assert.equal(origin.reads.length, 1);
  assert.equal(guarded.stats.slowBodies, 0);
  assert.equal(clock.pendingTimers, 0);
});

test("GuardedOrigin.read: an error that will not pass is not tried again", async () => {
  for (const code of ["origin_denied", "origin_etag_changed", "origin_unsupported"] as const) {
    const { origin, guarded, sink } = fixture();
    const whole = assert.rejects(guarded.read(request, sink), { code });
    await settle();
    readAt(origin, 0).fail(failure(code));
    await whole;
    assert.equal(origin.reads.length, 1);
  }
});

test("GuardedOrigin.read: Retry-After is honoured, and one that is too long is passed on at once", async () => {
  const { origin, clock, guarded, sink } = fixture();
  const whole = assert.rejects(guarded.read(request, sink), {
    code: "origin_throttled",
    retryAfterSeconds: 30,
  });
  await settle();
  readAt(origin, 0).fail(failure("origin_throttled", 2));
  await clock.advance(1999);
  assert.equal(origin.reads.length, 1);
  await clock.advance(1);
  assert.equal(origin.reads.length, 2);
  readAt(origin, 1).fail(failure("origin_throttled", 30));
  await whole;
});

test("GuardedOrigin: permits cover whole bodies, and who waits too long is told to slow down", async () => {
  const { origin, clock, guarded, sink } = fixture({ requestsInFlightMax: 1 });
  const first = guarded.read(request, sink);
  await settle();
  const second = assert.rejects(guarded.head({ bucket: "b", key: "k" }), { code: "overloaded" });
  await clock.advance(4999);
  assert.equal(guarded.requestsWaiting, 1);
  await clock.advance(1);
  await second;
  assert.equal(origin.heads.length, 0);
  readAt(origin, 0).deliver().finish();
  await first;
  assert.equal(await guarded.head({ bucket: "b", key: "k" }), null);
  assert.deepEqual(guarded.stats.requests, { get: 1, head: 1, list: 0, sub_resource: 0 });
});

test("GuardedOrigin.resize: more permits serve who waits, fewer break nothing off", async () => {
  const { origin, guarded } = fixture({ requestsInFlightMax: 1 });
  const reads = Array.from({ length: 4 }, () => guarded.read(request, fixture().sink));
  await settle();
  assert.equal(origin.reads.length, 1);
  guarded.resize(3);
  await settle();
  assert.equal(origin.reads.length, 3);
  assert.equal(guarded.requestsWaiting, 1);
  guarded.resize(1);
  assert.equal(guarded.requestsInFlightMax, 1);
  assert.equal(guarded.requestsInFlight, 3);
  for (const index of [0, 1]) {
    readAt(origin, index).deliver().finish();
    await settle();
    assert.equal(origin.reads.length, 3);
  }
  readAt(origin, 2).deliver().finish();
  await settle();
  assert.equal(origin.reads.length, 4);
  readAt(origin, 3).deliver().finish();
  await Promise.all(reads);
  assert.equal(guarded.requestsInFlight, 0);
});

test("GuardedOrigin.head: a passing fault is hidden", async () => {
  const { origin, clock, guarded } = fixture();
  let asked = 0;
  origin.onHead = async () => {
    asked += 1;
    if (asked < 3) throw failure("origin_unavailable");
    return null;
  };
  const answer = guarded.head({ bucket: "b", key: "k" });
  await clock.advance(1000);
  assert.equal(await answer, null);
  assert.equal(asked, 3);
  assert.equal(guarded.stats.retries, 2);
});

test("GuardedOrigin.read: an attempt that took long to fail is repeated, and failing is given up after maxTotalDurationMs", async () => {
  const { origin, clock, guarded, sink } = fixture();
  const whole = assert.rejects(guarded.read(request, sink), { code: "origin_unavailable" });
  await clock.advance(30_000);
  readAt(origin, 0).fail(failure("origin_unavailable"));
  await clock.advance(100);
  assert.equal(origin.reads.length, 2);
  await clock.advance(30_000);
  readAt(origin, 1).fail(failure("origin_unavailable"));
  await whole;
  assert.equal(origin.reads.length, 2);
});

test("GuardedOrigin.close: what runs and what waits for its next attempt ends", async () => {
  const { origin, guarded, sink, clock } = fixture();
  const running = assert.rejects(guarded.read(request, sink), { code: "shutting_down" });
  await settle();
  guarded.close();
  await running;
  assert.equal(origin.reads.length, 1);
  assert.equal(clock.pendingTimers, 0);
});

test("GuardedOrigin.read: a caller that wants no more bytes is no error of the origin", async () => {
  const { origin, guarded, sink } = fixture();
  const enough = new AbortController();
  const read = guarded.read(request, sink, enough.signal);
  read.catch(() => {});
  await settle();
  readAt(origin, 0).deliver(MiB);
  enough.abort();
  await assert.rejects(read, { name: "AbortError" });
  assert.deepEqual([guarded.stats.errors.size, guarded.stats.retries, guarded.requestsInFlight], [0, 0, 0]);
});

function throttledFixture(share = 4) {
  const clock = new FakeClock();
  const throttle = new Throttle({ originId: "origin-a", clock, share, waitMaxMs: 5000 });
  return { ...fixture({ clock, throttle, requestsInFlightMax: share }), clock, throttle };
}

test("GuardedOrigin.head: four requests that an origin rejects at once are one cut, and wait for their turn", async () => {
  const { origin, clock, guarded, throttle } = throttledFixture();
  let inFlight = 0;
  origin.onHead = async () => {
    if (inFlight >= 2) throw failure("origin_throttled");
    inFlight += 1;
    await sleep(clock, 1000);
    inFlight -= 1;
    return null;
  };
  const all = Promise.all([1, 2, 3, 4].map(() => guarded.head({ bucket: "b", key: "k" })));
  await settle();
  assert.deepEqual([throttle.stats.cuts, throttle.limit, guarded.requestsInFlightMax], [1, 2, 2]);
  await clock.advance(500);
  assert.deepEqual([origin.heads.length, guarded.requestsInFlight, guarded.requestsWaiting], [4, 2, 2]);
  await clock.advance(2000);
  assert.deepEqual(await all, [null, null, null, null]);
  assert.equal(origin.heads.length, 6);
  assert.deepEqual(Object.fromEntries(guarded.stats.errors), { origin_throttled: 2 });
  guarded.close();
  assert.equal(clock.pendingTimers, 0);
});

test("GuardedOrigin.head: time that a request waits because of a cut is not time in which the origin fails", async () => {
  const { origin, clock, guarded, throttle } = throttledFixture(2);
  throttle.rejected(throttle.round, 60);
  const answers = [failure("origin_throttled", 4), failure("origin_throttled"), null];
  origin.onHead = async () => {
    const answer = answers.shift();
    if (answer) throw answer;
    return null;
  };
  const found = guarded.head({ bucket: "b", key: "k" });
  await settle();
  const held = await throttle.enter({ pacedMs: 0 });
  // After 4 s the second attempt is due. It waits for 3 s more, and fails; the third begins 7.2 s after the first.
  await clock.advance(7000);
  held.release();
  await clock.advance(200);
  assert.equal(await found, null);
  assert.equal(origin.heads.length, 3);
  guarded.close();
});

test("GuardedOrigin.head: a request that has waited for queue_timeout because of a cut is sent all the same", async () => {
  const { origin, clock, guarded, throttle } = throttledFixture(2);
  throttle.rejected(throttle.round, 60);
  origin.onHead = () => new Promise(() => {});
  void guarded.head({ bucket: "b", key: "k" }).catch(() => {});
  void guarded.head({ bucket: "b", key: "k" }).catch(() => {});
  const third = assert.rejects(guarded.head({ bucket: "b", key: "k" }), { code: "overloaded" });
  await clock.advance(4999);
  assert.deepEqual([origin.heads.length, throttle.stats.letThrough], [1, 0]);
  await clock.advance(1);
  assert.deepEqual([origin.heads.length, throttle.stats.letThrough], [2, 2]);
  // The share is used up, so the third waits as it would without a cut.
  await clock.advance(5000);
  await third;
  guarded.close();
});

/** An origin whose first 64 GETs are answered after 40 ms, and a GET after them that has waited for 40 ms. */
async function hedgedRead(share = 4) {
  const clock = new FakeClock();
  const hedge = new Hedge(clock, () => false);
  const parts = { ...fixture({ clock, hedge, requestsInFlightMax: share }), clock, hedge };
  const { origin, guarded } = parts;
  const small = { ...request, lengthBytes: 8 };
  const drop: ByteSink = { space: () => Buffer.alloc(8), advance: () => {} };
  for (let count = 0; count < 64; count += 1) {
    const read = guarded.read(small, drop);
    await clock.advance(39);
    readAt(origin, count).deliver().finish();
    await read;
  }
  origin.reads.length = 0;
  const whole = guarded.read(request, parts.sink);
  await clock.advance(39);
  return { ...parts, whole };
}

test("GuardedOrigin.read: a slow GET is sent again, the first head wins, and no byte of the loser reaches the sink", async () => {
  const { origin, guarded, hedge, bytes, whole } = await hedgedRead();
  assert.deepEqual([origin.reads.length, guarded.requestsInFlight], [2, 2]);
  const [first, second] = [readAt(origin, 0), readAt(origin, 1)];
  second.deliver(MiB);
  assert.equal(first.signal.aborted, true);
  // A driver that goes on after the abort writes into memory of nobody's.
  first.deliver(2 * MiB);
  await settle();
  assert.equal(guarded.requestsInFlight, 1);
  second.deliver().finish();
  await whole;
  assertPattern(bytes, origin.seed, MiB);
  assert.deepEqual([guarded.stats.bytes, guarded.stats.requests.get], [64 * 8 + 4 * MiB, 66]);
  assert.deepEqual([guarded.stats.errors.size, guarded.stats.retries, guarded.requestsInFlight], [0, 0, 0]);
  assert.deepEqual(hedge.stats, { sent: 1, won: 1, withoutCredit: 0, withoutPermit: 0 });
});

test("GuardedOrigin.read: where both requests fail, it is one attempt, and the next one is a race of its own", async () => {
  const { origin, clock, guarded, bytes, whole } = await hedgedRead();
  readAt(origin, 0).fail(failure("origin_unavailable"));
  await settle();
  readAt(origin, 1).fail(failure("origin_unavailable"));
  await clock.advance(100);
  readAt(origin, 2).deliver().finish();
  await whole;
  assertPattern(bytes, origin.seed, MiB);
  assert.deepEqual([guarded.stats.errors.get("origin_unavailable"), guarded.stats.retries], [2, 1]);
});

test("GuardedOrigin.read: without a free permit a slow GET is not sent again", async () => {
  const { origin, hedge, whole } = await hedgedRead(1);
  assert.deepEqual([origin.reads.length, hedge.stats.withoutPermit], [1, 1]);
  readAt(origin, 0).deliver().finish();
  await whole;
});
