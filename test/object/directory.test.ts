import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { defaultChunkTiers } from "../../src/chunk/chunk-layout.ts";
import { Directory } from "../../src/object/directory.ts";
import type { DirectoryOptions } from "../../src/object/directory-options.ts";
import { OriginHeads } from "../../src/object/heads/origin-heads.ts";
import type { LookupResult } from "../../src/object/object-record.ts";
import { Absence } from "../../src/object/versions/absence.ts";
import type { ObjectHead, OriginHead } from "../../src/origin/origin.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

const location = { bucket: "models", key: "llama/weights.bin" };

function head(etag: string, sizeBytes = 10): ObjectHead {
  return { etag, sizeBytes, lastModifiedMs: 0, metadata: {} };
}

/** A directory over an origin whose answers the test sends one by one. */
function fixture(options: Partial<DirectoryOptions> = {}) {
  const clock = new FakeClock();
  const heads: PromiseWithResolvers<OriginHead>[] = [];
  const directory = new Directory({
    source: new OriginHeads({
      id: "origin-a",
      head: () => {
        const answer = Promise.withResolvers<OriginHead>();
        heads.push(answer);
        return answer.promise;
      },
    }),
    clock,
    chunkTiers: defaultChunkTiers,
    ttlMs: 300_000,
    negativeTtlMs: 60_000,
    entriesMax: 3,
    ...options,
  });
  return { clock, heads, directory };
}

function etagOf(result: LookupResult | undefined): string | undefined {
  return result?.kind === "found" ? result.record.version.etag : undefined;
}

test("Directory.lookup: one HEAD is in flight per object, however many callers ask", async () => {
  const { heads, directory } = fixture();
  const lookups = Array.from({ length: 50 }, () => directory.lookup(location));
  assert.equal(heads.length, 1);
  heads[0]?.resolve(head("v1"));
  for (const result of await Promise.all(lookups)) assert.equal(etagOf(result), "v1");
  assert.deepEqual(directory.stats, {
    hits: 0,
    misses: 1,
    joins: 49,
    negativeHits: 0,
    forgotten: 0,
    refreshes: 0,
    revalidations: 0,
  });
});

test("Directory.peek: an entry expires one TTL after its HEAD was sent, not after it was answered", async () => {
  const { clock, heads, directory } = fixture();
  const lookup = directory.lookup(location);
  await clock.advance(200_000);
  heads[0]?.resolve(head("v1"));
  await lookup;
  await clock.advance(99_999);
  assert.equal(etagOf(directory.peek(location)), "v1");
  await clock.advance(1);
  assert.equal(directory.peek(location), undefined);
});

test("Directory.lookup: an absence is cached for negativeTtlMs, and then the origin is asked again", async () => {
  const { clock, heads, directory } = fixture();
  const lookup = directory.lookup(location);
  heads[0]?.resolve(null);
  const result = await lookup;
  assert.equal(result.kind === "error" && result.error.code, "no_such_key");
  await clock.advance(59_999);
  await directory.lookup(location);
  assert.equal(heads.length, 1);
  await clock.advance(1);
  const again = directory.lookup(location);
  assert.equal(heads.length, 2);
  heads[1]?.resolve(head("v1"));
  assert.equal(etagOf(await again), "v1");
});

for (const code of ["origin_missing_etag", "origin_unsupported"] as const) {
  test(`Directory.lookup: ${code} is a fact about the object and is cached`, async () => {
    const { heads, directory } = fixture();
    const lookup = directory.lookup(location);
    heads[0]?.reject(new OrcaError(code, "origin", "Cannot use the object"));
    const result = await lookup;
    assert.equal(result.kind === "error" && result.error.code, code);
    await directory.lookup(location);
    assert.equal(heads.length, 1);
  });
}

test("Directory.lookup: an error is thrown to all callers that wait, and never cached", async () => {
  const { heads, directory } = fixture();
  const lookups = [directory.lookup(location), directory.lookup(location)];
  heads[0]?.reject(new OrcaError("origin_unavailable", "origin", "Cannot reach the origin"));
  for (const lookup of lookups) await assert.rejects(lookup, { code: "origin_unavailable" });
  assert.equal(directory.size, 0);
  const again = directory.lookup(location);
  assert.equal(heads.length, 2);
  heads[1]?.resolve(head("v1"));
  assert.equal(etagOf(await again), "v1");
});

