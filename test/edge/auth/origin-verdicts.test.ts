import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { Grant } from "../../../src/edge/auth/grant.ts";
import type { Identity } from "../../../src/edge/auth/identity.ts";
import { OriginVerdicts } from "../../../src/edge/auth/origin-verdicts.ts";
import type { BucketedRequest } from "../../../src/edge/s3-request.ts";
import { Bucket } from "../../../src/object/bucket.ts";
import type { Right, RightQuestion } from "../../../src/origin/origin.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const ttlMs = 60_000;
const grant = new Grant({ buckets: ["*"], prefixes: [], actions: ["get", "list"] });
const identityOf = (accessKeyId: string): Identity => ({
  name: accessKeyId,
  grant,
  originKey: { accessKeyId, secretAccessKey: "hush" },
});
const [alice, bob] = [identityOf("alice"), identityOf("bob")];
const bucket = new Bucket({
  name: "b",
  originBucket: "origin-b",
  prefix: "p/",
  rejectsDotSegments: true,
  directory: {} as never,
  listings: {} as never,
  parts: {} as never,
});
const get = (key: string): BucketedRequest =>
  ({ kind: "get-object", bucket: "b", key, versionId: undefined, overrides: [], partNumber: 0 }) as const;

const list = (prefix: string, delimiter = ""): BucketedRequest =>
  ({ kind: "list-objects-v2", bucket: "b", prefix, delimiter }) as BucketedRequest;

/** Verdicts over an origin that a test answers for. */
function fixture() {
  const clock = new FakeClock();
  const questions: RightQuestion[] = [];
  const answers: PromiseWithResolvers<Right>[] = [];
  const origin = {
    rightOf: (question: RightQuestion): Promise<Right> => {
      questions.push(question);
      const answer = Promise.withResolvers<Right>();
      answers.push(answer);
      return answer.promise;
    },
  };
  const verdicts = new OriginVerdicts({ originOf: () => origin, ttlMs, clock });
  const ask = async (identity: Identity, request: BucketedRequest, right: Right): Promise<string> => {
    const denial = verdicts.denialOf(identity, request, bucket);
    answers.at(-1)?.resolve(right);
    return (await denial)?.code ?? "allowed";
  };
  return { clock, questions, answers, verdicts, ask };
}

test("OriginVerdicts: a verdict is asked for once and answers at once until it ends", async () => {
  const { clock, questions, verdicts, ask } = fixture();
  assert.equal(await ask(alice, get("k"), "allowed"), "allowed");
  assert.deepEqual(questions, [
    { bucket: "origin-b", key: "p/k", as: alice.originKey, action: "get", delimiter: "" },
  ]);
  await clock.advance(ttlMs - 1);
  assert.equal(verdicts.denialOf(alice, get("k"), bucket), undefined);
  assert.equal(questions.length, 1);
  await clock.advance(1);
  assert.equal(await ask(alice, get("k"), "denied"), "access_denied");
  assert.equal(questions.length, 2);
});

test("OriginVerdicts: a verdict counts from when its question was sent", async () => {
  const { clock, questions, answers, verdicts } = fixture();
  const denial = verdicts.denialOf(alice, get("k"), bucket);
  await clock.advance(ttlMs - 1);
  answers[0]?.resolve("allowed");
  assert.equal(await denial, undefined);
  assert.equal(verdicts.denialOf(alice, get("k"), bucket), undefined);
  await clock.advance(1);
  void verdicts.denialOf(alice, get("k"), bucket);
  assert.equal(questions.length, 2);
});

test("OriginVerdicts: a denial and an absence end after ten seconds", async () => {
  for (const [right, code] of [
    ["denied", "access_denied"],
    ["absent", "no_such_key"],
  ] as const) {
    const { clock, questions, verdicts, ask } = fixture();
    assert.equal(await ask(alice, get("k"), right), code);
    await clock.advance(9999);
    const known = verdicts.denialOf(alice, get("k"), bucket);
    assert.ok(known instanceof OrcaError && known.code === code);
    await clock.advance(1);
    assert.equal(await ask(alice, get("k"), "allowed"), "allowed");
    assert.equal(questions.length, 2);
  }
});

test("OriginVerdicts: identities, objects, prefixes, delimiters and actions have verdicts of their own", async () => {
  const { questions, ask } = fixture();
  const requests = [get("k"), get("l"), list("k"), list("k", "/"), list("")];
  for (const request of requests) {
    for (const identity of [alice, bob]) await ask(identity, request, "allowed");
  }
  assert.equal(questions.length, 10);
  await ask(alice, { kind: "head-bucket", bucket: "b" }, "denied");
  // HeadBucket needs the right to list the whole bucket.
  assert.equal(questions.length, 10);
  await ask({ name: "anonymous", grant }, get("k"), "allowed");
  assert.deepEqual([questions.length, questions[10]?.as], [11, undefined]);
});

test("OriginVerdicts: all who ask at once share one question", async () => {
  const { questions, answers, verdicts } = fixture();
  const all = Array.from({ length: 5 }, () => verdicts.denialOf(alice, get("k"), bucket));
  answers[0]?.resolve("denied");
  const codes = (await Promise.all(all.map((each) => Promise.resolve(each)))).map((denial) => denial?.code);
  assert.deepEqual([codes, questions.length, verdicts.stats.joined], [Array(5).fill("access_denied"), 1, 4]);
});

test("OriginVerdicts: an error of the origin is passed on, not kept, and allows nothing", async () => {
  const { questions, answers, verdicts, ask } = fixture();
  const denial = verdicts.denialOf(alice, get("k"), bucket);
  answers[0]?.reject(new OrcaError("origin_unavailable", "origin", "Cannot ask"));
  assert.equal((await denial)?.code, "origin_unavailable");
  assert.equal(verdicts.size, 0);
  assert.equal(await ask(alice, get("k"), "allowed"), "allowed");
  assert.equal(questions.length, 2);
});

test("OriginVerdicts: after a change of keys nothing from before counts, not even a question on its way", async () => {
  const { questions, answers, verdicts, ask } = fixture();
  await ask(alice, get("k"), "allowed");
  const denial = verdicts.denialOf(alice, get("l"), bucket);
  verdicts.clear();
  answers[1]?.resolve("allowed");
  await denial;
  assert.equal(verdicts.size, 0);
  void verdicts.denialOf(alice, get("k"), bucket);
  void verdicts.denialOf(alice, get("l"), bucket);
  assert.equal(questions.length, 4);
});

test("OriginVerdicts: a key that the origin may take for another one is not asked about", () => {
  const { questions, verdicts } = fixture();
  const denial = verdicts.denialOf(alice, get("a/../b"), bucket);
  assert.ok(denial instanceof OrcaError && denial.code === "invalid_argument");
  assert.equal(questions.length, 0);
});
