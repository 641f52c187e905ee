import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import { ReadWindows } from "../../src/fill/read-windows.ts";

function version(objectKey = "k", chunkSizeBytes = 8 * MiB): ObjectVersion {
  const sizeBytes = 1024 * MiB;
  return new ObjectVersion({ originId: "o", bucket: "b", objectKey, etag: "e", sizeBytes, chunkSizeBytes });
}

/** A reader whose first miss is at `start`, and whose flight fetches its window. @returns the window in blocks. */
function reads(windows: ReadWindows, object: ObjectVersion, start: number): number {
  const window = windows.of(object, start * MiB);
  window.end = start * MiB + window.bytes;
  return window.bytes / MiB;
}

/** The windows of so many sequential readers of one object, turn by turn. */
function turns(readers: number): number[][] {
  const windows = new ReadWindows();
  const object = version();
  return [0, 1, 3].map((step) =>
    Array.from({ length: readers }, (_, reader) => reads(windows, object, 100 * reader + step)),
  );
}

test("ReadWindows: readers that go on double a window up to a chunk, and any other miss begins with one block", () => {
  const windows = new ReadWindows();
  const object = version();
  const sizes = [0, 1, 3, 7, 15, 23].map((start) => reads(windows, object, start));
  assert.deepEqual(sizes, [1, 2, 4, 8, 8, 8]);
  assert.equal(reads(windows, object, 30), 1);
  assert.equal(reads(windows, version("k", MiB / 2), 0), 1, "at least one block");
});

test("ReadWindows: four readers of one object go on by themselves, and a fifth begins anew each time", () => {
  assert.deepEqual(turns(4), [
    [1, 1, 1, 1],
    [2, 2, 2, 2],
    [4, 4, 4, 4],
  ]);
  assert.deepEqual(turns(5), [
    [1, 1, 1, 1, 1],
    [1, 1, 1, 1, 1],
    [1, 1, 1, 1, 1],
  ]);
});

test("ReadWindows: a reader that jumps about does not push out those that go on, and they do not push out newcomers", () => {
  const windows = new ReadWindows();
  const object = version();
  let next = 500;
  const jump = (): void => {
    next += 3;
    assert.equal(reads(windows, object, next), 1);
  };
  for (const start of [0, 1, 100, 101]) reads(windows, object, start);
  for (let round = 0; round < 20; round += 1) jump();
  assert.deepEqual([reads(windows, object, 3), reads(windows, object, 103)], [4, 4]);
  for (let round = 0; round < 20; round += 1) jump();
  // Four went on, and are gone. Two new readers find room.
  for (const start of [200, 201, 300, 301]) reads(windows, object, start);
  const both = [400, 450, 401, 451, 403, 453].map((start) => reads(windows, object, start));
  assert.deepEqual(both, [1, 1, 2, 2, 4, 4]);
});

test("ReadWindows: they are bounded in number and bytes", () => {
  const windows = new ReadWindows();
  for (let index = 0; index < 20_000; index += 1)
    for (let start = 0; start < 12; start += 3) reads(windows, version(`k${index % 10_000}`), start);
  assert.ok(windows.heapBytes > MiB && windows.heapBytes <= 2 * MiB, `${windows.heapBytes} bytes`);
  assert.equal(reads(windows, version("k0"), 1), 1, "forgotten");
  assert.equal(reads(windows, version("k9999"), 1), 2, "kept");
});
