/**
 * What every origin must do, whatever store is behind it: one suite, run against each driver with a real server (or a
 * real directory) underneath. A driver that passes can be exchanged for another without the rest of Orca noticing.
 *
 * What stores cannot have in common is named in OriginTraits, so that a test which does not apply is not there, rather
 * than there and skipped.
 */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { type ErrorCode, OrcaError } from "../../src/base/orca-error.ts";
import { MiB } from "../../src/base/units.ts";
import type { ListedObject, ListRequest, ObjectHead, Origin, RangeRequest } from "../../src/origin/origin.ts";
import { settle } from "../support/fake-clock.ts";
import { MemorySink } from "../support/memory-sink.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";

/** What is stored beside the bytes. */
export type StoredHeaders = Partial<
  Pick<
    ObjectHead,
    | "contentType"
    | "contentEncoding"
    | "contentLanguage"
    | "contentDisposition"
    | "cacheControl"
    | "expires"
    | "metadata"
  >
>;

/** An origin with its store, for one suite. */
export interface OriginFixture {
  readonly origin: Origin;
  /** A bucket of this suite's own, empty at first. */
  readonly bucket: string;
  /** For stores behind a network. */
  readonly remote?: {
    /** The same store, asked with credentials that it does not know. */
    readonly strangerOrigin: Origin;
    /** An origin whose server is not there. */
    readonly absentOrigin: Origin;
  };
  /** Stores or overwrites an object by other means than the driver under test. */
  put(key: string, body: Buffer, headers: StoredHeaders): Promise<void>;
  delete(key: string): Promise<void>;
  close(): Promise<void>;
}

export interface OriginTraits {
  /** The headers that the store keeps and gives back. */
  readonly storedHeaders: readonly (keyof StoredHeaders)[];
  /** Keys that not every store takes. */
  readonly oddKeys: readonly string[];
  /** Whether the store lists keys in UTF-8 order beyond Unicode's first 65,536 characters too. */
  readonly ordersByUtf8: boolean;
  /** Whether the store lies behind a network and asks who is asking; then its fixture has `remote`. */
  readonly isRemote: boolean;
}

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
    pinContract(current);
    abortContract(current);
    keyContract([...commonKeys, ...traits.oddKeys], current);
    listContract(traits, current);
    if (traits.isRemote) failureContract(current);
  });
}

function headContract(traits: OriginTraits, fixture: () => OriginFixture): void {
  test("head: size, an ETag without quotes and a Last-Modified in whole seconds", async () => {
    const head = await headOf(fixture(), "large");
    assert.equal(head.sizeBytes, largeSizeBytes);
    assert.match(head.etag, /^[^"]+$/);
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

/** In UTF-8 order. */
const listedKeys = [
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

function listContract(traits: OriginTraits, fixture: () => OriginFixture): void {
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

  test("list: a bucket that is not there is no_such_bucket", async () => {
    const request = { ...listOf(fixture(), {}), bucket: "no-such-bucket" };
    await rejectsWith("no_such_bucket", fixture().origin.list(request, never()));
  });
}

function failureContract(fixture: () => OriginFixture): void {
  const asked = async (origin: Origin, code: ErrorCode): Promise<void> => {
    const range: RangeRequest = { ...largeRange(fixture(), "etag"), offset: 0, lengthBytes: 10 };
    const sink = new MemorySink(10);
    await rejectsWith(code, origin.head(range, never()));
    await rejectsWith(code, origin.read(range, sink, never()));
    await rejectsWith(code, origin.list(listOf(fixture(), {}), never()));
    assert.equal(sink.receivedBytes, 0);
    sink.assertUntouched();
  };

  test("head, read, list: an origin that is not there is origin_unavailable", () =>
    asked(remoteOf(fixture()).absentOrigin, "origin_unavailable"));

  test("head, read, list: wrong credentials are origin_denied", () =>
    asked(remoteOf(fixture()).strangerOrigin, "origin_denied"));
}

/** A signal that does not abort. */
function never(): AbortSignal {
  return new AbortController().signal;
}

function remoteOf({ remote }: OriginFixture): NonNullable<OriginFixture["remote"]> {
  assert.ok(remote, "a remote store has origins that fail");
  return remote;
}

async function headOf({ origin, bucket }: OriginFixture, key: string): Promise<ObjectHead> {
  const head = await origin.head({ bucket, key }, never());
  assert.ok(head, `the object ${JSON.stringify(key)} is there`);
  return head;
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

function listOf({ bucket }: OriginFixture, asked: Partial<ListRequest>): ListRequest {
  return {
    bucket,
    prefix: "",
    delimiter: "",
    maxKeys: 1000,
    continuationToken: "",
    startAfter: "",
    ...asked,
  };
}

function keysOf(objects: readonly ListedObject[]): string[] {
  return objects.map(({ key }) => key);
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

function rejectsWith(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  return assert.rejects(promise, (thrown) => {
    assert.ok(thrown instanceof OrcaError, `an OrcaError, not ${String(thrown)}`);
    assert.equal(thrown.code, code, thrown.message);
    return true;
  });
}
