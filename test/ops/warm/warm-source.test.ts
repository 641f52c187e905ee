import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Bucket } from "../../../src/object/bucket.ts";
import type { Buckets } from "../../../src/object/buckets.ts";
import { warmId, warmPositionOf } from "../../../src/ops/warm/warm-id.ts";
import { ManifestSource, PrefixSource, type WarmSource } from "../../../src/ops/warm/warm-source.ts";
import type { ListPage, ListRequest } from "../../../src/origin/origin.ts";

/** A bucket that lists `keys`, two a page, and notes what it was asked. */
function bucketOf(keys: readonly string[]) {
  const asked: Omit<ListRequest, "bucket">[] = [];
  const bucket = {
    name: "m",
    list: async (request: Omit<ListRequest, "bucket">): Promise<ListPage> => {
      asked.push(request);
      const from = request.continuationToken || request.startAfter;
      const rest = keys.filter((key) => key.startsWith(request.prefix) && key > from);
      const page = rest.slice(0, 2);
      return {
        objects: page.map((key) => ({ key, sizeBytes: 1, etag: "e", lastModifiedMs: undefined })),
        commonPrefixes: [],
        nextContinuationToken: rest.length > 2 ? (page.at(-1) ?? "") : "",
      };
    },
  } as unknown as Bucket;
  const buckets = { named: (name: string) => (name === "m" ? bucket : undefined), names: ["m"] };
  return { asked, buckets: buckets as unknown as Buckets };
}

const mayAsk = (): Promise<void> => Promise.resolve();

async function keysOf(source: WarmSource, after = ""): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of source.objects(after, mayAsk)) keys.push(key);
  return keys;
}

test("PrefixSource: lists page by page, one at a time, and goes on after a key", async () => {
  const { asked, buckets } = bucketOf(["a/1", "a/2", "a/3", "a/4", "a/5", "b"]);
  const source = new PrefixSource("m/a/", buckets);
  assert.deepEqual([source.title, source.name], ["s3://m/a/", "pm/a/"]);
  const objects = source.objects("", mayAsk);
  for (const key of ["a/1", "a/2"]) assert.equal((await objects.next()).value.key, key);
  assert.equal(asked.length, 1, "the second page is not asked for before the first is done");
  assert.equal((await objects.next()).value.key, "a/3");
  assert.equal(asked.length, 2);
  assert.deepEqual(await keysOf(source, "a/2"), ["a/3", "a/4", "a/5"]);
  assert.deepEqual(await keysOf(new PrefixSource("m", buckets)), ["a/1", "a/2", "a/3", "a/4", "a/5", "b"]);
  assert.throws(() => new PrefixSource("n/a", buckets), /Cannot find bucket "n": served here are m/);
});

test("ManifestSource: takes keys as they are, and says which line is wrong", async () => {
  const { buckets } = bucketOf([]);
  const source = new ManifestSource(Buffer.from("# all\n\ns3://m/a b%20\nm/# c\r\nm/d"), buckets);
  assert.equal(source.title, "manifest of 3 objects");
  assert.deepEqual(await keysOf(source), ["a b%20", "# c", "d"]);
  assert.deepEqual(await keysOf(source, "1"), ["d"]);
  for (const [text, message] of [
    ["", "it names no object"],
    ["m/a\nm/\n", "line 2 names no object"],
    ["n/a", 'Cannot find bucket "n"'],
    ["m/a\n".repeat(100_001), "it names more than 100000 objects"],
  ] as const)
    assert.throws(
      () => new ManifestSource(Buffer.from(text), buckets),
      ({ message: found }: Error) => found.includes(message),
    );
});

test("warmPositionOf: reads every id that warmId writes, and no other text", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 900, unit: "binary" }),
      fc.string({ maxLength: 900 }),
      (place, after) => {
        const position = { source: `p${place}`, after };
        assert.deepEqual(warmPositionOf(warmId(position)), position);
      },
    ),
  );
  const manifest = { source: "m0123456789abcdef", after: "41" };
  assert.deepEqual(warmPositionOf(warmId(manifest)), manifest);
  for (const wrong of [
    "",
    "w1.",
    "w1.e30",
    "w2.W10",
    warmId({ source: "m0123", after: "-1" }),
    warmId({ source: "x", after: "" }),
    `w1.${"A".repeat(9000)}`,
  ])
    assert.throws(() => warmPositionOf(wrong), /that is not the id of a warm-up/, wrong);
});
