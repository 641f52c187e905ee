import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeContinuationToken, encodeContinuationToken } from "../../src/edge/continuation-token.ts";
import { anyText } from "../support/any-text.ts";

const scope = { bucket: "b", prefix: "p/", delimiter: "/" };

test("encodeContinuationToken: decodes to the origin's token for the same list", () => {
  fc.assert(
    fc.property(anyText({ minLength: 1 }), fc.string(), fc.string(), (token, prefix, delimiter) => {
      const list = { bucket: "b", prefix, delimiter };
      const encoded = encodeContinuationToken(token, list);
      assert.match(encoded, /^[\w-]+$/);
      assert.equal(decodeContinuationToken(encoded, list), token);
    }),
  );
});

test("decodeContinuationToken: a token of another list is undefined", () => {
  const token = encodeContinuationToken("marker", scope);
  assert.equal(decodeContinuationToken(token, { ...scope, bucket: "c" }), undefined);
  assert.equal(decodeContinuationToken(token, { ...scope, prefix: "p" }), undefined);
  assert.equal(decodeContinuationToken(token, { ...scope, delimiter: "" }), undefined);
});

test("decodeContinuationToken: garbage is undefined", () => {
  const token = encodeContinuationToken("marker", scope);
  for (const text of [
    "",
    "a",
    "AAAAAA",
    "AAAAAAAA",
    token.slice(0, -1),
    `${token}A`,
    `${token}=`,
    ` ${token}`,
    "%%%",
    "é",
  ]) {
    assert.equal(decodeContinuationToken(text, scope), undefined, text);
  }
  fc.assert(
    fc.property(fc.string(), (text) => assert.equal(decodeContinuationToken(text, scope), undefined)),
  );
});
