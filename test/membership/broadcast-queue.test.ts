import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BroadcastQueue, sendsMax } from "../../src/membership/broadcast-queue.ts";

test("BroadcastQueue.take: the item sent least often goes first, then the oldest", () => {
  const queue = new BroadcastQueue<string>(10);
  queue.add("a", "a", 1);
  queue.add("b", "b", 1);
  assert.deepEqual(queue.take(1, 3), ["a"]);
  queue.add("c", "c", 1);
  assert.deepEqual(queue.take(10, 3), ["b", "c", "a"]);
});

test("BroadcastQueue.take: an item is removed after its sends", () => {
  const queue = new BroadcastQueue<string>(10);
  queue.add("a", "a", 1);
  assert.deepEqual([queue.take(9, 2), queue.take(9, 2), queue.take(9, 2)], [["a"], ["a"], []]);
  assert.equal(queue.size, 0);
});

test("BroadcastQueue.add: a newer item about a subject replaces the older one, and its sends count from 0", () => {
  const queue = new BroadcastQueue<string>(10);
  queue.add("a", "old", 1);
  queue.take(9, 2);
  queue.add("a", "new", 1);
  assert.equal(queue.size, 1);
  assert.deepEqual([queue.take(9, 2), queue.take(9, 2), queue.take(9, 2)], [["new"], ["new"], []]);
});

test("BroadcastQueue.take: stays within the size of a message", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 40 }), (sizes) => {
      const queue = new BroadcastQueue<number>(100);
      for (const [index, size] of sizes.entries()) queue.add(String(index), size, size);
      let takes = 0;
      while (queue.size > 0) {
        const bytes = queue.take(50, 1).reduce((total, size) => total + size, 0);
        assert.ok(bytes > 0 && bytes <= 50);
        takes += 1;
      }
      assert.ok(takes <= sizes.length);
    }),
  );
});

test("BroadcastQueue.add: beyond itemsMax, the item sent most often is dropped and counted", () => {
  const queue = new BroadcastQueue<string>(2);
  queue.add("a", "a", 1);
  queue.add("b", "b", 1);
  queue.take(1, 9);
  queue.add("c", "c", 1);
  assert.deepEqual(queue.take(9, 9), ["b", "c"]);
  assert.equal(queue.stats.dropped, 1);
});

test("sendsMax: grows with the logarithm of the cluster", () => {
  assert.deepEqual(
    [1, 5, 9, 10, 99, 100].map((live) => sendsMax(4, live)),
    [4, 4, 4, 8, 8, 12],
  );
});
