import assert from "node:assert/strict";
import { test } from "node:test";
import { paperShape, type S3FifoShape } from "../../../src/store/eviction/s3-fifo.ts";
import { ShapeTuner } from "../../../src/store/eviction/shape-tuner.ts";

/** Keys that are asked for twice, with 50 others in between, as a tier sees them that has none of them the second time. */
function askForPairs(contest: ShapeTuner, count: number, isHit: boolean, prefix = "k"): S3FifoShape[] {
  const changes: S3FifoShape[] = [];
  for (let pair = 50; pair < 50 + count; pair += 1) {
    const before = contest.shape;
    contest.request(`${prefix}${pair}`, 1, false);
    contest.request(`${prefix}${pair - 50}`, 1, isHit);
    if (contest.shape !== before) changes.push(contest.shape);
  }
  return changes;
}

function contestOf(entryCount: number): ShapeTuner {
  const contest = new ShapeTuner();
  contest.resize(entryCount, entryCount);
  return contest;
}

test("ShapeContest: begins with the paper's shape, and keeps it where no other would have done better", () => {
  const contest = contestOf(100);
  for (let request = 0; request < 10_000; request += 1) contest.request(`once${request}`, 1, false);
  assert.equal(contest.shape, paperShape);
});

test("ShapeContest: takes the shape of whoever leads by a quarter of what is held", () => {
  const contest = contestOf(100);
  assert.deepEqual(askForPairs(contest, 20, false), []);
  const [change, ...more] = askForPairs(contest, 300, false, "next");
  assert.ok(change && change.smallShare >= 0.5, "one that keeps a key until its second use");
  assert.deepEqual(
    more.filter((shape) => shape.smallShare < 0.5),
    [],
  );
});

test("ShapeContest: a tier that has what it is asked for changes nothing, whatever its miniature says", () => {
  const contest = contestOf(100);
  assert.deepEqual(askForPairs(contest, 3000, true), []);
});

test("ShapeContest: changes its mind more and more seldom while that does not help", () => {
  const contest = contestOf(100);
  const changes = [1, 2, 3, 4].map((part) => askForPairs(contest, 2000, false, `part${part}-`).length);
  const [first = 0, , , last = 0] = changes;
  assert.ok(first > last && last <= 2000 / (4 * 100) + 1, changes.join(" "));
});
