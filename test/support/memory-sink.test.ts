import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { MemorySink } from "./memory-sink.ts";

test("MemorySink: hands out what is owed, in spaces that end at every MiB", () => {
  const sink = new MemorySink(MiB + 10);
  assert.equal(sink.space().length, MiB);
  sink.advance(MiB - 1);
  assert.equal(sink.space().length, 1);
  sink.advance(1);
  sink.space().fill(7);
  sink.advance(10);
  assert.equal(sink.received.length, MiB + 10);
  assert.deepEqual(sink.received.subarray(MiB), Buffer.alloc(10, 7));
  sink.assertUntouched();
});

test("MemorySink: misuse is written down", () => {
  const misuses: ((sink: MemorySink) => void)[] = [
    (sink) => sink.advance(1),
    (sink) => {
      sink.space();
      sink.advance(11);
    },
    (sink) => {
      sink.space();
      sink.advance(10);
      sink.space();
    },
    (sink) => {
      sink.settle();
      sink.space();
    },
    (sink) => {
      const space = sink.space();
      sink.settle();
      space[3] = 0;
    },
  ];
  for (const misuse of misuses) {
    const sink = new MemorySink(10);
    misuse(sink);
    assert.throws(() => sink.assertUntouched(), assert.AssertionError);
  }
});
