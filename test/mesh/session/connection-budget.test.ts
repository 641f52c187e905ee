import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionBudget, networkOf } from "../../../src/mesh/session/connection-budget.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const rate = { perSecond: 2, burst: 10, brokenCost: 5 };

function taken(budget: ConnectionBudget, address: string | undefined): number {
  let count = 0;
  while (budget.take(address)) count += 1;
  return count;
}

test("ConnectionBudget: an address has a burst and a rate, and another address has its own", async () => {
  const clock = new FakeClock();
  const budget = new ConnectionBudget(clock, rate);
  assert.equal(taken(budget, "10.0.0.1"), 10);
  assert.equal(taken(budget, "10.0.0.2"), 10);
  assert.equal(taken(budget, undefined), 10);
  await clock.advance(2000);
  assert.equal(taken(budget, "10.0.0.1"), 4);
});

test("ConnectionBudget: sessions that broke cost more, and the debt has an end", async () => {
  const clock = new FakeClock();
  const budget = new ConnectionBudget(clock, rate);
  assert.equal(budget.take("10.0.0.1"), true);
  budget.chargeBroken("10.0.0.1");
  assert.equal(taken(budget, "10.0.0.1"), 4);
  for (let count = 0; count < 1000; count += 1) budget.chargeBroken("10.0.0.1");
  await clock.advance(5500);
  assert.equal(taken(budget, "10.0.0.1"), 1);
});

test("networkOf: IPv4 is one address, however it is written, and IPv6 is a /64", () => {
  assert.equal(networkOf("10.0.0.1"), "10.0.0.1");
  assert.equal(networkOf("::ffff:10.0.0.1"), "10.0.0.1");
  assert.equal(networkOf("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2");
  assert.equal(networkOf("2001:db8::9"), "2001:db8:0:0");
  assert.equal(networkOf("2001:db8:0:0:ffff::"), "2001:db8:0:0");
  assert.equal(networkOf("::1"), "0:0:0:0");
  assert.equal(networkOf(""), "");
});
