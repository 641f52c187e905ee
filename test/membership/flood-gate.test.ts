import assert from "node:assert/strict";
import { test } from "node:test";
import { FloodGate } from "../../src/membership/flood-gate.ts";
import { SimulatedClock } from "../support/simulated-clock.ts";
import { throwsWith } from "../support/throws-with.ts";

function admitted(gate: FloodGate, replicaId: string, isMember: boolean): number {
  for (let count = 0; ; count += 1) {
    try {
      gate.admit(replicaId, isMember);
    } catch {
      return count;
    }
  }
}

test("FloodGate: admits two seconds' worth at once, and then the rate", async () => {
  const clock = new SimulatedClock();
  const gate = new FloodGate(clock, 10);
  assert.equal(admitted(gate, "r1", true), 20);
  throwsWith("overloaded", () => gate.admit("r1", true));
  await clock.advance(500);
  assert.equal(admitted(gate, "r1", true), 5);
});

test("FloodGate: one member's flood is nothing to another, and strangers share one allowance", () => {
  const gate = new FloodGate(new SimulatedClock(), 10);
  assert.equal(admitted(gate, "r1", true), 20);
  assert.equal(admitted(gate, "r2", true), 20);
  assert.equal(admitted(gate, "made-up-1", false), 20);
  assert.equal(admitted(gate, "made-up-2", false), 0);
});