test("Directory.lookup: with ttlMs 0 every request asks the origin", async () => {
  const { heads, directory } = fixture({ ttlMs: 0 });
  for (let request = 0; request < 3; request += 1) {
    const lookup = directory.lookup(location);
    heads[request]?.resolve(head(`v${request}`));
    assert.equal(etagOf(await lookup), `v${request}`);
  }
  assert.equal(heads.length, 3);
});

test("Directory.lookup: with ttlMs 0 no caller gets the answer to a HEAD that was sent before it asked", async () => {
  const { heads, directory } = fixture({ ttlMs: 0 });
  const before = directory.lookup(location);
  // Here the object is overwritten: the origin has answered the first HEAD, and the answer is still on its way.
  const after = directory.lookup(location);
  assert.equal(heads.length, 2);
  heads[0]?.resolve(head("v1"));
  assert.equal(etagOf(await before), "v1");
  heads[1]?.resolve(head("v2"));
  assert.equal(etagOf(await after), "v2");
});

test("Directory.lookup: a HEAD that has been in flight for a TTL is not joined, and its answer is not cached", async () => {
  const { clock, heads, directory } = fixture({ ttlMs: 1000 });
  const before = directory.lookup(location);
  await clock.advance(1000);
  const after = directory.lookup(location);
  assert.equal(heads.length, 2);
  heads[0]?.resolve(null);
  assert.equal((await before).kind, "error");
  assert.equal(directory.peek(location), undefined);
  heads[1]?.resolve(head("v2"));
  assert.equal(etagOf(await after), "v2");
  assert.equal(etagOf(directory.peek(location)), "v2");
});

test("Directory.forget: the answer to a HEAD that was already in flight is not cached", async () => {
  const { heads, directory } = fixture();
  const early = directory.lookup(location);
  directory.forget(location, "v1");
  const late = directory.lookup(location);
  assert.equal(heads.length, 2);
  heads[1]?.resolve(head("v2"));
  assert.equal(etagOf(await late), "v2");
  heads[0]?.resolve(head("v1"));
  assert.equal(etagOf(await early), "v1");
  assert.equal(etagOf(directory.peek(location)), "v2");
});

test("Directory.forget: an entry with a newer version stays", async () => {
  const { heads, directory } = fixture();
  const lookup = directory.lookup(location);
  heads[0]?.resolve(head("v2"));
  await lookup;
  directory.forget(location, "v1");
  assert.equal(etagOf(directory.peek(location)), "v2");
  directory.forget(location, "v2");
  assert.equal(directory.peek(location), undefined);
});

test("Directory.forget: a look-up in flight that was sent with the same stale marker is joined and cached", async () => {
  const { heads, directory } = fixture();
  const first = directory.lookup(location);
  heads[0]?.resolve(head("v1"));
  await first;
  const lookups = Array.from({ length: 10 }, () => {
    directory.forget(location, "v1");
    return directory.lookup(location);
  });
  assert.equal(heads.length, 2);
  heads[1]?.resolve(head("v2"));
  for (const lookup of lookups) assert.equal(etagOf(await lookup), "v2");
  assert.equal(etagOf(directory.peek(location)), "v2");
  assert.equal(directory.stats.forgotten, 1);
});

test("Directory.forget: an entry for the object's absence stays", async () => {
  const { heads, directory } = fixture();
  const lookup = directory.lookup(location);
  heads[0]?.resolve(null);
  await lookup;
  directory.forget(location, "v1");
  assert.equal((await directory.lookup(location)).kind, "error");
  assert.equal(heads.length, 1);
});

test("Directory.invalidate: an entry is dropped whatever it holds, and the answer to a HEAD in flight is not cached", async () => {
  const { heads, directory } = fixture();
  const first = directory.lookup(location);
  heads[0]?.resolve(head("v1"));
  await first;
  directory.invalidate(location);
  assert.equal(directory.peek(location), undefined);
  const second = directory.lookup(location);
  directory.invalidate(location);
  heads[1]?.resolve(head("v2"));
  assert.equal(etagOf(await second), "v2");
  assert.equal(directory.peek(location), undefined);
  // The origin's own answer after an invalidation is cached as always.
  const third = directory.lookup(location);
  heads[2]?.resolve(head("v3"));
  await third;
  assert.equal(etagOf(directory.peek(location)), "v3");
});

