import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../src/base/random.ts";
import { HotObjects, listedMax } from "../../src/figures/hot-objects.ts";

const tags = new Map<string, number>();

/** Each key has a tag of its own. */
function read(hot: HotObjects, key: string, times: number): void {
  const tag = tags.get(key) ?? tags.size;
  tags.set(key, tag);
  for (let time = 0; time < times; time += 1) hot.count(tag, "b", key, 10);
}

test("HotObjects: counts exactly while there are few objects, the most read first", () => {
  const hot = new HotObjects();
  read(hot, "a", 3);
  read(hot, "c", 1);
  read(hot, "b", 5);
  assert.deepEqual(
    hot.list().map(({ key, requests, overcount, bytes }) => [key, requests, overcount, bytes]),
    [
      ["b", 5, 0, 50],
      ["a", 3, 0, 30],
      ["c", 1, 0, 10],
    ],
  );
});

test("HotObjects: versions of one object are one, and a window ends after the next", () => {
  const hot = new HotObjects();
  hot.count(1, "b", "k", 1);
  hot.count(2, "b", "k", 2);
  hot.rotate();
  hot.count(2, "b", "k", 4);
  assert.deepEqual(hot.list(), [{ bucket: "b", key: "k", requests: 3, overcount: 0, bytes: 7 }]);
  hot.rotate();
  assert.equal(hot.list()[0]?.requests, 1);
  hot.rotate();
  assert.deepEqual(hot.list(), []);
});

test("HotObjects: what is read often is found among ten thousand others, and its true count is within the bounds", () => {
  const hot = new HotObjects();
  const random = new SeededRandom(7);
  const truth = new Map<string, number>();
  for (let turn = 0; turn < 60_000; turn += 1) {
    const often = turn % 3 === 0;
    const key = often ? `hot ${turn % 15}` : `cold ${Math.floor(random.next() * 10_000)}`;
    truth.set(key, (truth.get(key) ?? 0) + 1);
    read(hot, key, 1);
  }
  const listed = hot.list();
  assert.equal(listed.length, listedMax);
  const first = listed.slice(0, 5).map(({ key }) => key);
  assert.deepEqual(first.toSorted(), ["hot 0", "hot 12", "hot 3", "hot 6", "hot 9"]);
  for (const { key, requests, overcount } of listed) {
    const exact = truth.get(key) ?? 0;
    assert.ok(requests >= exact && requests - overcount <= exact, key);
  }
});
