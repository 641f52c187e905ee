import assert from "node:assert/strict";
import { test } from "node:test";
import { type ErrorCode, OrcaError } from "../../src/base/orca-error.ts";
import type { Bucket } from "../../src/object/bucket.ts";
import { isBucketName } from "../../src/object/bucket-name.ts";
import { type FoundBucket, OpenBuckets } from "../../src/object/open-buckets.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

const ttlMs = 60_000;
const negativeTtlMs = 10_000;

/** Open buckets over an origin that answers each question as `answers` says then; it has every other bucket. */
function fixture(ttls = { ttlMs, negativeTtlMs }) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const answers = new Map<string, ErrorCode>();
  const gates: (() => void)[] = [];
  const state = { held: false };
  const open = new OpenBuckets({
    isName: isBucketName,
    bucketOf: (name) => ({ name }) as Bucket,
    ask: async (name) => {
      asked.push(name);
      if (state.held) await new Promise<void>((resolve) => gates.push(resolve));
      const code = answers.get(name);
      if (code !== undefined) throw new OrcaError(code, "origin", "as scripted");
    },
    clock,
    ...ttls,
    queueTimeoutMs: 5000,
  });
  const release = async (): Promise<void> => {
    for (const gate of gates.splice(0)) gate();
    await settle();
  };
  return { clock, asked, answers, open, state, release };
}

function codeOf(found: FoundBucket | OrcaError): string {
  return found instanceof OrcaError ? found.code : `${found.bucket.name} ${found.fault?.code ?? "ok"}`;
}

test("OpenBuckets.find: a bucket is asked for once per TTL, and an absent one once per negative TTL", async () => {
  const { clock, asked, answers, open } = fixture();
  answers.set("absent", "no_such_bucket");
  for (let round = 0; round < 3; round += 1) {
    assert.equal(codeOf(await open.find("models")), "models ok");
    assert.equal(codeOf(await open.find("absent")), "no_such_bucket");
  }
  assert.deepEqual(asked, ["models", "absent"]);
  await clock.advance(negativeTtlMs);
  answers.delete("absent");
  assert.equal(codeOf(await open.find("absent")), "absent ok");
  await clock.advance(ttlMs - negativeTtlMs);
  answers.set("models", "no_such_bucket");
  assert.equal(codeOf(await open.find("models")), "no_such_bucket");
  assert.deepEqual(asked, ["models", "absent", "absent", "models"]);
});

test("OpenBuckets.find: an answer is as old as its question", async () => {
  const { clock, asked, open, state, release } = fixture();
  state.held = true;
  const first = open.find("models");
  await clock.advance(ttlMs - 1);
  state.held = false;
  await release();
  assert.equal(codeOf(await first), "models ok");
  await open.find("models");
  assert.equal(asked.length, 1);
  await clock.advance(1);
  await open.find("models");
  assert.equal(asked.length, 2);
});

test("OpenBuckets.find: all who ask at one moment share one question", async () => {
  const { asked, open, state, release } = fixture();
  state.held = true;
  const waiting = Array.from({ length: 100 }, () => open.find("models"));
  await settle();
  await release();
  assert.deepEqual(new Set((await Promise.all(waiting)).map(codeOf)), new Set(["models ok"]));
  assert.deepEqual(asked, ["models"]);
  assert.equal(open.stats.joined, 99);
});

test("OpenBuckets.get: a bucket in use is asked for again in the background, and serves meanwhile", async () => {
  const { clock, asked, answers, open, state, release } = fixture();
  assert.equal(open.get("models"), undefined);
  assert.deepEqual(asked, []);
  await open.find("models");
  assert.equal(open.get("models")?.name, "models");
  await clock.advance(ttlMs);
  state.held = true;
  answers.set("models", "no_such_bucket");
  for (let round = 0; round < 3; round += 1) assert.equal(open.get("models")?.name, "models");
  await settle();
  assert.deepEqual(asked, ["models", "models"]);
  state.held = false;
  await release();
  assert.equal(open.get("models"), undefined);
  assert.equal(codeOf(await open.find("models")), "no_such_bucket");
  assert.equal(asked.length, 2);
});

test("OpenBuckets.get: while the origin does not answer, a known bucket serves, and is asked for once in a while", async () => {
  const { clock, asked, answers, open } = fixture();
  await open.find("models");
  await clock.advance(ttlMs);
  answers.set("models", "origin_unavailable");
  for (let second = 0; second < 10; second += 1) {
    assert.equal(open.get("models")?.name, "models");
    await clock.advance(1000);
  }
  assert.equal(asked.length, 3);
  answers.set("other", "origin_unavailable");
  assert.equal(codeOf(await open.find("other")), "origin_unavailable");
  answers.delete("other");
  assert.equal(codeOf(await open.find("other")), "other ok");
});

test("OpenBuckets.find: a bucket that may not be listed is there, with its fault, for the negative TTL", async () => {
  const { clock, asked, answers, open } = fixture();
  answers.set("models", "origin_denied");
  assert.equal(codeOf(await open.find("models")), "models origin_denied");
  assert.equal(open.get("models")?.name, "models");
  await clock.advance(negativeTtlMs);
  answers.delete("models");
  assert.equal(codeOf(await open.find("models")), "models ok");
  assert.equal(asked.length, 2);
});

test("OpenBuckets: with a TTL of 0 nothing is kept", async () => {
  const { asked, open } = fixture({ ttlMs: 0, negativeTtlMs: 0 });
  await open.find("models");
  assert.equal(open.get("models"), undefined);
  await open.find("models");
  assert.equal(asked.length, 2);
  assert.equal(open.size, 0);
});

test("OpenBuckets: forbidden names are never asked for, and no number of names takes more than the bounds", async () => {
  const { asked, answers, open } = fixture();
  assert.equal(codeOf(await open.find("No_Name")), "no_such_bucket");
  assert.equal(open.named("No_Name"), undefined);
  assert.equal(open.named("models")?.name, "models");
  assert.deepEqual([asked.length, open.size], [0, 0]);
  await open.find("in-use");
  for (let index = 0; index < 50_000; index += 1) {
    answers.set(`absent-${index}`, "no_such_bucket");
    await open.find(`absent-${index}`);
    open.get("in-use");
  }
  assert.equal(asked.length, 50_001);
  assert.equal(open.size, 20_000);
  assert.ok(open.bytes < 16 * 1024 * 1024);
  await open.find("in-use");
  assert.equal(asked.length, 50_001);
});

test("OpenBuckets: few questions are with the origin at once, and a flood gets overloaded", async () => {
  const { asked, open, state, release } = fixture();
  state.held = true;
  const waiting = Array.from({ length: 1500 }, (_, index) => open.find(`bucket-${index}`));
  await settle();
  assert.equal(asked.length, 16);
  state.held = false;
  await release();
  const outcomes = (await Promise.all(waiting)).map((found) =>
    found instanceof OrcaError ? found.code : "ok",
  );
  assert.equal(outcomes.filter((outcome) => outcome === "ok").length, 1016);
  assert.equal(outcomes.filter((outcome) => outcome === "overloaded").length, 484);
});
