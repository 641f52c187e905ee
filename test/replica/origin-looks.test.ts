import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../src/base/random.ts";
import type { Finding } from "../../src/origin/bucket-finding.ts";
import type { BucketLook } from "../../src/replica/bucket-looks.ts";
import { OriginLooks } from "../../src/replica/origin-looks.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";

const missing: Finding = { code: "no_such_bucket", reason: "there is none", remedy: "Create it." };
const denied: Finding = { code: "denied", reason: "403 AccessDenied", remedy: "Grant it." };

function fixture(run: (name: string) => Promise<Finding | undefined>, names: readonly string[] = ["b"]) {
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const looks = names.map((name) => {
    const what = `bucket "${name}"`;
    return { originId: "o", name, what, run: () => run(name) } as unknown as BucketLook;
  });
  return { clock, logger, looks: new OriginLooks({ looks, clock, logger, random: new SeededRandom(1) }) };
}

test("OriginLooks: a bucket that can be read is looked at once, and says nothing", async () => {
  let runs = 0;
  const { clock, logger, looks } = fixture(async () => void (runs += 1));
  looks.start();
  await settle();
  assert.deepEqual([runs, clock.pendingTimers, logger.events.length], [1, 0, 0]);
  assert.equal(looks.notice("o")(), null);
});

test("OriginLooks: a fault is a warning and a notice, until the bucket can be read", async () => {
  const script = [missing, missing, denied, undefined];
  let runs = 0;
  const { clock, logger, looks } = fixture(async () => {
    runs += 1;
    return script.shift();
  });
  looks.start();
  await settle();
  assert.equal(looks.notice("o")(), 'bucket "b": no_such_bucket: there is none. Create it.');
  assert.equal(looks.notice("other")(), null);
  assert.deepEqual(logger.events, [
    {
      level: "warn",
      fields: {
        origin: "o",
        bucket: "b",
        code: "no_such_bucket",
        see: "docs/operations/symptoms.md#an-origin-cannot-be-read",
      },
      message: 'Cannot read bucket "b" of origin "o": there is none. Create it.',
    },
  ]);
  await clock.advance(1000);
  assert.equal(logger.events.length, 1);
  await clock.advance(2000);
  assert.match(looks.notice("o")() ?? "", /denied/);
  await clock.advance(4000);
  assert.equal(looks.notice("o")(), null);
  assert.deepEqual(
    logger.events.map(({ level }) => level),
    ["warn", "warn", "info"],
  );
  assert.deepEqual([runs, clock.pendingTimers], [4, 0]);
});

test("OriginLooks: the pauses grow to five minutes", async () => {
  let runs = 0;
  const { clock, looks } = fixture(async () => {
    runs += 1;
    return missing;
  });
  looks.start();
  await settle();
  for (let minute = 0; minute < 60; minute += 1) await clock.advance(60_000);
  assert.ok(runs > 12 && runs < 40, `${runs} looks in an hour`);
  looks.stop();
  assert.equal(clock.pendingTimers, 0);
});

test("OriginLooks: four looks run at once, and none begins after a stop", async () => {
  const gates: (() => void)[] = [];
  const names = Array.from({ length: 10 }, (_, index) => `b${index}`);
  const { clock, looks } = fixture(() => new Promise((resolve) => gates.push(() => resolve(missing))), names);
  looks.start();
  await settle();
  assert.equal(gates.length, 4);
  gates[0]?.();
  await settle();
  assert.equal(gates.length, 5);
  for (const open of gates) open();
  await settle();
  assert.equal(gates.length, 9);
  looks.stop();
  for (const open of gates) open();
  await settle();
  assert.deepEqual([gates.length, clock.pendingTimers], [9, 0]);
});

test("OriginLooks: a notice names three buckets and counts the others", async () => {
  const names = Array.from({ length: 5 }, (_, index) => `b${index}`);
  const { looks } = fixture(async () => missing, names);
  looks.start();
  await settle();
  const text = looks.notice("o")() ?? "";
  assert.equal(text.match(/no_such_bucket/g)?.length, 3);
  assert.ok(text.endsWith("and 2 more buckets"));
  looks.stop();
});
