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
  return { clock, fetches, answer, renewed: new Renewed({ clock, fetch, marginMs: 10_000 }) };
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
  fetches[2]?.reject(new Error("no"));
  await clock.advance(5000);
  const expired = renewed.get();
  fetches[3]?.reject(new Error("still no"));
  await assert.rejects(expired, /still no/);
  const recovered = renewed.get();
  answer(4);
  assert.equal(await recovered, 5);
});
