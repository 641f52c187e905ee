/**
 * What every origin must do, whatever store is behind it: one suite, run against each driver with a real server (or a
 * real directory) underneath. A driver that passes can be exchanged for another without the rest of Orca noticing.
 */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { ErrorCode } from "../../src/base/orca-error.ts";
import { MiB } from "../../src/base/units.ts";
import type { Origin, RangeRequest } from "../../src/origin/origin.ts";
import { settle } from "../support/fake-clock.ts";
import { MemorySink } from "../support/memory-sink.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";
import {
  headOf,
  listOf,
  never,
  type OriginFixture,
  type OriginTraits,
  rejectsWith,
  type StoredHeaders,
} from "./origin-fixture.ts";
import { listContract, listedKeys } from "./origin-list.ts";

const allHeaders = {
  contentType: "text/plain; charset=utf-8",
  contentEncoding: "gzip",
  contentLanguage: "de",
  contentDisposition: 'attachment; filename="a b.txt"',
  cacheControl: "public, max-age=60",
  expires: "Thu, 01 Jan 2032 00:00:00 GMT",
  metadata: { colour: "blue", note: "two words" },
} as const satisfies StoredHeaders;

const commonKeys = [
  "a key with spaces",
  "a+b",
  "a%2Fb",
  "100%",
  "quotes'\"&<>",
  "question?mark#hash",
  "a=b;c,d:e@f$g!h*i(j)k[l]~m",
  "dots..in..names/.hidden",
  "ключ/日本語/😀.bin",
  // 1024 bytes, the most that S3 takes, in parts that a file system takes too.
  Array.from({ length: 5 }, () => "k".repeat(204)).join("/"),
];

/** Longer than two of the sink's spaces, and no multiple of anything. */
const largeSizeBytes = 3 * MiB + 5;
const largeSeed = 11;

/** Registers the suite. `open` is called once, before its first test. */
export function originContract(name: string, traits: OriginTraits, open: () => Promise<OriginFixture>): void {
  suite(name, () => {
    let fixture: OriginFixture;
    const current = (): OriginFixture => fixture;
    before(async () => {
      fixture = await open();
      await fixture.put("large", patternBytes(largeSeed, 0, largeSizeBytes), {});
      for (const [index, key] of listedKeys.entries()) await fixture.put(key, Buffer.alloc(index), {});
    });
    after(async () => {
      await fixture?.close();
    });
    headContract(traits, current);
    readContract(current);
    partContract(current);
    pinContract(current);
    abortContract(current);
    keyContract([...commonKeys, ...traits.oddKeys], current);
    listContract(traits, current);
    bucketContract(current);
    if (traits.isRemote) failureContract(current);
  });
}

