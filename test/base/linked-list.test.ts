import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Linked, LinkedList } from "../../src/base/linked-list.ts";

class Numbered extends Linked {
  readonly number: number;

  constructor(number: number) {
    super();
    this.number = number;
  }
}

test("LinkedList: it holds the items of an array to which the same was done", () => {
  const step = fc.record({
    kind: fc.constantFrom("push", "unshift", "shift", "pop", "remove"),
    number: fc.nat(9),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const list = new LinkedList<Numbered>();
      let expected: Numbered[] = [];
      for (const { kind, number } of steps) {
        const item = expected[number];
        if (kind === "push" || kind === "unshift") {
          const added = new Numbered(number);
          list[kind](added);
          expected[kind](added);
        } else if (kind === "shift" || kind === "pop") {
          assert.equal(list[kind](), expected[kind]());
        } else if (item !== undefined) {
          list.remove(item);
          expected = expected.filter((other) => other !== item);
        }
        assert.deepEqual([...list], expected);
        assert.deepEqual(
          [list.size, list.oldest, list.newest],
          [expected.length, expected[0], expected.at(-1)],
        );
      }
    }),
  );
});

test("LinkedList: during an iteration the item that was yielded last may leave", () => {
  const list = new LinkedList<Numbered>();
  for (let number = 0; number < 4; number += 1) list.push(new Numbered(number));
  const seen: number[] = [];
  for (const item of list) {
    seen.push(item.number);
    if (item.number % 2 === 0) list.remove(item);
  }
  assert.deepEqual(seen, [0, 1, 2, 3]);
  assert.deepEqual(
    [...list].map(({ number }) => number),
    [1, 3],
  );
});

test("LinkedList: an item is in one list at a time", () => {
  const [one, two, item] = [new LinkedList<Numbered>(), new LinkedList<Numbered>(), new Numbered(0)];
  one.push(item);
  assert.throws(() => two.push(item));
  assert.throws(() => two.remove(item));
  one.remove(item);
  two.push(item);
  assert.deepEqual([one.size, two.size], [0, 1]);
});
