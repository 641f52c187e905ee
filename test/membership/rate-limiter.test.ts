import assert from "node:assert/strict";
import { test } from "node:test";
import { RateLimiter } from "../../src/membership/rate-limiter.ts";
import { SimulatedClock } from "../support/simulated-clock.ts";
import { throwsWith } from "../support/throws-with.ts";

function admitted(limiter: RateLimiter, replicaId: string, isMember: boolean): number {
  for (let count = 0; ; count += 1) {
    try {
      limiter.admit(replicaId, isMember);
    } catch {
      return count;
    }
  }
}

test("RateLimiter: admits the messages of two seconds at once, and then the rate", async () => {
  const clock = new SimulatedClock();
  const limiter = new RateLimiter(clock, 10);
  assert.equal(admitted(limiter, "r1", true), 20);
  throwsWith("overloaded", () => limiter.admit("r1", true));
  await clock.advance(500);
  assert.equal(admitted(limiter, "r1", true), 5);
});

test("RateLimiter: a flood of one member does not affect another, and senders that are not members share one bucket", () => {
  const limiter = new RateLimiter(new SimulatedClock(), 10);
  assert.equal(admitted(limiter, "r1", true), 20);
  assert.equal(admitted(limiter, "r2", true), 20);
  assert.equal(admitted(limiter, "made-up-1", false), 20);
  assert.equal(admitted(limiter, "made-up-2", false), 0);
});
