import assert from "node:assert/strict";
import { validateHeaderName, validateHeaderValue } from "node:http";
import { test } from "node:test";
import fc from "fast-check";
import { encodeHeaderWord, isHeaderName, isHeaderValue } from "../../src/edge/header-value.ts";
import { anyString, anyText } from "../support/any-text.ts";

const isTaken = (validate: () => void): boolean => {
  try {
    validate();
    return true;
  } catch {
    return false;
  }
};

test("isHeaderValue: says exactly what node:http takes", () => {
  fc.assert(
    fc.property(anyString, (value) => {
      assert.equal(
        isHeaderValue(value),
        isTaken(() => validateHeaderValue("x-test", value)),
      );
    }),
  );
});

test("isHeaderName: says exactly what node:http takes", () => {
  fc.assert(
    fc.property(fc.oneof(anyString, fc.string()), (name) => {
      assert.equal(
        isHeaderName(name),
        isTaken(() => validateHeaderName(name)),
      );
    }),
  );
});

test("encodeHeaderWord: one RFC 2047 word that holds the text", () => {
  fc.assert(
    fc.property(anyText(), (value) => {
      const word = encodeHeaderWord(value);
      const [, encoded] = /^=\?UTF-8\?B\?([\w+/]*={0,2})\?=$/.exec(word) ?? [];
      assert.equal(Buffer.from(encoded ?? "", "base64").toString("utf8"), value);
      assert.ok(isHeaderValue(word));
    }),
  );
});
