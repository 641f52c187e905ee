import assert from "node:assert/strict";
import { test } from "node:test";
import { MiniatureCache } from "../../../src/store/eviction/miniature-cache.ts";
import { paperShape } from "../../../src/store/eviction/s3-fifo.ts";
import { hashOfText } from "../../../src/store/eviction/shared-columns.ts";

function hitsOf(cache: MiniatureCache, keys: Iterable<string>, capacityBytes: number): number {
  let hits = 0;
  for (const key of keys) if (cache.request(hashOfText(key), 1, capacityBytes)) hits += 1;
  return hits;
}

function* loop(length: number, requests: number): Generator<string> {
  for (let request = 0; request < requests; request += 1) yield `k${request % length}`;
}

test("MiniatureCache.request: the first request for a key is a miss, the next a hit", () => {
  const cache = new MiniatureCache(paperShape);
  assert.equal(cache.request(hashOfText("a"), 1, 10), false);
  assert.equal(cache.request(hashOfText("a"), 1, 10), true);
});

test("MiniatureCache.request: an entry larger than the cache is not held, and evicts nothing", () => {
  const cache = new MiniatureCache(paperShape);
  cache.request(hashOfText("small"), 1, 10);
  assert.equal(cache.request(hashOfText("large"), 11, 10), false);
  assert.equal(cache.request(hashOfText("large"), 11, 10), false);
  assert.equal(cache.request(hashOfText("small"), 1, 10), true);
});

test("MiniatureCache.request: a loop that fits is all hits in the end, although the cache starts full of placeholders", () => {
  const cache = new MiniatureCache(paperShape);
  hitsOf(cache, loop(90, 90 * 20), 100);
  assert.equal(hitsOf(cache, loop(90, 900), 100), 900);
});

test("MiniatureCache.request: evicts when the capacity shrinks", () => {
  const cache = new MiniatureCache(paperShape);
  hitsOf(cache, loop(50, 500), 100);
  cache.request(hashOfText("new"), 1, 10);
  assert.ok(hitsOf(cache, loop(50, 50), 10) <= 10);
});

/** Each key twice, with 50 others in between: a small queue of a tenth has evicted it by then, a large one has not. */
function* pairs(): Generator<string> {
  for (let pair = 50; pair < 2000; pair += 1) yield* [`k${pair}`, `k${pair - 50}`];
}

test("MiniatureCache: predicts no hits that only a cache that started empty has", () => {
  const inMostlySmall = hitsOf(new MiniatureCache({ ...paperShape, smallShare: 0.8 }), pairs(), 100);
  const inPaperShape = hitsOf(new MiniatureCache(paperShape), pairs(), 100);
  assert.ok(inMostlySmall > 1800 && inPaperShape < 50, `${inMostlySmall} and ${inPaperShape} of 1900`);
});