test("Directory.answer: returns the remaining TTL, and 0 if the object was forgotten in flight", async () => {
  const { clock, heads, directory } = fixture();
  const first = directory.answer(location, "", undefined);
  await clock.advance(100_000);
  heads[0]?.resolve(head("v1"));
  assert.deepEqual(await first, { head: head("v1"), remainingMs: 200_000 });
  await clock.advance(0.5);
  assert.equal((await directory.answer(location, "", undefined)).remainingMs, 199_999);
  const second = directory.answer(location, "v1", undefined);
  directory.invalidate(location);
  heads[1]?.resolve(head("v2"));
  assert.deepEqual(await second, { head: head("v2"), remainingMs: 0 });
});

test("Directory.subscribe: reports each stale version that was replaced, and no other", async () => {
  const { clock, heads, directory } = fixture();
  const replaced: string[] = [];
  const end = directory.subscribe(({ key }, staleEtag) => replaced.push(`${key} ${staleEtag}`));
  const lookUp = async (answer: ObjectHead | null): Promise<void> => {
    const lookup = directory.lookup(location);
    heads.at(-1)?.resolve(answer);
    await lookup;
  };
  await lookUp(head("v1"));
  await clock.advance(300_000);
  await lookUp(head("v2"));
  directory.forget(location, "v2");
  await lookUp(head("v2"));
  assert.deepEqual(replaced, []);
  directory.forget(location, "v2");
  await lookUp(head("v3"));
  directory.forget(location, "v3");
  await lookUp(null);
  assert.deepEqual(replaced, ["llama/weights.bin v2", "llama/weights.bin v3"]);
  end();
  await clock.advance(60_000);
  await lookUp(head("v4"));
  directory.forget(location, "v4");
  await lookUp(head("v5"));
  assert.equal(replaced.length, 2);
});

test("Directory.lookup: with negativeTtlMs 0 no caller gets an absence from before it asked", async () => {
  const { heads, directory } = fixture({ negativeTtlMs: 0 });
  const before = directory.lookup(location);
  // Here the object is created: the origin has answered the first HEAD, and the answer is still on its way.
  const after = [directory.lookup(location), directory.lookup(location)];
  heads[0]?.resolve(null);
  assert.equal((await before).kind, "error");
  await settle();
  assert.equal(heads.length, 2);
  heads[1]?.resolve(head("v1"));
  for (const lookup of after) assert.equal(etagOf(await lookup), "v1");
});

test("Directory.lookup: beyond entriesMax the least recently used entry is evicted", async () => {
  const { heads, directory } = fixture();
  for (const key of ["a", "b", "c"]) {
    const lookup = directory.lookup({ bucket: "models", key });
    heads.at(-1)?.resolve(head(key));
    await lookup;
  }
  directory.peek({ bucket: "models", key: "a" });
  const lookup = directory.lookup({ bucket: "models", key: "d" });
  heads.at(-1)?.resolve(head("d"));
  await lookup;
  assert.equal(directory.size, 3);
  assert.equal(etagOf(directory.peek({ bucket: "models", key: "a" })), "a");
  assert.equal(directory.peek({ bucket: "models", key: "b" }), undefined);
});

test("Directory.lookup: the version has the chunk size of its object size", async () => {
  const { heads, directory } = fixture();
  const lookup = directory.lookup(location);
  heads[0]?.resolve(head("v1", 2 ** 30));
  const result = await lookup;
  assert.equal(result.kind === "found" && result.record.version.chunkSizeBytes, 64 * 2 ** 20);
});

test("Directory.lookup: the version has the content coding of its metadata", async () => {
  const { heads, directory } = fixture();
  for (const [key, contentEncoding, expected] of [
    ["a", "GZIP", "gzip"],
    ["b", undefined, ""],
  ] as const) {
    const lookup = directory.lookup({ ...location, key });
    heads.at(-1)?.resolve({ ...head("v1"), contentEncoding });
    const result = await lookup;
    assert.equal(result.kind === "found" && result.record.version.contentCoding, expected);
  }
});

