import assert from "node:assert/strict";
import { test } from "node:test";
import { simulateThrottling, type ThrottledScenario } from "./throttled-origin.ts";

const capacity = 64;

const base: ThrottledScenario = {
  seed: 1,
  replicas: 3,
  targetGlobal: 192,
  capacity: () => capacity,
  roundTripMs: 40,
  serviceMs: 100,
  clients: 300,
  durationMs: 24_000,
  cuts: true,
};

const steady: Readonly<Record<string, Partial<ThrottledScenario>>> = {
  "three replicas": {},
  "one replica": { replicas: 1 },
  "five replicas": { replicas: 5 },
  "most clients at one replica": { partOfFirst: 0.8 },
  "an origin in the same rack": { roundTripMs: 1, serviceMs: 20, durationMs: 10_000 },
  "a replica that joins": { joinsAtMs: 12_000 },
  "Retry-After of a second": { retryAfterSeconds: 1 },
};

for (const [name, its] of Object.entries(steady)) {
  test(`Throttle: an origin that throttles above 64 requests serves 0.8 of them or more, with few errors: ${name}`, async () => {
    const outcome = await simulateThrottling({ ...base, ...its });
    const { meanServed, rejected, served, errors } = outcome;
    const what = JSON.stringify(outcome);
    assert.ok(meanServed >= 0.8 * capacity && meanServed <= capacity, what);
    assert.ok(rejected / served < 0.12, what);
    const without = await simulateThrottling({ ...base, ...its, cuts: false });
    for (const [code, count] of Object.entries(errors))
      assert.ok(count <= 0.1 * (without.errors[code] ?? 0), `${what}, without: ${JSON.stringify(without)}`);
  });
}

/** Times at which the origin answers 503 to everything. Else it serves whatever is asked. */
function outage(beginMs: number, endMs: number): ThrottledScenario["capacity"] {
  return (nowMs) => (nowMs >= beginMs && nowMs < endMs ? 0 : 10_000);
}

const rough: Readonly<Record<string, Partial<ThrottledScenario>>> = {
  "more than is served, for ever": { clients: 1000 },
  "more than is served, and each request takes 3 s": { clients: 600, serviceMs: 3000, durationMs: 40_000 },
  "no answer but 503 for a second": { capacity: outage(5000, 6000) },
  "no answer but 503 for a second, and each request takes 3 s": {
    capacity: outage(5000, 6000),
    serviceMs: 3000,
    clients: 1000,
  },
  "no answer but 503 for ten seconds": { capacity: outage(5000, 15_000) },
  "single 503s": { capacity: (nowMs) => (nowMs % 5000 < 2 ? 0 : 10_000) },
};

for (const [name, its] of Object.entries(rough)) {
  test(`Throttle: no client gets an error because of a cut: ${name}`, async () => {
    const outcome = await simulateThrottling({ ...base, ...its });
    const without = await simulateThrottling({ ...base, ...its, cuts: false });
    for (const [code, count] of Object.entries(outcome.errors))
      assert.ok(count <= (without.errors[code] ?? 0), JSON.stringify({ code, outcome, without }));
  });
}

test("Throttle: after an outage every replica has its whole share again within 20 s", async () => {
  const { limits } = await simulateThrottling({ ...base, capacity: outage(5000, 6000), durationMs: 27_000 });
  assert.deepEqual(limits, [64, 64, 64]);
});
