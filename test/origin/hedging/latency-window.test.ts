import assert from "node:assert/strict";
import { test } from "node:test";
import { LatencyWindow } from "../../../src/origin/hedging/latency-window.ts";

test("LatencyWindow.percentileMs: is the smallest that so many do not exceed", () => {
  const window = new LatencyWindow();
  assert.ok(Number.isNaN(window.percentileMs(0.95)));
  for (let latencyMs = 100; latencyMs >= 1; latencyMs -= 1) window.observe(latencyMs);
  for (let more = 0; more < 12; more += 1) window.observe(1000);
  // 112 observations, of which 107 are 95 %.
  assert.equal(window.percentileMs(0.95), 1000);
  assert.equal(window.percentileMs(0.5), 56);
});

test("LatencyWindow: forgets all but the newest 256", () => {
  const window = new LatencyWindow();
  for (let count = 0; count < 256; count += 1) window.observe(1000);
  assert.deepEqual([window.size, window.percentileMs(0.95)], [256, 1000]);
  for (let count = 0; count < 256; count += 1) window.observe(10);
  assert.deepEqual([window.size, window.percentileMs(0.95), window.percentileMs(1)], [256, 10, 10]);
});
