import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientPace, SlowClients } from "../../src/edge/client-pace.ts";
import { FakeClock } from "../support/fake-clock.ts";

const KiB = 1024;
const limit = { bytesPerSecondMin: 16 * KiB, windowMs: 60_000 };

/** When a client that takes `bytesPerSecond` in slices is found too slow, looked at once a second; undefined for never. */
function slowAfterMs(bytesPerSecond: number, sliceBytes: number, untilMs = 600_000): number | undefined {
  const pace = new ClientPace(limit);
  let takenMs = 0;
  for (let nowMs = 0; nowMs <= untilMs; nowMs += 1000) {
    while (takenMs <= nowMs) {
      if (takenMs > 0) pace.taken(takenMs);
      pace.sending(sliceBytes, takenMs);
      takenMs += (sliceBytes * 1000) / bytesPerSecond;
    }
    if (pace.isTooSlow(nowMs)) return nowMs;
  }
  return undefined;
}

test("ClientPace: a client at the lowest rate is served, whatever the slices", () => {
  for (const sliceBytes of [KiB, 64 * KiB, 1024 * KiB]) {
    for (const bytesPerSecond of [16 * KiB, 17 * KiB, 100 * KiB, 10_000 * KiB])
      assert.equal(slowAfterMs(bytesPerSecond, sliceBytes), undefined, `${bytesPerSecond}, ${sliceBytes}`);
  }
});

test("ClientPace: a client below it is too slow after a window, and no earlier", () => {
  for (const sliceBytes of [KiB, 64 * KiB, 1024 * KiB]) {
    const afterMs = slowAfterMs(8 * KiB, sliceBytes) ?? 0;
    assert.ok(
      afterMs >= limit.windowMs && afterMs <= 2 * limit.windowMs + 10_000,
      `${afterMs}, ${sliceBytes}`,
    );
  }
  assert.equal(slowAfterMs(1, 1024 * KiB), 65_000);
});

test("ClientPace: a fast beginning does not pay for a slow rest", () => {
  const pace = new ClientPace(limit);
  for (let nowMs = 0; nowMs < 120_000; nowMs += 1000) {
    pace.sending(1024 * KiB, nowMs);
    pace.taken(nowMs + 1000);
  }
  pace.sending(64 * KiB, 120_000);
  assert.equal(pace.isTooSlow(120_000 + limit.windowMs), true);
});

test("ClientPace: time while Orca has nothing to send does not count", () => {
  const pace = new ClientPace(limit);
  for (let nowMs = 0; nowMs < 3_600_000; nowMs += 10_000) {
    pace.sending(KiB, nowMs);
    pace.taken(nowMs + 1);
    assert.equal(pace.isTooSlow(nowMs + 9999), false);
  }
});

test("ClientPace: what was before a restart does not count, and a lowest rate of 0 is none", () => {
  const pace = new ClientPace(limit);
  pace.sending(KiB, 0);
  pace.restart(600_000);
  assert.equal(pace.isTooSlow(600_000 + limit.windowMs - 1), false);
  assert.equal(pace.isTooSlow(600_000 + limit.windowMs), true);
  const unlimited = new ClientPace({ ...limit, bytesPerSecondMin: 0 });
  unlimited.sending(1, 0);
  assert.equal(unlimited.isTooSlow(1e9), false);
});

/** A process that stands still: its clock goes on, and its timers are late. */
class StillClock extends FakeClock {
  stillMs = 0;

  override monotonic(): number {
    return super.monotonic() + this.stillMs;
  }
}

/** One exchange that sends 1 KiB, and the exchanges that were found slow. */
function slowFixture() {
  const [clock, exchange] = [new StillClock(), { pace: new ClientPace(limit) }];
  const slow: unknown[] = [];
  const slowClients = new SlowClients({
    clock,
    limit,
    exchanges: new Set([exchange]),
    onSlow: (each) => void slow.push(each),
  });
  slowClients.start();
  exchange.pace.sending(KiB, clock.monotonic());
  return { clock, exchange, slow, slowClients };
}

test("SlowClients: finds a slow client within a window and a quarter, until it is stopped", async () => {
  const { clock, exchange, slow, slowClients } = slowFixture();
  await clock.advance(limit.windowMs - 1);
  assert.deepEqual(slow, []);
  await clock.advance(limit.windowMs / 4);
  assert.deepEqual(slow, [exchange]);
  slowClients.stop();
  assert.equal(clock.pendingTimers, 0);
});

test("SlowClients: no client is slow because the process stood still", async () => {
  const { clock, exchange, slow, slowClients } = slowFixture();
  clock.stillMs = 600_000;
  await clock.advance(limit.windowMs / 4);
  assert.deepEqual(slow, []);
  await clock.advance(limit.windowMs);
  assert.deepEqual(slow, [exchange]);
  slowClients.stop();
});

test("ClientPace.waitedMs: the time of all slices, over windows and a pause of the process, and of the one being sent", () => {
  const pace = new ClientPace(limit);
  assert.equal(pace.waitedMs(5), 0);
  pace.sending(KiB, 1000);
  assert.equal(pace.waitedMs(1500), 500);
  pace.taken(2000);
  // Until the next slice, the client waits for Orca.
  assert.equal(pace.waitedMs(10_000), 1000);
  pace.sending(KiB, 10_000);
  pace.taken(80_000);
  assert.equal(pace.waitedMs(90_000), 71_000);
  pace.sending(KiB, 90_000);
  pace.taken(90_500);
  pace.sending(KiB, 91_000);
  pace.restart(95_000);
  assert.equal(pace.waitedMs(95_250), 71_750);
});
