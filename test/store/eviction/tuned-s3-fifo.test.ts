import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../../src/base/random.ts";
import type { PolicyEntries } from "../../../src/store/eviction/eviction-policy.ts";
import { S3Fifo } from "../../../src/store/eviction/s3-fifo.ts";
import { TunedS3Fifo } from "../../../src/store/eviction/tuned-s3-fifo.ts";
import { assertAccounts, type CountingPolicy, PolicyTier } from "./policy-tier.ts";

type Tier = PolicyTier<CountingPolicy>;

type NewCountingPolicy = (entries: PolicyEntries, rowsMax: number) => CountingPolicy;

const newTuned: NewCountingPolicy = (entries, rowsMax) => new TunedS3Fifo(entries, rowsMax);
const newPaper: NewCountingPolicy = (entries, rowsMax) => new S3Fifo(entries, rowsMax);

function tierOf(capacityBytes: number, newPolicy = newTuned): Tier {
  return new PolicyTier(capacityBytes, newPolicy);
}

/** Each key twice and never again, with `distance` others in between. */
function hitsOfPairs(tier: Tier, first: number, count: number, distance: number): number {
  let hits = 0;
  for (let pair = first; pair < first + count; pair += 1) {
    tier.request(`pair${pair}`);
    if (pair >= distance && tier.request(`pair${pair - distance}`)) hits += 1;
  }
  return hits;
}

/** Requests popular keys, so that the queues are in the state of a tier that has been in use. */
function useForLong(tier: Tier, requests: number, keys: number): void {
  const random = new SeededRandom(1);
  for (let request = 0; request < requests; request += 1) {
    tier.request(`k${Math.floor(keys * random.next() ** 3)}`);
  }
}

for (const capacity of [100, 1000, 10_000]) {
  test(`TunedS3Fifo: with ${capacity} entries, late second uses soon become hits, which the paper's shape misses`, () => {
    const hits = [newTuned, newPaper].map((newPolicy) => {
      const tier = tierOf(capacity, newPolicy);
      useForLong(tier, 20 * capacity, 5 * capacity);
      hitsOfPairs(tier, 0, 10 * capacity, capacity / 2);
      return hitsOfPairs(tier, 10 * capacity, 10 * capacity, capacity / 2);
    });
    const [tuned, paper] = hits as [number, number];
    assert.ok(tuned > 9.9 * capacity && paper < 0.1 * capacity, `${tuned} and ${paper} of ${10 * capacity}`);
  });
}

test("TunedS3Fifo: a tier that was never full evicts as in the paper", () => {
  const tier = tierOf(10);
  for (let index = 0; index < 10; index += 1) tier.request(`k${index}`);
  for (const key of ["k0", "k0", "k1"]) tier.request(key);
  tier.request("new");
  assert.deepEqual(tier.evicted, ["k1"]);
});

test("TunedS3Fifo: the same requests in the same order evict the same", () => {
  const evicted = [1, 2].map(() => {
    const tier = tierOf(300);
    useForLong(tier, 20_000, 2000);
    hitsOfPairs(tier, 0, 3000, 150);
    return tier.evicted;
  });
  assert.deepEqual(evicted[0], evicted[1]);
});

test("TunedS3Fifo: a chunk fetched ahead and never requested changes no shape", () => {
  const [plain, spoilt] = [0, 1].map((aheadPerRequest) => {
    const tier = tierOf(200);
    useForLong(tier, 20_000, 1000);
    for (let pair = 0; pair < 4000; pair += 1) {
      tier.request(`pair${pair}`);
      if (aheadPerRequest > 0 && pair % 10 === 0) tier.request(`ahead${pair}`, 1, true);
      if (pair >= 80) tier.request(`pair${pair - 80}`);
    }
    return hitsOfPairs(tier, 4000, 1000, 80);
  }) as [number, number];
  assert.ok(plain > 900 && spoilt > 900, `${plain} and ${spoilt} of 1000`);
});

test("TunedS3Fifo: a tier of any sizes shrinks and grows", () => {
  const large = tierOf(1 << 20);
  const { policy } = large;
  for (let index = 0; index < 5000; index += 1) large.request(`large${index}`, 1 + (index % 1000));
  while (policy.bytes > 1000) large.evict();
  for (let index = 0; index < 2000; index += 1) {
    const sizeBytes = 1 + (index % 20);
    while (policy.bytes + sizeBytes > 1000) large.evict();
    large.request(`small${index % 150}`, sizeBytes);
  }
  assert.ok(policy.bytes <= 1000);
});

test("TunedS3Fifo: holds each inserted entry once until it is evicted or removed, after any steps in any order", () => {
  assertAccounts(() => tierOf(Number.POSITIVE_INFINITY));
});
