import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { type Entrant, Hedge } from "../../../src/origin/hedging/hedge.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";

/** A request of a race, answered by the test. */
class Scripted {
  readonly entrant: Entrant;
  readonly #answer = Promise.withResolvers<string>();

  constructor(entrant: Entrant) {
    this.entrant = entrant;
    entrant.sent();
    entrant.signal.addEventListener("abort", () => this.#answer.reject(entrant.signal.reason));
  }

  get promise(): Promise<string> {
    return this.#answer.promise;
  }

  answer(text: string): void {
    this.#answer.resolve(text);
  }

  fail(error: unknown): void {
    this.#answer.reject(error);
  }
}

function fixture() {
  const clock = new FakeClock();
  const held = { isHeld: false };
  const hedge = new Hedge(clock, () => held.isHeld);
  const permits = { free: true };
  const race = () => {
    const requests: Scripted[] = [];
    const enter = (entrant: Entrant): Promise<string> => {
      const request = new Scripted(entrant);
      requests.push(request);
      return request.promise;
    };
    const result = hedge.run("get", {
      first: async (entrant) => enter(entrant),
      second: (entrant) => (permits.free ? enter(entrant) : undefined),
    });
    return { result, requests };
  };
  /** `count` requests, each answered after `latencyMs`, and none sent again. */
  const prime = async (count: number, latencyMs = 40): Promise<void> => {
    held.isHeld = true;
    for (let request = 0; request < count; request += 1) {
      const { result, requests } = race();
      if (latencyMs > 0) await clock.advance(latencyMs);
      requests[0]?.answer("primed");
      await result;
    }
    held.isHeld = false;
  };
  return { clock, hedge, held, permits, race, prime };
}

const retryable = (retryAfterSeconds = 0): OrcaError =>
  new OrcaError("origin_throttled", "origin", "Cannot read: 503", { retryAfterSeconds });
const final = new OrcaError("origin_denied", "origin", "Cannot read: 403");

test("Hedge: nothing is sent again until 64 answers are known", async () => {
  const { clock, hedge, race, prime } = fixture();
  await prime(63);
  assert.equal(hedge.delayMs("get"), undefined);
  const slow = race();
  await clock.advance(60_000);
  assert.equal(slow.requests.length, 1);
  slow.requests[0]?.answer("at last");
  await slow.result;
  // The slow one is one of 64, beyond the 95th percentile.
  assert.deepEqual([hedge.delayMs("get"), hedge.delayMs("head")], [40, undefined]);
});

test("Hedge: a request slower than the 95th percentile is sent again, and the first answer wins", async () => {
  const { clock, hedge, race, prime } = fixture();
  await prime(64);
  const { result, requests } = race();
  await clock.advance(39);
  assert.equal(requests.length, 1);
  await clock.advance(1);
  assert.deepEqual(
    requests.map(({ entrant }) => entrant.isHedge),
    [false, true],
  );
  requests[1]?.answer("second");
  assert.equal(await result, "second");
  assert.deepEqual(
    requests.map(({ entrant }) => [entrant.isLost, entrant.signal.aborted]),
    [
      [true, true],
      [false, false],
    ],
  );
  assert.deepEqual(hedge.stats, { sent: 1, won: 1, withoutCredit: 0, withoutPermit: 0 });
  assert.equal(clock.pendingTimers, 0);
});

test("Hedge: where the first one answers after all, the second is aborted and has not won", async () => {
  const { clock, hedge, race, prime } = fixture();
  await prime(64);
  const { result, requests } = race();
  await clock.advance(45);
  assert.equal(requests[0]?.entrant.answered(), true);
  assert.equal(requests[1]?.entrant.answered(), false);
  assert.equal(requests[1].entrant.signal.aborted, true);
  requests[0].answer("first");
  assert.equal(await result, "first");
  assert.deepEqual([hedge.stats.sent, hedge.stats.won], [1, 0]);
});

test("Hedge: the delay is 10 ms at least", async () => {
  const { clock, hedge, race, prime } = fixture();
  await prime(64, 1);
  assert.equal(hedge.delayMs("get"), 10);
  const { result, requests } = race();
  await clock.advance(9);
  requests[0]?.answer("fast");
  await result;
  assert.equal(requests.length, 1);
});

test("Hedge: of a thousand requests that are all slow, 5 % are sent again and no more", async () => {
  const { clock, hedge, race, prime } = fixture();
  await prime(64);
  let sent = 0;
  for (let request = 0; request < 1000; request += 1) {
    const { result, requests } = race();
    await clock.advance(2000);
    sent += requests.length;
    requests[0]?.answer("slow");
    await result;
    assert.ok(hedge.stats.sent * 20 <= 64 + request + 1);
  }
  // The percentile follows: after some time, 2 s is what most take.
  assert.equal(sent - 1000, hedge.stats.sent);
  assert.ok(hedge.stats.sent >= 3 && hedge.stats.sent <= 53, `${hedge.stats.sent}`);
  assert.ok(hedge.stats.withoutCredit > 0);
});

test("Hedge: after a lull ten are in credit and no more", async () => {
  const { clock, hedge, race, prime } = fixture();
  await prime(1000);
  const slow = Array.from({ length: 30 }, race);
  await clock.advance(50);
  // Each of the thirty is counted, too, and the credit is full.
  assert.deepEqual([hedge.stats.sent, hedge.stats.withoutCredit], [10, 20]);
  for (const { requests } of slow) requests[0]?.answer("slow");
  await Promise.all(slow.map(({ result }) => result));
});

test("Hedge: without a free permit, or while the origin throttles, nothing is sent and no credit is used", async () => {
  const { clock, hedge, held, permits, race, prime } = fixture();
  await prime(64);
  permits.free = false;
  const first = race();
  await clock.advance(100);
  held.isHeld = true;
  permits.free = true;
  const second = race();
  await clock.advance(100);
  assert.deepEqual(hedge.stats, { sent: 0, won: 0, withoutCredit: 0, withoutPermit: 1 });
  for (const { requests } of [first, second]) requests[0]?.answer("late");
  await Promise.all([first.result, second.result]);
});

test("Hedge: where one fails, the other is waited for", async () => {
  for (const failing of [0, 1]) {
    const { clock, race, prime } = fixture();
    await prime(64);
    const { result, requests } = race();
    await clock.advance(40);
    requests[failing]?.fail(retryable());
    await settle();
    assert.equal(requests[1 - failing]?.entrant.signal.aborted, false);
    requests[1 - failing]?.answer("the other");
    assert.equal(await result, "the other");
  }
});

test("Hedge: where both fail, the error is the last, or the one that asks for the longer wait", async () => {
  for (const [firstSeconds, secondSeconds, expected] of [
    [0, 0, 1],
    [2, 1, 0],
    [1, 2, 1],
  ] as const) {
    const { clock, race, prime } = fixture();
    await prime(64);
    const { result, requests } = race();
    const errors = [retryable(firstSeconds), retryable(secondSeconds)];
    await clock.advance(40);
    requests[0]?.fail(errors[0]);
    await settle();
    requests[1]?.fail(errors[1]);
    await assert.rejects(result, (thrown) => thrown === errors[expected]);
  }
});

test("Hedge: an error that a repetition would not change is an answer, and wins", async () => {
  const { clock, race, prime } = fixture();
  await prime(64);
  const { result, requests } = race();
  await clock.advance(40);
  requests[1]?.fail(final);
  await assert.rejects(result, (thrown) => thrown === final);
  assert.equal(requests[0]?.entrant.signal.aborted, true);
});

test("Hedge: a request that fails before it is slow is not sent again", async () => {
  const { clock, race, prime } = fixture();
  await prime(64);
  const { result, requests } = race();
  await clock.advance(20);
  const error = retryable();
  requests[0]?.fail(error);
  await assert.rejects(result, (thrown) => thrown === error);
  await clock.advance(100);
  assert.deepEqual([requests.length, clock.pendingTimers], [1, 0]);
});

test("Hedge: a body that breaks after its head is the race's own error, whatever failed before", async () => {
  const { clock, race, prime } = fixture();
  await prime(64);
  const { result, requests } = race();
  await clock.advance(40);
  requests[0]?.fail(retryable(9));
  await settle();
  requests[1]?.entrant.answered();
  const broken = retryable();
  requests[1]?.fail(broken);
  await assert.rejects(result, (thrown) => thrown === broken);
});

test("Hedge: a request that a hedge overtook counts with the time that it had waited", async () => {
  const { clock, hedge, race, prime } = fixture();
  await prime(256);
  for (let round = 0; round < 13; round += 1) {
    const { result, requests } = race();
    await clock.advance(45);
    assert.equal(requests.length, 2);
    requests[1]?.answer("fast");
    await result;
    await prime(19);
  }
  // 13 of the newest 256 took at least 45 ms, which is more than 5 %. Without them the percentile would stay at 40.
  assert.deepEqual([hedge.stats.won, hedge.delayMs("get")], [13, 45]);
});
