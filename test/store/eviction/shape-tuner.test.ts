import assert from "node:assert/strict";
import { test } from "node:test";
import { paperShape, type S3FifoShape } from "../../../src/store/eviction/s3-fifo.ts";
import { ShapeTuner } from "../../../src/store/eviction/shape-tuner.ts";
import { hashOfText } from "../../../src/store/eviction/shared-columns.ts";

/** Requests each key twice, with 50 others in between. `isHit`: the tier holds the key at the second request. */
function askForPairs(tuner: ShapeTuner, count: number, isHit: boolean, prefix = "k"): S3FifoShape[] {
  const changes: S3FifoShape[] = [];
  for (let pair = 50; pair < 50 + count; pair += 1) {
    const before = tuner.shape;
    tuner.request(hashOfText(`${prefix}${pair}`), 1, false);
    tuner.request(hashOfText(`${prefix}${pair - 50}`), 1, isHit);
    if (tuner.shape !== before) changes.push(tuner.shape);
  }
  return changes;
}

function tunerOf(entryCount: number): ShapeTuner {
  const tuner = new ShapeTuner();
  tuner.resize(entryCount, entryCount);
  return tuner;
}

test("ShapeTuner: starts with the paper's shape, and keeps it if no other would have been better", () => {
  const tuner = tunerOf(100);
  for (let request = 0; request < 10_000; request += 1) tuner.request(hashOfText(`once${request}`), 1, false);
  assert.equal(tuner.shape, paperShape);
});

test("ShapeTuner: takes the shape that leads by a quarter of the entries held", () => {
  const tuner = tunerOf(100);
  assert.deepEqual(askForPairs(tuner, 20, false), []);
  const [change, ...more] = askForPairs(tuner, 300, false, "next");
  assert.ok(change && change.smallShare >= 0.5, "one that keeps a key until its second use");
  assert.deepEqual(
    more.filter((shape) => shape.smallShare < 0.5),
    [],
  );
});

test("ShapeTuner: changes nothing while the tier hits, whatever its miniature caches do", () => {
  const tuner = tunerOf(100);
  assert.deepEqual(askForPairs(tuner, 3000, true), []);
});

test("ShapeTuner: changes the shape more and more seldom while that does not help", () => {
  const tuner = tunerOf(100);
  const changes = [1, 2, 3, 4].map((part) => askForPairs(tuner, 2000, false, `part${part}-`).length);
  const [first = 0, , , last = 0] = changes;
  assert.ok(first > last && last <= 2000 / (4 * 100) + 1, changes.join(" "));
});
