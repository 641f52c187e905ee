import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type ConditionHeaders,
  evaluateConditions,
  pinsVersion,
  rangeApplies,
} from "../../src/edge/conditions.ts";
import { FakeClock } from "../support/fake-clock.ts";

const clock = new FakeClock();
const object = { etag: "9a0364b9", lastModifiedMs: Date.UTC(2025, 5, 1, 12, 0, 0) };
const before = "Sun, 01 Jun 2025 11:59:59 GMT";
const same = "Sun, 01 Jun 2025 12:00:00 GMT";
const after = "Sun, 01 Jun 2025 12:00:01 GMT";
const evaluate = (headers: ConditionHeaders): string => evaluateConditions(headers, object, clock);

test("evaluateConditions: no condition proceeds", () => {
  assert.equal(evaluate({}), "proceed");
});

test("evaluateConditions: the date conditions are ignored for an object without a date", () => {
  const undated = { ...object, lastModifiedMs: undefined };
  for (const date of [before, same, after]) {
    for (const name of ["if-modified-since", "if-unmodified-since"])
      assert.equal(evaluateConditions({ [name]: date }, undated, clock), "proceed", `${name}: ${date}`);
  }
});

test("evaluateConditions: If-Match passes for the same ETag, one in a list, unquoted, and *", () => {
  for (const value of [
    '"9a0364b9"',
    '"x", "9a0364b9"',
    '"a,b","9a0364b9"',
    "9a0364b9",
    "x,9a0364b9",
    "*",
    " * ",
  ]) {
    assert.equal(evaluate({ "if-match": value }), "proceed", value);
  }
});

test("evaluateConditions: If-Match fails for another ETag, a weak one, and what is no ETag", () => {
  for (const value of [
    '"other"',
    'W/"9a0364b9"',
    "",
    '"',
    '"9a0364b9',
    '9a0364b9"',
    '""9a0364b9""',
    '"x", *',
  ]) {
    assert.equal(evaluate({ "if-match": value }), "precondition_failed", value);
  }
});

test("pinsVersion: any If-Match but *", () => {
  for (const value of ['"9a0364b9"', 'W/"x"', '"x", *', ""])
    assert.ok(pinsVersion({ "if-match": value }), value);
  for (const value of ["*", " * "]) assert.ok(!pinsVersion({ "if-match": value }), value);
  assert.ok(!pinsVersion({}));
});

test("evaluateConditions: If-None-Match answers not_modified for the same ETag, weak or not, and *", () => {
  for (const value of ['"9a0364b9"', 'W/"9a0364b9"', '"x", W/"9a0364b9"', "9a0364b9", "*"]) {
    assert.equal(evaluate({ "if-none-match": value }), "not_modified", value);
  }
  for (const value of ['"other"', 'W/"other", "another"', ""]) {
    assert.equal(evaluate({ "if-none-match": value }), "proceed", value);
  }
});

test("evaluateConditions: dates compare to the second", () => {
  assert.equal(evaluate({ "if-modified-since": before }), "proceed");
  assert.equal(evaluate({ "if-modified-since": same }), "not_modified");
  assert.equal(evaluate({ "if-modified-since": after }), "not_modified");
  assert.equal(evaluate({ "if-unmodified-since": before }), "precondition_failed");
  assert.equal(evaluate({ "if-unmodified-since": same }), "proceed");
  assert.equal(evaluate({ "if-unmodified-since": after }), "proceed");
});

test("evaluateConditions: a date that cannot be read is ignored", () => {
  assert.equal(evaluate({ "if-modified-since": "tomorrow" }), "proceed");
  assert.equal(evaluate({ "if-unmodified-since": "0" }), "proceed");
});

test("evaluateConditions: an ETag condition silences the date condition beside it", () => {
  assert.equal(evaluate({ "if-match": '"9a0364b9"', "if-unmodified-since": before }), "proceed");
  assert.equal(evaluate({ "if-match": '"other"', "if-unmodified-since": after }), "precondition_failed");
  assert.equal(evaluate({ "if-none-match": '"other"', "if-modified-since": after }), "proceed");
  assert.equal(evaluate({ "if-none-match": '"9a0364b9"', "if-modified-since": before }), "not_modified");
});

test("evaluateConditions: an If-Modified-Since in the future is ignored, as AWS does", () => {
  const [past, future] = [-1000, 2000].map((ms) => new Date(clock.now() + ms).toUTCString());
  assert.equal(evaluate({ "if-modified-since": future }), "proceed");
  assert.equal(evaluate({ "if-modified-since": past }), "not_modified");
  assert.equal(evaluate({ "if-unmodified-since": future }), "proceed");
});

test("evaluateConditions: a failed precondition comes before not_modified", () => {
  assert.equal(evaluate({ "if-match": '"other"', "if-none-match": '"9a0364b9"' }), "precondition_failed");
  assert.equal(evaluate({ "if-match": '"9a0364b9"', "if-none-match": '"9a0364b9"' }), "not_modified");
  assert.equal(
    evaluate({ "if-unmodified-since": before, "if-modified-since": after }),
    "precondition_failed",
  );
});

test("evaluateConditions: a list that holds the ETag anywhere matches, whatever else is in it", () => {
  const tag = fc.stringMatching(/^(W\/)?"[!#-~]{0,12}"$/);
  fc.assert(
    fc.property(fc.array(tag), fc.array(tag), (left, right) => {
      const list = [...left, '"9a0364b9"', ...right].join(", ");
      assert.equal(evaluate({ "if-match": list }), "proceed");
      assert.equal(evaluate({ "if-none-match": list }), "not_modified");
    }),
  );
});

test("evaluateConditions, rangeApplies: never throw", () => {
  const value = fc.option(fc.string(), { nil: undefined });
  fc.assert(
    fc.property(value, value, value, value, value, (match, noneMatch, modified, unmodified, ifRange) => {
      evaluate({
        "if-match": match,
        "if-none-match": noneMatch,
        "if-modified-since": modified,
        "if-unmodified-since": unmodified,
      });
      rangeApplies(ifRange, object);
    }),
  );
});

test("rangeApplies: without If-Range, and for the same strong ETag", () => {
  for (const ifRange of [undefined, '"9a0364b9"', "9a0364b9", ' "9a0364b9" ']) {
    assert.equal(rangeApplies(ifRange, object), true, ifRange ?? "none");
  }
});

test("rangeApplies: not for another or a weak ETag, any date, or what is neither", () => {
  const dates = [same, "Sunday, 01-Jun-25 12:00:00 GMT", before, after];
  for (const ifRange of [...dates, '"other"', 'W/"9a0364b9"', "", "*", '"9a0364b9", "x"', "tomorrow"]) {
    assert.equal(rangeApplies(ifRange, object), false, ifRange);
  }
});
