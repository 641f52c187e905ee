import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Member, memberStates } from "../../src/membership/member.ts";
import { merge, precedence } from "../../src/membership/merge.ts";
import { memberOf } from "../support/member-of.ts";

const statement: fc.Arbitrary<Member> = fc
  .record({
    incarnation: fc.integer({ min: 0, max: 3 }),
    state: fc.constantFrom(...memberStates),
    address: fc.constantFrom("a:1", "b:1"),
    zone: fc.constantFrom("", "z"),
  })
  .map((fields) => memberOf("r1", fields));

test("precedence: the higher incarnation wins, and within one incarnation the worse state", () => {
  const ascending = [0, 1].flatMap((incarnation) =>
    memberStates.map((state) => memberOf("r1", { incarnation, state })),
  );
  for (const [leftAt, left] of ascending.entries()) {
    for (const [rightAt, right] of ascending.entries()) {
      assert.equal(Math.sign(precedence(left, right)), Math.sign(leftAt - rightAt));
    }
  }
});

test("merge: is commutative, associative and idempotent", () => {
  fc.assert(
    fc.property(statement, statement, statement, (first, second, third) => {
      assert.deepEqual(merge(first, second), merge(second, first));
      assert.deepEqual(merge(merge(first, second), third), merge(first, merge(second, third)));
      assert.equal(merge(first, first), first);
    }),
  );
});

test("merge: the same statements give the same result, in any order and however often", () => {
  fc.assert(
    fc.property(
      fc.array(statement, { minLength: 1, maxLength: 8 }).chain((statements) => {
        const shuffled = fc.shuffledSubarray([...statements, ...statements], {
          minLength: statements.length * 2,
        });
        return fc.tuple(fc.constant(statements), shuffled);
      }),
      ([statements, again]) => {
        assert.deepEqual(again.reduce(merge), statements.reduce(merge));
      },
    ),
  );
});

test("merge: returns the known statement itself if the claimed one is not newer", () => {
  const known = memberOf("r1", { incarnation: 2 });
  assert.equal(merge(known, memberOf("r1", { incarnation: 2 })), known);
  assert.equal(merge(known, memberOf("r1", { incarnation: 1, state: "dead" })), known);
});
