import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageGate } from "../../src/membership/message-gate.ts";
import { SimulatedClock } from "../support/simulated-clock.ts";
import { throwsWith } from "../support/throws-with.ts";

function admitted(gate: MessageGate, source: { sentBytes: number }, isKnown = true, bytes = 0): number {
  for (let count = 0; ; count += 1) {
    try {
      gate.admit(source, isKnown);
      source.sentBytes += bytes;
    } catch {
      return count;
    }
  }
}

test("MessageGate: a session may send the messages of two seconds at once, and then the rate", async () => {
  const clock = new SimulatedClock();
  const gate = new MessageGate(clock, 10);
  const source = { sentBytes: 0 };
  assert.equal(admitted(gate, source), 20);
  throwsWith("overloaded", () => gate.admit(source, true));
  await clock.advance(500);
  assert.equal(admitted(gate, source), 5);
  assert.equal(gate.stats.overRate, 3);
});

test("MessageGate: floods leave the other sessions what members need", async () => {
  const clock = new SimulatedClock();
  const gate = new MessageGate(clock, 10);
  const sessions = Array.from({ length: 10 }, () => ({ sentBytes: 0 }));
  assert.deepEqual(
    sessions.map((source) => admitted(gate, source)),
    [20, 20, 20, 20, 20, 20, 20, 20, 16, 16],
  );
  await clock.advance(1000);
  for (const source of sessions.slice(0, 8)) admitted(gate, source);
  assert.equal(admitted(gate, sessions[8] as { sentBytes: number }), 4);
});

test("MessageGate: large messages cost more, and the next one pays", async () => {
  const clock = new SimulatedClock();
  const gate = new MessageGate(clock, 64);
  const source = { sentBytes: 0 };
  assert.equal(admitted(gate, source, true, 64 * 1024), 8);
  await clock.advance(1000);
  assert.ok(admitted(gate, source, true, 64 * 1024) <= 4);
});

test("MessageGate: few messages without the right fingerprint are read, whatever the session", async () => {
  const clock = new SimulatedClock();
  const gate = new MessageGate(clock, 64);
  const read = Array.from({ length: 100 }, () => admitted(gate, { sentBytes: 0 }, false));
  assert.equal(
    read.reduce((total, count) => total + count, 0),
    16,
  );
  assert.equal(admitted(gate, { sentBytes: 0 }), 128);
  await clock.advance(1000);
  assert.equal(admitted(gate, { sentBytes: 0 }, false), 2);
});
