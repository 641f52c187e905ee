import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { entryBytes } from "../../src/object/listing-bytes.ts";
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
    bytesMax: 100_000,
    responseBytesMax: 1000,
    runningMax: 100,
    queueTimeoutMs: 5000,
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

/** A page of 1,000 keys of 200 characters, none of whose strings another page shares. */
function largePage(prefix: string, filling = "k"): ListPage {
  const objects = Array.from({ length: 1000 }, (_, index) => ({
    key: Buffer.from(`${prefix}/${filling.repeat(200)}${index}`).toString(),
    sizeBytes: 10 ** 10 + index,
    etag: Buffer.from(`d41d8cd98f00b204e9800998ecf8${1000 + index}`).toString(),
    lastModifiedMs: 1.7e12 + index,
  }));
  return { objects, commonPrefixes: [], nextContinuationToken: "" };
}

test("ListingCache.list: 1,024 large pages take at most bytesMax, the ones used last stay, and stale ones leave", async () => {
  const bytesMax = 8 * 2 ** 20;
  const { clock, asked, cache } = fixture({ entriesMax: 10_000, bytesMax, responseBytesMax: 2 ** 20 });
  const list = async (index: number): Promise<void> => {
    const prefix = `p${1000 + index}`;
    const found = cache.list({ ...listRequest, prefix });
    asked.at(-1)?.resolve({ page: largePage(prefix), remainingMs: undefined });
    await found;
  };
  await list(0);
  const pageBytes = cache.bytes;
  for (let index = 1; index < 1024; index += 1) {
    await list(index);
    assert.ok(cache.bytes <= bytesMax);
  }
  const keptMax = Math.floor(bytesMax / pageBytes);
  assert.deepEqual([cache.size, cache.bytes], [keptMax, keptMax * pageBytes]);
  assert.equal(cache.stats.misses, 1024);
  await list(1024 - keptMax);
  assert.deepEqual([cache.stats.hits, cache.stats.misses], [1, 1024]);
  // No time has passed. Half-way the pages are fresh, and one sweep after their TTL all are released.
  await clock.advance(30_000);
  assert.equal(cache.size, keptMax);
  await clock.advance(30_000);
  assert.deepEqual([cache.size, cache.bytes, clock.pendingTimers], [0, 0, 0]);
});

test("ListingCache.list: pages of different ages leave at the sweep after their TTL, and close ends the sweeps", async () => {
  const { clock, cache, answer } = fixture({ ttlMs: 600_000 });
  for (const [index, prefix] of ["a", "b"].entries()) {
    const found = cache.list({ ...listRequest, prefix });
    answer(index, prefix, index === 0 ? 90_000 : 600_000);
    await found;
  }
  await clock.advance(60_000);
  assert.equal(cache.size, 2);
  await clock.advance(60_000);
  assert.equal(cache.size, 1);
  assert.equal(clock.pendingTimers, 1);
  cache.close();
  assert.equal(clock.pendingTimers, 0);
  void cache.list({ ...listRequest, prefix: "c" });
  answer(2, "c");
  await clock.advance(1);
  assert.deepEqual([cache.size, clock.pendingTimers], [2, 0]);
});

/** Bytes in use after garbage was collected. */
function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

for (const [kind, filling] of Object.entries({ "one byte": "k", "two bytes": "\u{4e2d}" })) {
  test(`ListingCache.bytes: is what the pages take on the heap, or a little more, with ${kind} a character`, () => {
    const before = heapBytes();
    const pages = Array.from({ length: 100 }, (_, index) => largePage(`p${index}`, filling));
    const takenBytes = heapBytes() - before;
    const estimated = pages.reduce((sum, each) => sum + entryBytes("p", each), 0);
    const ratio = estimated / takenBytes;
    assert.ok(ratio > 0.97 && ratio < 1.2, `estimated ${estimated}, taken ${takenBytes}`);
  });
}

test("ListingCache.list: runningMax questions run, 1,000 wait, one more and those past the deadline are overloaded", async () => {
  const { clock, asked, cache, answer } = fixture({ runningMax: 4, queueTimeoutMs: 5000, entriesMax: 5000 });
  const list = (index: number): Promise<ListPage> => cache.list({ ...listRequest, prefix: `p${index}` });
  const lists = Array.from({ length: 1004 }, (_, index) => list(index));
  assert.deepEqual([cache.running, cache.waiting, asked.length], [4, 1000, 4]);
  await rejectsWith("overloaded", list(2000));
  answer(0, "v1");
  await lists[0];
  await clock.advance(0);
  assert.deepEqual([cache.running, cache.waiting, asked.length], [4, 999, 5]);
  // A joiner takes no permit.
  const joiner = list(1);
  const late = Promise.all(lists.slice(5).map((waiting) => rejectsWith("overloaded", waiting)));
  await clock.advance(5000);
  await late;
  for (const index of [1, 2, 3, 4]) answer(index, "v1");
  await Promise.all([...lists.slice(0, 5), joiner]);
  assert.deepEqual([cache.running, cache.waiting, asked.length], [0, 0, 5]);
});

test("ListingCache.list: a question that fails releases its permit", async () => {
  const { asked, cache, answer } = fixture({ runningMax: 1 });
  const failed = rejectsWith("origin_unavailable", cache.list(listRequest));
  await setImmediate();
  asked[0]?.reject(unavailable());
  await failed;
  const next = cache.list(listRequest);
  await setImmediate();
  answer(1, "v1");
  await next;
  assert.equal(cache.running, 0);
});

test("ListingCache: a listing of versions and one of objects are two entries, and so is each place in it", async () => {
  const { cache, asked } = fixture({ entriesMax: 10 });
  const requests: ListRequest[] = [
    listRequest,
    { ...listRequest, versionIdMarker: "" },
    { ...listRequest, startAfter: "k", versionIdMarker: "" },
    { ...listRequest, startAfter: "k", versionIdMarker: "v1" },
  ];
  for (let time = 1; time <= 2; time += 1) {
    const pages = requests.map((request) => cache.list(request));
    for (const [index, each] of asked.entries())
      each.resolve({ page: page(`e${index}`), remainingMs: undefined });
    const etags = (await Promise.all(pages)).map(({ objects }) => objects[0]?.etag);
    assert.deepEqual(etags, ["e0", "e1", "e2", "e3"]);
  }
  assert.equal(asked.length, 4);
});
