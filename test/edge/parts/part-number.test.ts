import assert from "node:assert/strict";
import { test } from "node:test";
import { ExplainedError } from "../../../src/edge/errors/explained-error.ts";
import {
  noPart,
  parsePartNumber,
  rangeBesidePart,
  rangeOfPart,
} from "../../../src/edge/parts/part-number.ts";
import { wholeObject } from "../../../src/edge/range.ts";

test("parsePartNumber: 1 to 10000, and no number for a request without one", () => {
  assert.equal(parsePartNumber(undefined), noPart);
  for (const partNumber of [1, 9, 10, 9999, 10_000])
    assert.equal(parsePartNumber(String(partNumber)), partNumber);
});

test("parsePartNumber: anything else is an InvalidArgument in AWS's words, which repeats at most 256 characters", () => {
  for (const text of ["", "0", "-1", "+1", "01", "1.0", "1e1", "0x1", " 1", "10001", "x", "9".repeat(400)]) {
    const error = parsePartNumber(text);
    assert.ok(error instanceof ExplainedError, text);
    assert.deepEqual([error.code, error.source], ["invalid_argument", "client"]);
    assert.equal(error.message, "Part number must be an integer between 1 and 10000, inclusive");
    assert.deepEqual(error.elements, [
      ["ArgumentName", "partNumber"],
      ["ArgumentValue", text.slice(0, 256)],
    ]);
  }
});

test("rangeBesidePart: AWS's words", () => {
  const { code, message } = rangeBesidePart();
  assert.equal(code, "invalid_request");
  assert.equal(message, "Cannot specify both Range header and partNumber query parameter");
});

test("rangeOfPart: a part, an only part, and an empty object", () => {
  const part = rangeOfPart({ kind: "range", start: 10, end: 30, count: 4 }, 2, 100);
  assert.deepEqual(part, { kind: "range", start: 10, end: 30, partsCount: 4 });
  assert.deepEqual(rangeOfPart({ kind: "whole" }, 1, 100), { kind: "range", start: 0, end: 100 });
  assert.equal(rangeOfPart({ kind: "whole" }, 1, 0), wholeObject);
});

test("rangeOfPart: of parts that the origin does not tell, the first is the whole object, and no other is guessed", () => {
  assert.equal(rangeOfPart({ kind: "untold", count: 0 }, 1, 100), wholeObject);
  const error = rangeOfPart({ kind: "untold", count: 3 }, 2, 100);
  assert.ok(error instanceof Error && error.code === "not_implemented");
});

test("rangeOfPart: beyond the last part both numbers are told", () => {
  const error = rangeOfPart({ kind: "absent", count: 3 }, 7, 100);
  assert.ok(error instanceof ExplainedError && error.code === "invalid_part_number");
  assert.deepEqual(error.elements, [
    ["ActualPartCount", "3"],
    ["PartNumberRequested", "7"],
  ]);
});
