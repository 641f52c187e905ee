import assert from "node:assert/strict";
import { test } from "node:test";
import { type ErrorCode, OrcaError } from "../../src/base/orca-error.ts";
import { KnownBuckets } from "../../src/origin/known-buckets.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { rejectsWith } from "../support/rejects-with.ts";

/** Buckets whose look ends with `script`, one code after the other; undefined is a bucket that is there. */
function knownBuckets(...script: (ErrorCode | undefined)[]) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const buckets = new KnownBuckets(clock, async (bucket) => {
    asked.push(bucket);
    const code = script.shift();
    if (code !== undefined) throw new OrcaError(code, "origin", "as scripted");
  });
  return { clock, asked, buckets };
}

test("KnownBuckets: a bucket that is there is asked for once a minute", async () => {
  const { clock, asked, buckets } = knownBuckets();
  await buckets.check("b");
  await clock.advance(59_999);
  await buckets.check("b");
  assert.deepEqual(asked, ["b"]);
  await clock.advance(1);
  await buckets.check("b");
  await buckets.check("other");
  assert.deepEqual(asked, ["b", "b", "other"]);
});

test("KnownBuckets: a bucket that has answered is not asked for", async () => {
  const { asked, buckets } = knownBuckets();
  buckets.seen("b");
  await buckets.check("b");
  assert.deepEqual(asked, []);
});

test("KnownBuckets: a missing bucket is asked for every time, and by all callers of a moment once", async () => {
  const { asked, buckets } = knownBuckets("no_such_bucket", "no_such_bucket", undefined);
  await Promise.all([
    rejectsWith("no_such_bucket", buckets.check("b")),
    rejectsWith("no_such_bucket", buckets.check("b")),
  ]);
  await rejectsWith("no_such_bucket", buckets.check("b"));
  await buckets.check("b");
  assert.equal(asked.length, 3);
});

test("KnownBuckets: without the right to list, or with an origin in trouble, the miss stands", async () => {
  for (const [code, pauseMs] of [
    ["origin_denied", 60_000],
    ["origin_unavailable", 5000],
  ] as const) {
    const { clock, asked, buckets } = knownBuckets(code, code);
    await buckets.check("b");
    await clock.advance(pauseMs - 1);
    await buckets.check("b");
    assert.equal(asked.length, 1, code);
    await clock.advance(1);
    await buckets.check("b");
    assert.equal(asked.length, 2, code);
  }
});
