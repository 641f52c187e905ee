import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseQuery } from "../../src/edge/query.ts";
import { anyKey } from "../support/any-text.ts";

const parse = (text: string): object => Object.fromEntries(parseQuery(text) ?? []);

test("parseQuery: names, values, names alone and empty parts", () => {
  assert.deepEqual(parse("a=1&b=&c&&=x&d=1=2"), { a: "1", b: "", c: "", "": "x", d: "1=2" });
  assert.deepEqual(parse(""), {});
});

test("parseQuery: a plus is a space, an escaped plus is a plus", () => {
  assert.deepEqual(parse("prefix=a+b%2Bc%20d"), { prefix: "a b+c d" });
});

test("parseQuery: of a name given twice the first counts", () => {
  assert.deepEqual(parse("a=1&a=2"), { a: "1" });
});

test("parseQuery: names come from the client and stand for nothing else", () => {
  assert.equal(parseQuery("__proto__=x")?.get("__proto__"), "x");
  assert.equal(parseQuery("a=1")?.get("constructor"), undefined);
});

test("parseQuery: what does not decode is undefined", () => {
  for (const text of ["a=%", "%zz=1", "a=1&b=%ff", "a=%00"]) assert.equal(parseQuery(text), undefined, text);
});

test("parseQuery: reads back what URLSearchParams writes", () => {
  const part = anyKey();
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(part, part), { selector: ([name]) => name }), (pairs) => {
      assert.deepEqual([...(parseQuery(new URLSearchParams(pairs).toString()) ?? [])], pairs);
    }),
  );
});

test("parseQuery: never throws", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseQuery(text)));
});
