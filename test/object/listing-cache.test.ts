import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ListingAnswer,
  ListingCache,
  type ListingCacheOptions,
} from "../../src/object/listing-cache.ts";
import type { ListPage, ListRequest } from "../../src/origin/origin.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { listRequest, unavailable } from "./metadata-cluster.ts";

function page(etag: string, count = 1): ListPage {
  const objects = Array.from({ length: count }, (_, index) => ({
    key: `llama/${index}`,
    sizeBytes: 10,
    etag,
    lastModifiedMs: 0,
  }));
  return { objects, commonPrefixes: [], nextContinuationToken: "" };
}

/** A cache over a source whose answers the test sends one by one. */
function fixture(options: Partial<ListingCacheOptions> = {}) {
  const clock = new FakeClock();
  const asked: (PromiseWithResolvers<ListingAnswer> & { request: ListRequest })[] = [];
  const cache = new ListingCache({
    source: {
      list: (request) => {
        const answer = { ...Promise.withResolvers<ListingAnswer>(), request };
        asked.push(answer);
        return answer.promise;
      },
    },
    clock,
    ttlMs: 60_000,
    entriesMax: 3,
    responseBytesMax: 1000,
    ...options,
  });
  const answer = (index: number, etag: string, remainingMs?: number, count?: number): void =>
    asked[index]?.resolve({ page: page(etag, count), remainingMs });
  return { clock, asked, cache, answer };
}

test("ListingCache.list: one LIST is in flight per request, however many callers ask", async () => {
  const { asked, cache, answer } = fixture();
  const lists = Array.from({ length: 50 }, () => cache.list(listRequest));
  assert.equal(asked.length, 1);
  answer(0, "v1");
  for (const found of await Promise.all(lists)) assert.equal(found.objects[0]?.etag, "v1");
  await cache.list({ ...listRequest });
  assert.deepEqual(cache.stats, { hits: 1, misses: 1, joins: 49, oversize: 0 });
});

test("ListingCache.list: requests that differ in any field are different pages", async () => {
  const { asked, cache } = fixture({ entriesMax: 100 });
  const others: Partial<ListRequest>[] = [
    {},
    { bucket: "other" },
    { prefix: "" },
    { prefix: 'llama/","' },
    { delimiter: "/" },
    { maxKeys: 1 },
    { continuationToken: "t" },
    { startAfter: "t" },
  ];
  for (const other of others) void cache.list({ ...listRequest, ...other });
  assert.deepEqual(
    asked.map(({ request }) => request),
    others.map((other) => ({ ...listRequest, ...other })),
  );
});

test("ListingCache.list: a page expires one TTL after its LIST was sent, not after it was answered", async () => {
  const { clock, asked, cache, answer } = fixture();
  const first = cache.list(listRequest);
  await clock.advance(50_000);
  answer(0, "v1");
  await first;
  await clock.advance(9999);
  await cache.list(listRequest);
  assert.equal(asked.length, 1);
  await clock.advance(1);
  void cache.list(listRequest);
  assert.equal(asked.length, 2);
});

test("ListingCache.list: the remaining TTL of another replica makes a page expire earlier, never later", async () => {
  const { clock, asked, cache, answer } = fixture();
  for (const [index, remainingMs] of [10, 90_000, 0].entries()) {
    const list = cache.list(listRequest);
    answer(index, "v1", remainingMs);
    await list;
    const freshMs = Math.min(remainingMs, 60_000);
    if (freshMs > 0) {
      await clock.advance(freshMs - 1);
      await cache.list(listRequest);
      assert.equal(asked.length, index + 1);
    }
    await clock.advance(1);
  }
  void cache.list(listRequest);
  assert.equal(asked.length, 4);
});

test("ListingCache.answer: returns the remaining TTL in whole milliseconds", async () => {
  const { clock, cache, answer } = fixture();
  const first = cache.answer(listRequest);
  answer(0, "v1");
  assert.equal((await first).remainingMs, 60_000);
  await clock.advance(1000.5);
  assert.equal((await cache.answer(listRequest)).remainingMs, 58_999);
});

test("ListingCache.list: with ttlMs 0 nothing is cached and no caller joins", async () => {
  const { asked, cache, answer } = fixture({ ttlMs: 0 });
  const before = cache.list(listRequest);
  const after = cache.answer(listRequest);
  assert.equal(asked.length, 2);
  answer(0, "v1");
  answer(1, "v2");
  assert.equal((await before).objects[0]?.etag, "v1");
  assert.deepEqual(await after, { page: page("v2"), remainingMs: 0 });
  assert.equal(cache.size, 0);
});

test("ListingCache.list: an error is thrown to all callers that wait, and never cached", async () => {
  const { asked, cache, answer } = fixture();
  const lists = [cache.list(listRequest), cache.list(listRequest)];
  asked[0]?.reject(unavailable());
  for (const list of lists) await rejectsWith("origin_unavailable", list);
  assert.equal(cache.size, 0);
  const again = cache.list(listRequest);
  answer(1, "v1");
  await again;
});

test("ListingCache.list: a page that is too large goes to all callers that wait, and is not cached", async () => {
  const { asked, cache, answer } = fixture();
  const lists = [cache.list(listRequest), cache.list(listRequest)];
  answer(0, "v1", undefined, 100);
  for (const found of await Promise.all(lists)) assert.equal(found.objects.length, 100);
  assert.deepEqual([asked.length, cache.size, cache.stats.oversize], [1, 0, 1]);
  void cache.list(listRequest);
  assert.equal(asked.length, 2);
});

test("ListingCache.list: beyond entriesMax the least recently used page is evicted; 0 caches none", async () => {
  const { asked, cache, answer } = fixture();
  const list = async (prefix: string): Promise<void> => {
    const found = cache.list({ ...listRequest, prefix });
    answer(asked.length - 1, prefix);
    await found;
  };
  for (const prefix of ["a", "b", "c", "a", "d"]) await list(prefix);
  assert.deepEqual([cache.size, asked.length], [3, 4]);
  await list("a");
  assert.equal(asked.length, 4);
  await list("b");
  assert.equal(asked.length, 5);
  const none = fixture({ entriesMax: 0 });
  const found = none.cache.list(listRequest);
  none.answer(0, "v1");
  await found;
  assert.equal(none.cache.size, 0);
});
