/** The part of the origin contract that is about listings (origin.ts). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ListedObject, ListRequest } from "../../src/origin/origin.ts";
import {
  headOf,
  keysOf,
  listOf,
  never,
  type OriginFixture,
  type OriginTraits,
  rejectsWith,
} from "./origin-fixture.ts";

/** In UTF-8 order; on the store before the first test. */
export const listedKeys = [
  "list/A",
  "list/a b/1",
  "list/a b/2",
  "list/a+b",
  "list/a/1",
  "list/a/2",
  "list/a/deep/3",
  "list/b",
  "list/c/1",
  "list/z",
  "list/é",
  "list/\u{ff5e}/1",
];

/** In UTF-8 order; UTF-16 units, which JavaScript compares, have the second one first. */
const keysBeyondBmp = ["order/\u{ff5e}", "order/\u{1f600}"];

export function listContract(traits: OriginTraits, fixture: () => OriginFixture): void {
  if (traits.ordersByUtf8) {
    test("list: keys are in UTF-8 order where UTF-16 has another", async () => {
      for (const key of keysBeyondBmp) await fixture().put(key, Buffer.alloc(0), {});
      const page = await fixture().origin.list(listOf(fixture(), { prefix: "order/" }), never());
      assert.deepEqual(keysOf(page.objects), keysBeyondBmp);
    });
  }

  test("list: keys under a prefix in order, with size, ETag and Last-Modified as HEAD tells them", async () => {
    const page = await fixture().origin.list(listOf(fixture(), { prefix: "list/" }), never());
    assert.deepEqual(keysOf(page.objects), listedKeys);
    assert.deepEqual(page.commonPrefixes, []);
    assert.equal(page.nextContinuationToken, "");
    for (const listed of page.objects) {
      const { sizeBytes, etag, lastModifiedMs } = await headOf(fixture(), listed.key);
      assert.deepEqual({ ...listed }, { key: listed.key, sizeBytes, etag, lastModifiedMs });
    }
  });

  test("list: a delimiter rolls keys up into common prefixes", async () => {
    const page = await fixture().origin.list(listOf(fixture(), { prefix: "list/", delimiter: "/" }), never());
    assert.deepEqual(keysOf(page.objects), ["list/A", "list/a+b", "list/b", "list/z", "list/é"]);
    assert.deepEqual(page.commonPrefixes, ["list/a b/", "list/a/", "list/c/", "list/\u{ff5e}/"]);
  });

  test("list: a prefix that ends inside a name", async () => {
    const page = await fixture().origin.list(
      listOf(fixture(), { prefix: "list/a", delimiter: "/" }),
      never(),
    );
    assert.deepEqual(keysOf(page.objects), ["list/a+b"]);
    assert.deepEqual(page.commonPrefixes, ["list/a b/", "list/a/"]);
  });

  for (const delimiter of ["", "/"]) {
    for (const maxKeys of [1, 3, 5]) {
      test(`list: pages of ${maxKeys} with delimiter "${delimiter}" tell everything exactly once, in order`, async () => {
        const whole = await fixture().origin.list(listOf(fixture(), { prefix: "list/", delimiter }), never());
        const paged = await allPages(fixture(), { prefix: "list/", delimiter, maxKeys });
        assert.deepEqual(keysOf(paged.objects), keysOf(whole.objects));
        assert.deepEqual(paged.commonPrefixes, whole.commonPrefixes);
      });
    }
  }

  test("list: startAfter leaves out a key and all before it", async () => {
    const asked = { prefix: "list/", startAfter: "list/a/2" };
    const page = await fixture().origin.list(listOf(fixture(), asked), never());
    assert.deepEqual(keysOf(page.objects), listedKeys.slice(listedKeys.indexOf("list/a/deep/3")));
    const paged = await allPages(fixture(), { ...asked, maxKeys: 2 });
    assert.deepEqual(keysOf(paged.objects), keysOf(page.objects));
  });

  test("list: startAfter a key that does not exist", async () => {
    const page = await fixture().origin.list(
      listOf(fixture(), { prefix: "list/", startAfter: "list/bb" }),
      never(),
    );
    assert.deepEqual(keysOf(page.objects), listedKeys.slice(listedKeys.indexOf("list/c/1")));
  });

  test("list: startAfter the last key, or a prefix that nothing has, is an empty last page", async () => {
    for (const asked of [{ prefix: "list/", startAfter: "list/\u{ff5e}/1" }, { prefix: "nothing/" }]) {
      const page = await fixture().origin.list(listOf(fixture(), asked), never());
      assert.deepEqual({ ...page }, { objects: [], commonPrefixes: [], nextContinuationToken: "" });
    }
  });

  test("list: startAfter all that lies under a common prefix leaves the common prefix out", async () => {
    const asked = { prefix: "list/", delimiter: "/", startAfter: "list/a/\u{10ffff}" };
    const page = await fixture().origin.list(listOf(fixture(), asked), never());
    assert.deepEqual(keysOf(page.objects), ["list/b", "list/z", "list/é"]);
    assert.deepEqual(page.commonPrefixes, ["list/c/", "list/\u{ff5e}/"]);
  });

  test("list: a delimiter of several characters", async () => {
    for (const [delimiter, commonPrefixes] of [
      ["/1", ["list/a b/1", "list/a/1", "list/c/1", "list/\u{ff5e}/1"]],
      [" b/", ["list/a b/"]],
    ] as const) {
      const page = await fixture().origin.list(listOf(fixture(), { prefix: "list/", delimiter }), never());
      assert.deepEqual(page.commonPrefixes, commonPrefixes);
      const rest = listedKeys.filter((key) => !commonPrefixes.some((prefix) => key.startsWith(prefix)));
      assert.deepEqual(keysOf(page.objects), rest);
    }
  });

  test("list: a bucket that is not there is no_such_bucket", async () => {
    const request = { ...listOf(fixture(), {}), bucket: "no-such-bucket" };
    await rejectsWith("no_such_bucket", fixture().origin.list(request, never()));
  });
}

async function allPages(
  fixture: OriginFixture,
  asked: Partial<ListRequest> & { readonly maxKeys: number },
): Promise<{ readonly objects: ListedObject[]; readonly commonPrefixes: string[] }> {
  const objects: ListedObject[] = [];
  const commonPrefixes: string[] = [];
  let continuationToken = "";
  let pages = 0;
  do {
    const page = await fixture.origin.list(listOf(fixture, { ...asked, continuationToken }), never());
    const entryCount = page.objects.length + page.commonPrefixes.length;
    assert.ok(entryCount <= asked.maxKeys, "a page holds at most maxKeys");
    objects.push(...page.objects);
    commonPrefixes.push(...page.commonPrefixes);
    continuationToken = page.nextContinuationToken;
    pages += 1;
    assert.ok(pages < 100, "the listing comes to an end");
  } while (continuationToken !== "");
  return { objects, commonPrefixes };
}