function headContract(traits: OriginTraits, fixture: () => OriginFixture): void {
  test("head: size, an ETag without quotes and a Last-Modified in whole seconds", async () => {
    const head = await headOf(fixture(), "large");
    assert.equal(head.sizeBytes, largeSizeBytes);
    assert.match(head.etag, /^[^"]+$/);
    assert.ok(head.lastModifiedMs !== undefined);
    assert.equal(head.lastModifiedMs % 1000, 0);
    assert.ok(Math.abs(Date.now() - head.lastModifiedMs) < 600_000, "the object was stored just now");
  });

  test("head: everything that the store keeps beside the bytes comes back", async () => {
    const kept: StoredHeaders = Object.fromEntries(
      traits.storedHeaders.map((field) => [field, allHeaders[field]]),
    );
    await fixture().put("headers", Buffer.from("x"), kept);
    const head = await headOf(fixture(), "headers");
    for (const field of traits.storedHeaders) assert.deepEqual({ ...head }[field], kept[field], field);
  });

  test("head: an object without metadata has none", async () => {
    assert.deepEqual((await headOf(fixture(), "large")).metadata, {});
  });

  test("head: a missing key is null", async () => {
    const { origin, bucket } = fixture();
    assert.equal(await origin.head({ bucket, key: "no/such/key" }, never()), null);
    assert.equal(await origin.head({ bucket, key: "large/below-an-object" }, never()), null);
  });

  test("head: an empty object has a size of 0 and an ETag", async () => {
    await fixture().put("empty", Buffer.alloc(0), {});
    const head = await headOf(fixture(), "empty");
    assert.equal(head.sizeBytes, 0);
    assert.notEqual(head.etag, "");
  });
}

/** For origins that have parts. */
function partContract(fixture: () => OriginFixture): void {
  test("part: an object that was put at once is its only part, of the pinned version only", async () => {
    const { origin, bucket } = fixture();
    if (!origin.part) return;
    const { etag } = await headOf(fixture(), "large");
    const request = { bucket, key: "large", etag, objectSizeBytes: largeSizeBytes, partNumber: 1 };
    assert.deepEqual(await origin.part(request, never()), { kind: "whole" });
    await rejectsWith("origin_etag_changed", origin.part({ ...request, etag: "other" }, never()));
    await rejectsWith("origin_etag_changed", origin.part({ ...request, key: "absent" }, never()));
  });
}

function readContract(fixture: () => OriginFixture): void {
  const ranges: Readonly<Record<string, readonly [offset: number, lengthBytes: number]>> = {
    "the whole object, into one space after the other": [0, largeSizeBytes],
    "the first byte": [0, 1],
    "the last byte": [largeSizeBytes - 1, 1],
    "a range in the middle": [1_000_003, 4099],
    "a range across a MiB": [MiB - 3, 7],
    "a range to the end": [2 * MiB + 1, MiB + 4],
  };
  for (const [what, [offset, lengthBytes]] of Object.entries(ranges)) {
    test(`read: ${what}`, async () => {
      const { etag } = await headOf(fixture(), "large");
      const sink = await readLarge(fixture(), etag, offset, lengthBytes);
      assertPattern(sink.received, largeSeed, offset);
    });
  }

  test("read: an object of one byte", async () => {
    await fixture().put("one", Buffer.from("1"), {});
    const { etag } = await headOf(fixture(), "one");
    const { bucket, origin } = fixture();
    const sink = new MemorySink(1);
    await origin.read(
      { bucket, key: "one", etag, objectSizeBytes: 1, offset: 0, lengthBytes: 1 },
      sink,
      never(),
    );
    assert.equal(sink.received.toString(), "1");
  });

  test("read: many at once, one after the other on kept connections, each with its own bytes", async () => {
    const { etag } = await headOf(fixture(), "large");
    for (let round = 0; round < 3; round += 1) {
      const offsets = Array.from({ length: 8 }, (_, index) => (index * 3 + round) * 65_537);
      const sinks = await Promise.all(offsets.map((offset) => readLarge(fixture(), etag, offset, 1_000_001)));
      for (const [index, sink] of sinks.entries())
        assertPattern(sink.received, largeSeed, offsets[index] ?? 0);
    }
  });
}

function pinContract(fixture: () => OriginFixture): void {
  const pinned = async (key: string, change: () => Promise<void>): Promise<void> => {
    const { bucket, origin } = fixture();
    await fixture().put(key, patternBytes(1, 0, 5000), {});
    const { etag } = await headOf(fixture(), key);
    await change();
    const sink = new MemorySink(4000);
    const range: RangeRequest = { bucket, key, etag, objectSizeBytes: 5000, offset: 1000, lengthBytes: 4000 };
    await rejectsWith("origin_etag_changed", origin.read(range, sink, never()));
    sink.settle();
    assert.equal(sink.receivedBytes, 0);
    await settle();
    sink.assertUntouched();
  };

  test("read: of a version that was overwritten with as many bytes is origin_etag_changed, without a byte", () =>
    pinned("overwritten", () => fixture().put("overwritten", patternBytes(2, 0, 5000), {})));

  test("read: of a version that was overwritten with fewer bytes is origin_etag_changed, without a byte", () =>
    pinned("shortened", () => fixture().put("shortened", patternBytes(1, 0, 500), {})));

  test("read: of an object that was deleted is origin_etag_changed, without a byte", () =>
    pinned("deleted", () => fixture().delete("deleted")));

  test("head: an overwrite changes the ETag", async () => {
    await fixture().put("twice", patternBytes(1, 0, 100), {});
    const first = await headOf(fixture(), "twice");
    await fixture().put("twice", patternBytes(2, 0, 100), {});
    assert.notEqual((await headOf(fixture(), "twice")).etag, first.etag);
  });
}

function abortContract(fixture: () => OriginFixture): void {
  test("head, read, list: an aborted signal rejects before anything is asked", async () => {
    const { origin, bucket } = fixture();
    const { etag } = await headOf(fixture(), "large");
    const signal = AbortSignal.abort(new Error("gone"));
    const sink = new MemorySink(10);
    const range: RangeRequest = { ...largeRange(fixture(), etag), offset: 0, lengthBytes: 10 };
    await assert.rejects(origin.read(range, sink, signal));
    await assert.rejects(origin.head({ bucket, key: "large" }, signal));
    await assert.rejects(origin.list(listOf(fixture(), {}), signal));
    sink.settle();
    await settle();
    sink.assertUntouched();
    assert.equal(sink.receivedBytes, 0);
  });

  test("read: an abort in the middle of a body rejects, leaves a true prefix, and nothing touches the sink after", async () => {
    const { etag } = await headOf(fixture(), "large");
    const controller = new AbortController();
    const sink = new MemorySink(largeSizeBytes);
    sink.onAdvance = () => controller.abort(new Error("gone"));
    const range: RangeRequest = { ...largeRange(fixture(), etag), offset: 0, lengthBytes: largeSizeBytes };
    await assert.rejects(fixture().origin.read(range, sink, controller.signal));
    sink.settle();
    assert.ok(sink.receivedBytes > 0 && sink.receivedBytes < largeSizeBytes, "it ended in the middle");
    assertPattern(sink.received, largeSeed, 0);
    for (let turn = 0; turn < 20; turn += 1) await settle();
    sink.assertUntouched();
  });
}

function keyContract(keys: readonly string[], fixture: () => OriginFixture): void {
  for (const [index, key] of keys.entries()) {
    const shown = key.length > 100 ? `${key.slice(0, 20)}… (${Buffer.byteLength(key)} bytes)` : key;
    test(`head, read, list: the key ${JSON.stringify(shown)}`, async () => {
      const { origin, bucket } = fixture();
      const sizeBytes = 1000 + index;
      await fixture().put(key, patternBytes(index, 0, sizeBytes), {});
      const { etag } = await headOf(fixture(), key);
      const sink = new MemorySink(sizeBytes);
      const range: RangeRequest = {
        bucket,
        key,
        etag,
        objectSizeBytes: sizeBytes,
        offset: 0,
        lengthBytes: sizeBytes,
      };
      await origin.read(range, sink, never());
      assertPattern(sink.received, index, 0);
      const page = await origin.list(listOf(fixture(), { prefix: key, maxKeys: 1 }), never());
      assert.equal(page.objects[0]?.key, key);
      assert.equal(page.objects[0]?.sizeBytes, sizeBytes);
      await fixture().delete(key);
      assert.equal(await origin.head({ bucket, key }, never()), null);
    });
  }
}

function bucketContract(fixture: () => OriginFixture): void {
  test("head, look: a bucket that is not there is no_such_bucket, and no missing key", async () => {
    const { origin } = fixture();
    const bucket = "no-such-bucket";
    for (const key of ["large", "no/such/key"])
      await rejectsWith("no_such_bucket", origin.head({ bucket, key }, never()));
    await rejectsWith("no_such_bucket", origin.look({ bucket, prefix: "" }, never()));
  });

  test("look: a bucket that is there resolves, with or without keys below the prefix", async () => {
    const { origin, bucket } = fixture();
    await origin.look({ bucket, prefix: "" }, never());
    await origin.look({ bucket, prefix: "no/such/key" }, never());
  });

  test("listBuckets: the bucket is there, and has a date", async () => {
    const { origin, bucket } = fixture();
    const listed = await origin.listBuckets(undefined, never());
    const found = listed.find(({ name }) => name === bucket);
    const ageMs = Date.now() - (found?.createdMs ?? 0);
    assert.ok(ageMs > -60_000 && ageMs < 3_600_000, `made ${ageMs} ms ago`);
  });
}

function failureContract(fixture: () => OriginFixture): void {
  const asked = async (origin: Origin, code: ErrorCode): Promise<void> => {
    const range: RangeRequest = { ...largeRange(fixture(), "etag"), offset: 0, lengthBytes: 10 };
    const sink = new MemorySink(10);
    await rejectsWith(code, origin.head(range, never()));
    await rejectsWith(code, origin.read(range, sink, never()));
    await rejectsWith(code, origin.list(listOf(fixture(), {}), never()));
    await rejectsWith(code, origin.look({ bucket: fixture().bucket, prefix: "" }, never()));
    await rejectsWith(code, origin.listBuckets(undefined, never()));
    assert.equal(sink.receivedBytes, 0);
    sink.assertUntouched();
  };

  test("head, read, list: an origin that is not there is origin_unavailable", () =>
    asked(remoteOf(fixture()).absentOrigin, "origin_unavailable"));

  test("head, read, list: wrong credentials are origin_denied", () =>
    asked(remoteOf(fixture()).strangerOrigin, "origin_denied"));
}

function remoteOf({ remote }: OriginFixture): NonNullable<OriginFixture["remote"]> {
  assert.ok(remote, "a remote store has origins that fail");
  return remote;
}

function largeRange({ bucket }: OriginFixture, etag: string): Omit<RangeRequest, "offset" | "lengthBytes"> {
  return { bucket, key: "large", etag, objectSizeBytes: largeSizeBytes };
}

async function readLarge(
  fixture: OriginFixture,
  etag: string,
  offset: number,
  lengthBytes: number,
): Promise<MemorySink> {
  const sink = new MemorySink(lengthBytes);
  await fixture.origin.read({ ...largeRange(fixture, etag), offset, lengthBytes }, sink, never());
  sink.settle();
  assert.equal(sink.receivedBytes, lengthBytes);
  sink.assertUntouched();
  return sink;
}
