import assert from "node:assert/strict";
import { test } from "node:test";
import { type ErrorCode, OrcaError } from "../../src/base/orca-error.ts";
import type { Bucket } from "../../src/object/bucket.ts";
import { ConfiguredBuckets } from "../../src/object/configured-buckets.ts";
import { OpenBuckets } from "../../src/object/open-buckets.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

/** One bucket, of an origin that answers as `state` says when it is asked. */
function fixture() {
  const clock = new FakeClock();
  const state: { code: ErrorCode | undefined; asked: number; held: Promise<void> | undefined } = {
    code: undefined,
    asked: 0,
    held: undefined,
  };
  const open = new OpenBuckets({
    isName: (name) => name === "models",
    bucketOf: (name) => ({ name }) as Bucket,
    ask: async () => {
      state.asked += 1;
      await state.held;
      if (state.code !== undefined) throw new OrcaError(state.code, "origin", "as scripted");
    },
    isConfigured: true,
    clock,
    ttlMs: 60_000,
    negativeTtlMs: 10_000,
    queueTimeoutMs: 5000,
  });
  const buckets = new ConfiguredBuckets(new Map([["models", open]]), clock);
  const codeOf = async (): Promise<string> => (await buckets.faultOf("models"))?.code ?? "there";
  return { clock, state, buckets, codeOf };
}

test("ConfiguredBuckets.faultOf: a bucket is asked for once per TTL, and an absent one once per negative TTL", async () => {
  const { clock, state, codeOf } = fixture();
  for (let round = 0; round < 3; round += 1) assert.equal(await codeOf(), "there");
  assert.equal(state.asked, 1);
  await clock.advance(60_000);
  state.code = "no_such_bucket";
  for (let round = 0; round < 3; round += 1) assert.equal(await codeOf(), "no_such_bucket");
  assert.equal(state.asked, 2);
  await clock.advance(10_000);
  state.code = undefined;
  assert.equal(await codeOf(), "there");
  assert.equal(state.asked, 3);
});

test("ConfiguredBuckets.faultOf: any other trouble leaves the bucket there, and is asked about once in a while", async () => {
  for (const code of [
    "origin_denied",
    "origin_no_credentials",
    "origin_unavailable",
    "origin_throttled",
  ] as const) {
    const { clock, state, codeOf } = fixture();
    state.code = code;
    for (let round = 0; round < 3; round += 1) assert.equal(await codeOf(), "there", code);
    assert.equal(state.asked, 1, code);
    await clock.advance(10_000);
    state.code = "no_such_bucket";
    assert.equal(await codeOf(), "no_such_bucket");
    await clock.advance(10_000);
    // What was absent is there while the origin does not say so again.
    state.code = code;
    for (let round = 0; round < 3; round += 1) assert.equal(await codeOf(), "there", code);
    assert.equal(state.asked, 3, code);
  }
});

test("ConfiguredBuckets.faultOf: a request waits a second, and those after it for the same question", async () => {
  const { clock, state, codeOf } = fixture();
  const held = Promise.withResolvers<void>();
  state.held = held.promise;
  state.code = "no_such_bucket";
  for (let round = 0; round < 2; round += 1) {
    let answer = "";
    void codeOf().then((code) => (answer = code));
    await clock.advance(999);
    assert.equal(answer, "");
    await clock.advance(1);
    assert.equal(answer, "there");
  }
  held.resolve();
  await settle();
  assert.equal(await codeOf(), "no_such_bucket");
  assert.equal(state.asked, 1);
  assert.equal(clock.pendingTimers, 0);
});

test("ConfiguredBuckets.faultOf: a name that is not configured is nobody's fault here", async () => {
  const { state, buckets } = fixture();
  assert.equal(await buckets.faultOf("other"), undefined);
  assert.equal(state.asked, 0);
});
