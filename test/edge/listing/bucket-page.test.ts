import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { ExplainedError } from "../../../src/edge/errors/explained-error.ts";
import {
  type BucketPageRequest,
  bucketPageOf,
  parseBucketPage,
} from "../../../src/edge/listing/bucket-page.ts";
import type { ListedBucket } from "../../../src/origin/origin.ts";

function parsed(query: Record<string, string>): BucketPageRequest {
  const page = parseBucketPage(new Map(Object.entries(query)));
  assert.ok(page !== undefined && !(page instanceof OrcaError));
  return page;
}

function listed(names: readonly string[]): readonly ListedBucket[] {
  return names.map((name) => ({ name, createdMs: undefined }));
}

test("parseBucketPage: without a parameter of its own the list is whole", () => {
  assert.equal(parseBucketPage(new Map()), undefined);
  assert.equal(parseBucketPage(new Map([["x-id", "ListBuckets"]])), undefined);
});

test("parseBucketPage: a page has 10,000 buckets where max-buckets is missing or empty", () => {
  const whole = { prefix: "", bucketsMax: 10_000, after: "" };
  assert.deepEqual(parsed({ prefix: "" }), whole);
  assert.deepEqual(parsed({ "max-buckets": "" }), whole);
  assert.deepEqual(parsed({ "continuation-token": "" }), whole);
  assert.deepEqual(parsed({ "max-buckets": "1", prefix: "p" }), { prefix: "p", bucketsMax: 1, after: "" });
  assert.equal(parsed({ "max-buckets": "10000" }).bucketsMax, 10_000);
});

test("parseBucketPage: an invalid value is InvalidArgument, and names its argument", () => {
  const range = "Argument max-buckets must be an integer between 1 and 10000";
  const noInteger = "Provided max-buckets not an integer or within integer range";
  const token = "The continuation token provided is incorrect";
  for (const [name, value, message] of [
    ["max-buckets", "0", range],
    ["max-buckets", "-3", range],
    ["max-buckets", "10001", range],
    ["max-buckets", "2147483647", range],
    ["max-buckets", "2147483648", noInteger],
    ["max-buckets", "9".repeat(400), noInteger],
    ["max-buckets", "1.5", noInteger],
    ["max-buckets", "ten", noInteger],
    ["continuation-token", "made-up", token],
    ["continuation-token", "!", token],
  ] as const) {
    const error = parseBucketPage(new Map([[name, value]]));
    assert.ok(error instanceof ExplainedError, value);
    assert.deepEqual([error.code, error.message], ["invalid_argument", message]);
    assert.deepEqual(error.elements, [
      ["ArgumentName", name],
      ["ArgumentValue", value],
    ]);
  }
});

test("bucketPageOf: pages of any size hold each bucket of the prefix once, in order", () => {
  const name = fc.stringMatching(/^[a-c.-]{1,6}$/);
  const names = fc.uniqueArray(name, { maxLength: 30 });
  fc.assert(
    fc.property(
      names,
      fc.integer({ min: 1, max: 12 }),
      fc.stringMatching(/^[a-c]{0,2}$/),
      (all, max, prefix) => {
        const sorted = all.toSorted();
        const expected = sorted.filter((each) => each.startsWith(prefix));
        const seen: string[] = [];
        let token = "";
        let pages = 0;
        do {
          const request = parsed({ "max-buckets": String(max), prefix, "continuation-token": token });
          const page = bucketPageOf(listed(sorted), request);
          seen.push(...page.buckets.map((each) => each.name));
          token = page.nextToken;
          pages += 1;
        } while (token !== "");
        assert.deepEqual(seen, expected);
        assert.equal(pages, Math.max(1, Math.ceil(expected.length / max)));
      },
    ),
  );
});

test("bucketPageOf: a token belongs to its prefix, and outlives its bucket", () => {
  const first = bucketPageOf(listed(["aa", "ab", "ac"]), parsed({ "max-buckets": "2", prefix: "a" }));
  const token = { "continuation-token": first.nextToken };
  const rest = bucketPageOf(listed(["aa", "ac"]), parsed({ ...token, prefix: "a" }));
  assert.deepEqual(rest, { buckets: listed(["ac"]), nextToken: "" });
  assert.ok(parseBucketPage(new Map(Object.entries(token))) instanceof OrcaError);
});
