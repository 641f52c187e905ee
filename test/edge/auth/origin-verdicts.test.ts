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

test("OriginVerdicts.leased: two threads ask the origin once, and their copies end with the verdict", async () => {
  const { clock, questions, answers, verdicts } = fixture();
  const engine = { rightOf: (question: RightQuestion, name: string) => verdicts.leased(name, "o", question) };
  const threads = [1, 2].map(() => new OriginVerdicts({ originOf: () => engine, ttlMs, clock, threads: 2 }));
  const ask = () => threads.map((thread) => Promise.resolve(thread.denialOf(alice, get("k"), bucket)));
  const asked = ask();
  await clock.advance(1000);
  answers[0]?.resolve("allowed");
  assert.deepEqual(await Promise.all(asked), [undefined, undefined]);
  assert.deepEqual(verdicts.stats, { hits: 0, questions: 1, joined: 1, failures: 0 });
  const hits = (): number[] => threads.map(({ stats }) => stats.hits);
  // The origin took a second. A copy counts from when its thread asked, so it ends a second before the verdict.
  await clock.advance(ttlMs - 2001);
  await Promise.all(ask());
  assert.deepEqual(hits(), [1, 1]);
  await clock.advance(1);
  await Promise.all(ask());
  assert.deepEqual([hits(), verdicts.stats.hits, questions.length], [[1, 1], 2, 1]);
  await clock.advance(999);
  await Promise.all(ask());
  assert.deepEqual([hits(), verdicts.stats.hits], [[2, 2], 2]);
  await clock.advance(1);
  const denied = ask();
  answers[1]?.resolve("denied");
  assert.deepEqual(
    (await Promise.all(denied)).map((denial) => denial?.code),
    ["access_denied", "access_denied"],
  );
  assert.equal(questions.length, 2);
});

test("OriginVerdicts.leased: a thread that comes later learns how long the verdict still lasts", async () => {
  const { clock, questions, answers, verdicts } = fixture();
  const question = { bucket: "b", key: "k", as: alice.originKey, action: "get", delimiter: "" } as const;
  const first = verdicts.leased("alice k", "o", question);
  answers[0]?.resolve("allowed");
  assert.deepEqual(await first, { right: "allowed", freshMs: ttlMs });
  await clock.advance(ttlMs - 1);
  assert.deepEqual(await verdicts.leased("alice k", "o", question), { right: "allowed", freshMs: 1 });
  assert.equal(questions.length, 1);
});

test("OriginVerdicts.leased: a verdict for an old secret is none for a new one", async () => {
  const { questions, answers, verdicts } = fixture();
  const as = alice.originKey as NonNullable<Identity["originKey"]>;
  const question = { bucket: "b", key: "k", as, action: "get", delimiter: "" } as const;
  const old = verdicts.leased("alice k", "o", question);
  const renewed = verdicts.leased("alice k", "o", { ...question, as: { ...as, secretAccessKey: "new" } });
  const token = verdicts.leased("alice k", "o", { ...question, as: { ...as, sessionToken: "t" } });
  for (const [index, right] of (["allowed", "denied", "absent"] as const).entries())
    answers[index]?.resolve(right);
  const rights = (await Promise.all([old, renewed, token])).map(({ right }) => right);
  assert.deepEqual([rights, questions.length], [["allowed", "denied", "absent"], 3]);
});

test("OriginVerdicts: a key that the origin may take for another one is not asked about", () => {
  const { questions, verdicts } = fixture();
  const denial = verdicts.denialOf(alice, get("a/../b"), bucket);
  assert.ok(denial instanceof OrcaError && denial.code === "invalid_argument");
  assert.equal(questions.length, 0);
});
