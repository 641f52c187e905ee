import assert from "node:assert/strict";
import { test } from "node:test";
import { type Expiring, Renewed } from "../../src/base/renewed.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

/** Values `1`, `2`, … that live for a minute and are replaced ten seconds before their end. */
function scripted() {
  const clock = new FakeClock();
  const fetches: PromiseWithResolvers<Expiring<number>>[] = [];
  const fetch = (): Promise<Expiring<number>> => {
    const pending = Promise.withResolvers<Expiring<number>>();
    fetches.push(pending);
    return pending.promise;
  };
  const answer = (index: number): void =>
    fetches[index]?.resolve({ value: index + 1, expiresAtMs: clock.now() + 60_000 });
  const told: string[] = [];
  const renewed = new Renewed<number>({
    clock,
    fetch,
    marginMs: 10_000,
    onFailure: (thrown, untilMs) => told.push(`${String(thrown)}, valid for ${untilMs - clock.now()} ms`),
    onRecovery: () => told.push("recovered"),
  });
  return { clock, fetches, answer, told, renewed };
}

test("Renewed.get: callers share the first fetch, later ones its value", async () => {
  const { renewed, fetches, answer, clock } = scripted();
  const both = Promise.all([renewed.get(), renewed.get()]);
  answer(0);
  assert.deepEqual(await both, [1, 1]);
  await clock.advance(49_999);
  assert.equal(await renewed.get(), 1);
  assert.equal(fetches.length, 1);
});

test("Renewed.get: close to the end the old value is given while one new one is fetched", async () => {
  const { renewed, fetches, answer, clock } = scripted();
  const first = renewed.get();
  answer(0);
  await first;
  await clock.advance(50_000);
  assert.deepEqual(await Promise.all([renewed.get(), renewed.get()]), [1, 1]);
  assert.equal(fetches.length, 2);
  answer(1);
  await settle();
  assert.equal(await renewed.get(), 2);
});

test("Renewed.get: a renewal that fails is tried again, and felt only when the value has expired", async () => {
  const { renewed, fetches, answer, clock } = scripted();
  const first = renewed.get();
  answer(0);
  await first;
  await clock.advance(55_000);
  assert.equal(await renewed.get(), 1);
  fetches[1]?.reject(new Error("no"));
  await settle();
  assert.equal(await renewed.get(), 1);
  assert.equal(fetches.length, 2, "not once for each caller");
  await clock.advance(2500);
  assert.equal(await renewed.get(), 1);
  fetches[2]?.reject(new Error("no"));
  await clock.advance(2500);
  const expired = renewed.get();
  fetches[3]?.reject(new Error("still no"));
  await assert.rejects(expired, /still no/);
  const recovered = renewed.get();
  answer(4);
  assert.equal(await recovered, 5);
});

test("Renewed.get: failures are told once, and so is their end", async () => {
  const { renewed, fetches, answer, clock, told } = scripted();
  const first = renewed.get();
  answer(0);
  await first;
  for (const index of [1, 2]) {
    await clock.advance(index === 1 ? 50_000 : 5000);
    await renewed.get();
    fetches[index]?.reject(new Error("no"));
    await settle();
  }
  await clock.advance(2500);
  await renewed.get();
  answer(3);
  await settle();
  assert.deepEqual(told, ["Error: no, valid for 10000 ms", "recovered"]);
  assert.equal(await renewed.get(), 4);
});

test("Renewed.get: a value that is given again before its end is not asked for by each caller", async () => {
  const { renewed, fetches, clock } = scripted();
  const first = renewed.get();
  fetches[0]?.resolve({ value: 1, expiresAtMs: clock.now() + 8000 });
  await first;
  await clock.advance(3999);
  assert.equal(await renewed.get(), 1);
  assert.equal(fetches.length, 1);
  await clock.advance(1);
  assert.equal(await renewed.get(), 1);
  assert.equal(fetches.length, 2);
});

test("Renewed.get: a value that arrives expired is used for half a minute, because this clock may be ahead", async () => {
  const { renewed, fetches, clock } = scripted();
  const first = renewed.get();
  fetches[0]?.resolve({ value: 1, expiresAtMs: clock.now() - 60_000 });
  assert.equal(await first, 1);
  await clock.advance(29_999);
  assert.equal(await renewed.get(), 1);
  assert.equal(fetches.length, 1);
});

test("Renewed.renew: a denied value is replaced by one fetch for all, and those who come later find the new one", async () => {
  const { renewed, fetches, answer } = scripted();
  const first = renewed.get();
  answer(0);
  await first;
  const herd = Array.from({ length: 100 }, () => renewed.renew(1));
  assert.equal(fetches.length, 2);
  answer(1);
  await Promise.all(herd);
  assert.equal(renewed.mayRenew(1), true);
  await renewed.renew(1);
  assert.equal(await renewed.get(), 2);
  assert.equal(fetches.length, 2);
});

test("Renewed.renew: a value that is denied again and again is fetched once in ten seconds", async () => {
  const { renewed, fetches, answer, clock } = scripted();
  const first = renewed.get();
  answer(0);
  await first;
  const denied = renewed.renew(1);
  fetches[1]?.resolve({ value: 1, expiresAtMs: clock.now() + 60_000 });
  await denied;
  await clock.advance(9999);
  assert.equal(renewed.mayRenew(1), false);
  await renewed.renew(1);
  assert.equal(fetches.length, 2);
  await clock.advance(1);
  assert.equal(renewed.mayRenew(1), true);
});
