import assert from "node:assert/strict";
import { type BigIntStats, utimesSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import fc from "fast-check";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { FileOrigin } from "../../src/origin/file-origin.ts";
import { fileClockGrainMs, fileEtag } from "../../src/origin/file-version.ts";
import { FileWalk } from "../../src/origin/file-walk.ts";
import { compareKeys } from "../../src/origin/key-order.ts";
import type { ListRequest, ObjectHead, RangeRequest } from "../../src/origin/origin.ts";
import { MemorySink } from "../support/memory-sink.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";
import { rejectsWith } from "../support/rejects-with.ts";

const never = new AbortController().signal;
const bucket = "b";

suite("FileOrigin", () => {
  let base: string;
  let root: string;
  let origin: FileOrigin;
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), "orca-file-origin-"));
    root = join(base, "root");
    await mkdir(root);
    origin = new FileOrigin({ id: "f", roots: new Map([[bucket, root]]), clock: new SystemClock() });
  });
  afterEach(() => rm(base, { recursive: true }));

  async function put(key: string, bytes: Buffer | string = key): Promise<void> {
    await mkdir(dirname(join(root, key)), { recursive: true });
    await writeFile(join(root, key), bytes);
  }

  async function headOf(key: string): Promise<ObjectHead> {
    const head = await origin.head({ bucket, key }, never);
    assert.ok(head, key);
    return head;
  }

  async function rangeOf(key: string, offset: number, lengthBytes: number): Promise<RangeRequest> {
    const { etag, sizeBytes } = await headOf(key);
    return { bucket, key, etag, objectSizeBytes: sizeBytes, offset, lengthBytes };
  }

  function list(asked: Partial<ListRequest>) {
    const all = { bucket, prefix: "", delimiter: "", maxKeys: 1000, continuationToken: "", startAfter: "" };
    return origin.list({ ...all, ...asked }, never);
  }

  /** Every page of a listing, keys and common prefixes together, in the order of the pages. */
  async function listed(asked: Partial<ListRequest>): Promise<string[]> {
    const names: string[] = [];
    let continuationToken = "";
    do {
      const page = await list({ ...asked, continuationToken });
      const keys = page.objects.map(({ key }) => key);
      assert.ok(keys.length + page.commonPrefixes.length <= (asked.maxKeys ?? 1000));
      names.push(...[...keys, ...page.commonPrefixes].sort(compareKeys));
      continuationToken = page.nextContinuationToken;
    } while (continuationToken !== "");
    return names;
  }

  test("head: size, whole seconds, a content type by extension", async () => {
    await put("dir/page.HTML", "12345");
    await utimes(join(root, "dir/page.HTML"), 1_700_000_000.9, 1_700_000_000.9);
    const head = await headOf("dir/page.HTML");
    assert.equal(head.sizeBytes, 5);
    assert.equal(head.lastModifiedMs, 1_700_000_000_000);
    assert.equal(head.contentType, "text/html");
    assert.match(head.etag, /^[0-9a-f]{32}$/);
    await put("constructor.constructor");
    assert.equal((await headOf("constructor.constructor")).contentType, "binary/octet-stream");
  });

  test("head: keys that lead nowhere, or out, are missing", async () => {
    await put("a/b");
    await writeFile(join(base, "secret"), "x");
    const keys = [
      "",
      "a",
      "a/",
      "a/b/",
      "a/b/c",
      "/a/b",
      "a//b",
      "./a/b",
      "a/./b",
      "../secret",
      "a/../../secret",
    ];
    for (const key of [...keys, "a\0b", "x".repeat(300), "a/../a/b"]) {
      assert.equal(await origin.head({ bucket, key }, never), null, JSON.stringify(key));
    }
    await rejectsWith("no_such_bucket", origin.head({ bucket: "other", key: "a/b" }, never));
  });

  test("head: a link is followed under the root and not out of it", async () => {
    await put("a/b", "inside");
    await writeFile(join(base, "secret"), "x");
    await mkdir(join(base, "root-sibling"));
    await writeFile(join(base, "root-sibling/file"), "x");
    await symlink(join(root, "a/b"), join(root, "good"));
    await symlink("../secret", join(root, "bad"));
    await symlink("../root-sibling", join(root, "sibling"));
    await symlink("loop", join(root, "loop"));
    assert.equal((await headOf("good")).sizeBytes, 6);
    for (const key of ["bad", "sibling/file", "loop"])
      assert.equal(await origin.head({ bucket, key }, never), null, key);
    assert.deepEqual(await listed({}), ["a/b", "good"]);
  });

  test("read: ranges within and across the sink's spaces", async () => {
    const sizeBytes = 2 * MiB + 100;
    await put("large", patternBytes(3, 0, sizeBytes));
    for (const [offset, lengthBytes] of [
      [0, sizeBytes],
      [5, MiB],
      [MiB - 1, 2],
      [sizeBytes - 1, 1],
    ] as const) {
      const sink = new MemorySink(lengthBytes);
      await origin.read(await rangeOf("large", offset, lengthBytes), sink, never);
      sink.settle();
      assert.equal(sink.receivedBytes, lengthBytes);
      assertPattern(sink.received, 3, offset);
      sink.assertUntouched();
    }
  });

  test("read: a file that was replaced, rewritten, cut or removed is origin_etag_changed", async () => {
    const changes: Readonly<Record<string, (path: string) => Promise<void>>> = {
      replaced: async (path) => {
        await writeFile(`${path}.new`, "54321");
        await rename(`${path}.new`, path);
      },
      rewritten: async (path) => {
        await writeFile(path, "54321");
        await utimes(path, 1, 1);
      },
      cut: (path) => truncate(path, 2),
      removed: (path) => rm(path),
    };
    for (const [key, change] of Object.entries(changes)) {
      await put(key, "12345");
      const range = await rangeOf(key, 0, 5);
      await change(join(root, key));
      const sink = new MemorySink(5);
      await rejectsWith("origin_etag_changed", origin.read(range, sink, never));
      assert.equal(sink.receivedBytes, 0);
    }
  });

  test("read: a rewrite with the same inode, size and mtime is origin_etag_changed", async () => {
    // As two tar files of equal size and times, unpacked one after the other.
    await put("f", "11111");
    await utimes(join(root, "f"), 1_700_000_000, 1_700_000_000);
    const range = await rangeOf("f", 0, 5);
    await put("f", "22222");
    await utimes(join(root, "f"), 1_700_000_000, 1_700_000_000);
    const sink = new MemorySink(5);
    await rejectsWith("origin_etag_changed", origin.read(range, sink, never));
    assert.equal(sink.receivedBytes, 0);
    assert.notEqual((await headOf("f")).etag, range.etag);
  });

  test("head: a version is told only when the next change must get another ETag", async () => {
    // Each rewrite comes right after the HEAD, mostly within one tick of the file system's clock.
    const etags = new Set<string>();
    for (let version = 0; version < 20; version += 1) {
      await put("f", String(version % 10));
      await utimes(join(root, "f"), 1_700_000_000, 1_700_000_000);
      etags.add((await headOf("f")).etag);
    }
    assert.equal(etags.size, 20);
  });

  test("head: a file that never stands still is origin_unavailable", async () => {
    await put("f", "0");
    let version = 0;
    const clock = new SystemClock();
    const restless = new FileOrigin({
      id: "f",
      roots: new Map([[bucket, root]]),
      clock: {
        now: () => clock.now(),
        monotonic: () => clock.monotonic(),
        timer(delayMs, callback) {
          writeFileSync(join(root, "f"), String((version += 1) % 10));
          return clock.timer(delayMs, callback);
        },
      },
    });
    await rejectsWith("origin_unavailable", restless.head({ bucket, key: "f" }, never));
    assert.ok(version > 1);
  });

  test("fileEtag: two mounts of one tree, which differ in their device numbers, give one ETag", () => {
    const stats = { dev: 1n, ino: 2n, size: 3n, mtimeNs: 4n, ctimeNs: 5n } as BigIntStats;
    assert.equal(fileEtag({ ...stats, dev: 9n }), fileEtag(stats));
    for (const field of ["ino", "size", "mtimeNs", "ctimeNs"])
      assert.notEqual(fileEtag({ ...stats, [field]: 9n }), fileEtag(stats), field);
  });

  test("fileClockGrainMs: times in whole seconds come from a file system with no finer ones", () => {
    assert.equal(fileClockGrainMs({ ctimeNs: 1_700_000_000_004_000_000n }), 20);
    assert.equal(fileClockGrainMs({ ctimeNs: 1_700_000_000_000_000_000n }), 2000);
  });

  test("read: a file that changes between two blocks gives no byte of the new version", async () => {
    await put("f", patternBytes(1, 0, 2 * MiB));
    const range = await rangeOf("f", 0, 2 * MiB);
    const sink = new MemorySink(2 * MiB);
    sink.onAdvance = () => {
      writeFileSync(join(root, "f"), patternBytes(2, 0, 2 * MiB));
      utimesSync(join(root, "f"), 1, 1);
    };
    await rejectsWith("origin_etag_changed", origin.read(range, sink, never));
    assert.equal(sink.receivedBytes, MiB);
    assertPattern(sink.received, 1, 0);
  });

  test("read: an abort is answered between two blocks", async () => {
    await put("f", patternBytes(1, 0, 3 * MiB));
    const abort = new AbortController();
    const reason = new Error("gone");
    const sink = new MemorySink(3 * MiB);
    sink.onAdvance = () => abort.abort(reason);
    await assert.rejects(origin.read(await rangeOf("f", 0, 3 * MiB), sink, abort.signal), reason);
    sink.settle();
    assert.equal(sink.receivedBytes, MiB);
    sink.assertUntouched();
  });

  test("list: whole keys are compared, so a directory stands where its keys do", async () => {
    const keys = ["a-", "a/", "a0", "a/b", "a/-", "a!x", "é", "\u{ff5e}", "\u{1f600}"].filter(
      (key) => !key.endsWith("/"),
    );
    for (const key of keys) await put(key);
    await mkdir(join(root, "empty"));
    assert.deepEqual(await listed({}), keys.toSorted(compareKeys));
    assert.deepEqual(await listed({ delimiter: "/" }), [
      "a!x",
      "a-",
      "a/",
      "a0",
      "é",
      "\u{ff5e}",
      "\u{1f600}",
    ]);
  });

  test("list: a directory of more names than are held at once is listed whole and in order", async () => {
    // A walk holds 2,048 names of a directory, and sorts twice as many.
    const keys = Array.from({ length: 5000 }, (_, index) => `${(index * 7919) % 5000}`);
    for (const key of keys) writeFileSync(join(root, key), "");
    const walked: string[] = [];
    for await (const key of new FileWalk(root, "", "", never).keys()) walked.push(key);
    assert.deepEqual(walked, keys.toSorted(compareKeys));
    const page = await list({ startAfter: "4", maxKeys: 3 });
    assert.deepEqual(
      page.objects.map(({ key }) => key),
      ["40", "400", "4000"],
    );
  });

  test("list: what is told of an object is what HEAD tells", async () => {
    await put("a", "12345");
    const { objects } = await list({});
    const { sizeBytes, etag, lastModifiedMs } = await headOf("a");
    assert.deepEqual(objects, [{ key: "a", sizeBytes, etag, lastModifiedMs }]);
  });

  test("list: pages of any size, prefix, delimiter and start-after agree with a sorted list of keys", async () => {
    const name = fc.constantFrom("a", "b", "a-", "a0", "b.c", "é", "\u{1f600}");
    const key = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join("/"));
    const tree = fc.uniqueArray(key, { maxLength: 12 });
    const asked = fc.record({
      prefix: fc.constantFrom("", "a", "a/", "a/b", "b/a-/", "x"),
      delimiter: fc.constantFrom("", "/", "-", "a/"),
      startAfter: fc.constantFrom("", "a", "a/", "a/a", "a0/", "b/a-", "é"),
      maxKeys: fc.integer({ min: 1, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(tree, asked, async (keys, request) => {
        await rm(root, { recursive: true });
        await mkdir(root);
        // A name cannot be a file and a directory; whichever comes first stays.
        for (const each of keys) await put(each).catch(() => {});
        const present = await listed({});
        assert.deepEqual(present, present.toSorted(compareKeys));
        assert.deepEqual(await listed(request), expectedNames(present, request));
      }),
      { numRuns: 60 },
    );
  });

  test("list: a token that is none of ours is invalid_argument; a bucket that is not there no_such_bucket", async () => {
    await rejectsWith("invalid_argument", list({ continuationToken: "!" }));
    await rejectsWith("no_such_bucket", list({ bucket: "other" }));
    const gone = new FileOrigin({
      id: "f",
      roots: new Map([[bucket, join(base, "nowhere")]]),
      clock: new SystemClock(),
    });
    const request = { bucket, prefix: "", delimiter: "", maxKeys: 1, continuationToken: "", startAfter: "" };
    await rejectsWith("no_such_bucket", gone.list(request, never));
  });

  test("head: an object is its version null, and has no other", async () => {
    await put("a");
    const { etag } = await headOf("a");
    assert.equal((await origin.head({ bucket, key: "a", versionId: "null" }, never))?.etag, etag);
    assert.equal(await origin.head({ bucket, key: "a", versionId: "v1" }, never), null);
    assert.equal(await origin.head({ bucket, key: "b", versionId: "null" }, never), null);
  });

  test("list: versions are those of a bucket that never had any, page by page", async () => {
    for (const key of ["a", "b/c", "b/d", "e"]) await put(key);
    const pages: unknown[] = [];
    let place = { startAfter: "", versionIdMarker: "" } as Partial<ListRequest> | undefined;
    while (place) {
      const page = await list({ delimiter: "/", maxKeys: 1, ...place });
      assert.equal(page.nextContinuationToken, "");
      pages.push([...page.objects.map(({ key }) => key), ...page.commonPrefixes]);
      for (const { version } of page.objects)
        assert.deepEqual(version, { id: "null", isLatest: true, isDeleteMarker: false });
      place = page.nextVersion;
    }
    assert.deepEqual(pages, [["a"], ["b/"], ["e"]]);
  });
});

/** The listing by definition: all keys in order, rolled up, without what is not after `startAfter`. */
function expectedNames(
  keys: readonly string[],
  { prefix, delimiter, startAfter }: Omit<ListRequest, "bucket" | "continuationToken">,
): string[] {
  const names = new Set<string>();
  for (const key of keys) {
    if (!key.startsWith(prefix) || (startAfter !== "" && compareKeys(key, startAfter) <= 0)) continue;
    const at = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
    const name = at === -1 ? key : key.slice(0, at + delimiter.length);
    if (name !== startAfter) names.add(name);
  }
  return [...names];
}
