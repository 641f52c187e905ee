import assert from "node:assert/strict";
import { test } from "node:test";
import { readHeadersLengthMax, readHeadersOf } from "../../../src/edge/headers/wanted-bytes.ts";

test("readHeadersOf: range and conditions alone, and nothing where they are longer than a question may be", () => {
  const headers = { range: "bytes=0-9", "if-match": '"v1"', host: "h" };
  assert.deepEqual(readHeadersOf(headers), { range: "bytes=0-9", "if-match": '"v1"' });
  const longest = { range: "bytes=0-9", "if-none-match": "x".repeat(readHeadersLengthMax - 9) };
  assert.deepEqual(readHeadersOf(longest), longest);
  assert.equal(readHeadersOf({ ...longest, "if-match": "x" }), undefined);
});