test("Directory: a superseded version is reported, even long after its entry has expired", async () => {
  const superseded: string[] = [];
  const { clock, heads, directory } = fixture({ onSuperseded: ({ etag }) => superseded.push(etag) });
  const see = async (answer: ObjectHead | null): Promise<void> => {
    const lookup = directory.lookup(location);
    heads.at(-1)?.resolve(answer);
    await lookup;
    await clock.advance(300_000);
  };
  await see(head("v1"));
  await see(head("v1"));
  assert.deepEqual(superseded, []);
  await see(head("v2"));
  assert.deepEqual(superseded, ["v1"]);
  await see(null);
  assert.deepEqual(superseded, ["v1", "v2"]);
  await see(null);
  await see(head("v3"));
  assert.deepEqual(superseded, ["v1", "v2"]);
});

test("Directory.revalidate: archiving and restoring are seen, though ETag and date stay", async () => {
  const { heads, directory } = fixture();
  const ongoing = { ...head("v1"), storageClass: "GLACIER", restore: 'ongoing-request="true"' };
  const tiered = { ...head("v1"), storageClass: "INTELLIGENT_TIERING", archiveStatus: "ARCHIVE_ACCESS" };
  const first = directory.lookup(location);
  heads.at(-1)?.resolve(head("v1"));
  let found = await first;
  for (const each of [{ ...head("v1"), storageClass: "GLACIER" }, ongoing, tiered]) {
    const asked = directory.revalidate(location, found);
    await settle();
    heads.at(-1)?.resolve(each);
    found = await asked;
    assert.deepEqual(found.kind === "found" && found.record.head, each);
  }
});

test("Directory.lookup: each version has an entry of its own, apart from that of the current object", async () => {
  const { heads, directory } = fixture();
  const first = { ...location, versionId: "first" };
  const lookups = [directory.lookup(location), directory.lookup(first), directory.lookup({ ...first })];
  assert.equal(heads.length, 2);
  heads[0]?.resolve(head("v2"));
  heads[1]?.resolve(head("v1"));
  assert.deepEqual((await Promise.all(lookups)).map(etagOf), ["v2", "v1", "v1"]);
  const [current, old] = [directory.peek(location), directory.peek(first)];
  assert.ok(current?.kind === "found" && old?.kind === "found");
  assert.deepEqual([current.record.version.versionId, old.record.version.versionId], [undefined, "first"]);

  directory.forget(location, "v2");
  assert.deepEqual([directory.peek(location), etagOf(directory.peek(first))], [undefined, "v1"]);
  directory.invalidate(first);
  assert.equal(directory.peek(first), undefined);
});

test("Directory.clear, Directory.versions: versions lie below the prefix of their key", async () => {
  const { heads, directory } = fixture();
  const lookup = directory.lookup({ ...location, versionId: "first" });
  heads[0]?.resolve(head("v1"));
  await lookup;
  const prefix = { originId: "origin-a", bucket: "models", keyPrefix: "llama/" };
  assert.deepEqual(
    directory.versions(prefix).map(({ objectKey, versionId }) => [objectKey, versionId]),
    [["llama/weights.bin", "first"]],
  );
  assert.equal(directory.clear({ ...prefix, keyPrefix: "other/" }), 0);
  assert.equal(directory.clear(prefix), 1);
  assert.equal(directory.versions().length, 0);
});

test("Directory: a version that is deleted supersedes nothing, because its bytes may be the current object's", async () => {
  const superseded: string[] = [];
  const { clock, heads, directory } = fixture({ onSuperseded: ({ etag }) => superseded.push(etag) });
  const first = { ...location, versionId: "first" };
  for (const answer of [head("v1"), null, head("v2")]) {
    const lookup = directory.lookup(first);
    heads.at(-1)?.resolve(answer);
    await lookup;
    await clock.advance(300_000);
  }
  assert.deepEqual([heads.length, superseded], [3, []]);
});

test("Directory.lookup: a delete marker is cached, and another one is another answer", async () => {
  const { heads, directory } = fixture();
  const marker = { kind: "delete-marker", versionId: "m1", lastModifiedMs: 7 } as const;
  const lookup = directory.lookup(location);
  heads[0]?.resolve(marker);
  const found = await lookup;
  assert.ok(found.kind === "error" && found.error instanceof Absence);
  assert.deepEqual([found.error.code, found.error.marker], ["no_such_key", marker]);
  const again = directory.revalidate(location, found);
  heads[1]?.resolve({ ...marker, versionId: "m2" });
  const next = await again;
  assert.ok(next.kind === "error" && next.error instanceof Absence);
  assert.equal(next.error.marker?.versionId, "m2");
});
