import assert from "node:assert/strict";
import { test } from "node:test";
import { LocalHealth } from "../../src/membership/local-health.ts";

test("LocalHealth: multiplies times by the score plus one, up to the maximum", () => {
  const health = new LocalHealth(8);
  assert.equal(health.scale(1000), 1000);
  health.note(2);
  assert.equal(health.scale(1000), 3000);
  health.note(100);
  assert.equal(health.scale(1000), 8000);
  health.note(-100);
  assert.equal(health.scale(1000), 1000);
});

test("LocalHealth: a maximum of one turns it off", () => {
  const health = new LocalHealth(1);
  health.note(5);
  assert.equal(health.scale(1000), 1000);
});
