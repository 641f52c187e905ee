import assert from "node:assert/strict";
import { test } from "node:test";
import { PacedPermits } from "../../../src/origin/throttling/paced-permits.ts";
import { Throttle } from "../../../src/origin/throttling/throttle.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";

const newAttempts = () => ({ pacedMs: 0, failingSinceMs: undefined });

test("PacedPermits.acquire: a request that gets no permit of the share does not keep its place in the limit", async () => {
  const clock = new FakeClock();
  const throttle = new Throttle({ originId: "o", clock, share: 3, waitMaxMs: 1000 });
  const permits = new PacedPermits({ originId: "o", clock, share: 3, queueTimeoutMs: 2000, throttle });
  const held = await Promise.all([1, 2, 3].map(() => permits.acquire(newAttempts())));
  // Outside of an episode the share alone makes requests wait, for as long as without a throttle.
  const fourth = assert.rejects(permits.acquire(newAttempts()), { code: "overloaded" });
  await clock.advance(1999);
  assert.equal(permits.waiting, 1);
  await clock.advance(1);
  await fourth;
  for (const permit of held) permit.release();
  throttle.rejected(throttle.round, undefined);
  assert.deepEqual([permits.permitsMax, permits.inUse, permits.waiting], [2, 0, 0]);
  const two = await Promise.all([permits.acquire(newAttempts()), permits.acquire(newAttempts())]);
  let third = false;
  void permits.acquire(newAttempts()).then(() => (third = true));
  await settle();
  assert.deepEqual([third, permits.waiting], [false, 1]);
  two[0]?.release();
  await settle();
  assert.deepEqual([third, permits.inUse], [true, 2]);
  throttle.close();
});
