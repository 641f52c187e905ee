import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import fc from "fast-check";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { placeOfLastBytes, startOfBytes } from "../../../src/object/heads/last-bytes.ts";
import type { BodyPlace, FirstBytes } from "../../../src/origin/origin.ts";
import { firstBytesPlaces } from "../../../src/replica/first-bytes-places.ts";
import { fillFixture } from "../../support/fill-fixture.ts";
import { MemorySink } from "../../support/memory-sink.ts";
import { assertPattern, patternBytes } from "../../support/pattern.ts";
import { until } from "../../support/until.ts";

const seed = 3;

function versionOf(sizeBytes: number, chunkSizeBytes = 8 * MiB): ObjectVersion {
  return new ObjectVersion({
    originId: "origin-a",
    bucket: "b",
    objectKey: "k",
    etag: "e1",
    sizeBytes,
    chunkSizeBytes,
  });
}

function last(lastBytes: number): FirstBytes {
  return { offset: 0, lengthBytes: lastBytes + MiB - 1, withChecksums: false, lastBytes };
}

/** What a flight was given. */
class Receiver {
  readonly offset: number;
  readonly sink: MemorySink;
  readonly left = new AbortController();
  /** A composed signal that somebody listens to stays in memory until it aborts. */
  readonly signal = AbortSignal.any([this.left.signal]);
  readonly ends: (OrcaError | undefined)[] = [];

  constructor(offset: number, lengthBytes: number) {
    this.offset = offset;
    this.sink = new MemorySink(lengthBytes);
  }

  ended(error?: OrcaError): void {
    this.ends.push(error);
    this.sink.settle();
  }
}

/** `isTaken`: whether the bytes at an offset have no place. */
function fixture(
  sizeBytes: number,
  offset: number,
  start: number,
  isTaken: (at: number) => boolean = () => false,
) {
  const receivers: Receiver[] = [];
  const places = {
    receive: (_: ObjectVersion, at: number, lengthBytes: number): BodyPlace | undefined => {
      if (isTaken(at)) return undefined;
      const receiver = new Receiver(at, lengthBytes);
      receivers.push(receiver);
      return receiver;
    },
  };
  const place = placeOfLastBytes(places, versionOf(sizeBytes), offset, start, undefined);
  return { place: place as BodyPlace, receivers };
}

/** Sends the bytes of an object from `from` to `to`, at most `sliceBytes` at a time. */
function send({ sink }: BodyPlace, from: number, to: number, sliceBytes = 300 * KiB): void {
  for (let at = from; at < to; ) {
    const space = sink.space();
    const lengthBytes = Math.min(space.length, to - at, sliceBytes);
    assert.ok(lengthBytes > 0, "there is space while bytes are missing");
    patternBytes(seed, at, lengthBytes).copy(space);
    sink.advance(lengthBytes);
    at += lengthBytes;
  }
}

function listeners(receivers: readonly Receiver[]): number[] {
  return receivers.map(({ signal }) => getEventListeners(signal, "abort").length);
}

test("startOfBytes: the block in which the last bytes begin, whatever the sizes of object and chunk", () => {
  assert.equal(
    startOfBytes({ offset: 7 * MiB, lengthBytes: MiB, withChecksums: false }, versionOf(9 * MiB)),
    7 * MiB,
  );
  assert.equal(startOfBytes(last(64 * KiB), versionOf(16 * MiB)), 15 * MiB);
  assert.equal(startOfBytes(last(64 * KiB), versionOf(16 * MiB + 64 * KiB)), 16 * MiB);
  assert.equal(startOfBytes(last(64 * KiB), versionOf(5)), 0);
  assert.equal(startOfBytes(last(64 * KiB), versionOf(0)), 0);
  const oddChunk = 3 * MiB + 512 * KiB;
  assert.equal(startOfBytes(last(64 * KiB), versionOf(6 * MiB, oddChunk)), oddChunk + 2 * MiB);
  assert.equal(startOfBytes(last(64 * KiB), versionOf(oddChunk + 100 * KiB, oddChunk)), oddChunk);
});

test("startOfBytes: the bytes that are asked for reach back to the start of the block", () => {
  const sizes = fc.record({
    sizeBytes: fc.integer({ min: 1, max: 40 * MiB }),
    lastBytes: fc.integer({ min: 1, max: 7 * MiB }),
    chunkSizeBytes: fc.integer({ min: 2 * MiB, max: 16 * MiB }),
  });
  fc.assert(
    fc.property(sizes, ({ sizeBytes, lastBytes, chunkSizeBytes }) => {
      const wanted = last(lastBytes);
      const start = startOfBytes(wanted, versionOf(sizeBytes, chunkSizeBytes));
      assert.ok(start >= Math.max(0, sizeBytes - wanted.lengthBytes));
      assert.ok(start <= Math.max(0, sizeBytes - lastBytes));
      assert.equal((start % chunkSizeBytes) % MiB, 0);
    }),
  );
});

test("placeOfLastBytes: the front is dropped, and each chunk gets its bytes and its end", () => {
  const size = 16 * MiB + 5;
  const { place, receivers } = fixture(size, 15 * MiB - 700 * KiB, 15 * MiB);
  assert.deepEqual(
    receivers.map(({ offset, sink }) => [offset, sink.lengthBytes]),
    [
      [15 * MiB, MiB],
      [16 * MiB, 5],
    ],
  );
  assert.deepEqual(listeners(receivers), [1, 1]);
  send(place, 15 * MiB - 700 * KiB, 16 * MiB);
  const [first, second] = receivers as [Receiver, Receiver];
  assert.deepEqual([first.ends, second.ends, listeners(receivers)], [[undefined], [], [0, 1]]);
  send(place, 16 * MiB, size);
  place.ended();
  assert.deepEqual([first.ends, second.ends, listeners(receivers)], [[undefined], [undefined], [0, 0]]);
  for (const { offset, sink } of receivers) {
    assertPattern(sink.received, seed, offset);
    assert.equal(sink.receivedBytes, sink.lengthBytes);
    sink.assertUntouched();
  }
  assert.equal(place.signal?.aborted, false);
});

test("placeOfLastBytes: bytes that are held already are dropped, and no place for any of them is none", () => {
  const { place, receivers } = fixture(17 * MiB, 15 * MiB, 15 * MiB, (at) => at < 16 * MiB);
  assert.deepEqual(
    receivers.map(({ offset }) => offset),
    [16 * MiB],
  );
  send(place, 15 * MiB, 17 * MiB);
  place.ended();
  assertPattern((receivers[0] as Receiver).sink.received, seed, 16 * MiB);
  assert.deepEqual(receivers[0]?.ends, [undefined]);
  assert.equal(fixture(17 * MiB, 15 * MiB, 15 * MiB, () => true).place, undefined);
});

test("placeOfLastBytes: where the last chunk has no place, the body ends with the chunk before it", () => {
  const { place, receivers } = fixture(17 * MiB, 15 * MiB, 15 * MiB, (at) => at === 16 * MiB);
  send(place, 15 * MiB, 16 * MiB - 1);
  assert.equal(place.signal?.aborted, false);
  send(place, 16 * MiB - 1, 16 * MiB);
  assert.equal(place.signal?.aborted, true);
  place.ended();
  assert.deepEqual(receivers[0]?.ends, [undefined]);
});

test("placeOfLastBytes: an error ends each part that lacks bytes, and no other", () => {
  const { place, receivers } = fixture(17 * MiB, 15 * MiB, 15 * MiB);
  send(place, 15 * MiB, 16 * MiB + 10);
  const error = new OrcaError("origin_unavailable", "origin", "it broke off");
  place.ended(error);
  assert.deepEqual(
    receivers.map(({ ends }) => ends),
    [[undefined], [error]],
  );
  assert.deepEqual(listeners(receivers), [0, 0]);
});

test("placeOfLastBytes: a chunk that nobody wants any more ends the body when its bytes come next", () => {
  for (const isFirst of [true, false]) {
    const { place, receivers } = fixture(17 * MiB, 15 * MiB - 10, 15 * MiB);
    const [first, second] = receivers as [Receiver, Receiver];
    (isFirst ? first : second).left.abort();
    assert.equal(place.signal?.aborted, isFirst, "the front before it is dropped for it alone");
    if (isFirst) {
      place.ended();
      assert.deepEqual([first.ends, second.ends], [[undefined], [undefined]]);
      assert.equal(second.sink.receivedBytes, 0);
    } else {
      send(place, 15 * MiB - 10, 16 * MiB);
      assert.equal(place.signal?.aborted, true);
      assert.deepEqual([first.ends, second.ends], [[undefined], []]);
      place.ended();
      assert.deepEqual(second.ends, [undefined]);
    }
    assert.deepEqual(listeners(receivers), [0, 0]);
  }
});

test("placeOfLastBytes: while memory is short, flights get fewer blocks, and the body ends with the last of them", async () => {
  for (const maxBytes of [2 * MiB, 4 * MiB, 8 * MiB]) {
    const { filler, memory, budget, version, origin } = fillFixture({ maxBytes });
    const object = version("k", 21 * MiB);
    const places = firstBytesPlaces(filler, true);
    const place = placeOfLastBytes(places, object, 13 * MiB, 13 * MiB, undefined);
    assert.ok(place);
    assert.equal(filler.flightsInProgress, 2);
    for (let at = 13 * MiB; at < 21 * MiB && !place.signal?.aborted; at += MiB) send(place, at, at + MiB);
    const isWhole = maxBytes === 8 * MiB;
    assert.equal(place.signal?.aborted, !isWhole);
    place.ended();
    await until(() => filler.flightsInProgress === 0);
    assert.equal(origin.reads.length, 0, "nobody reads, so nothing more is fetched");
    const kept = isWhole ? 8 : maxBytes === 4 * MiB ? 4 : 1;
    assert.deepEqual([memory.bytes, budget.usedBytes, budget.reservedBytes], [kept * MiB, kept * MiB, 0]);
    const first = memory.peek(object.memoryKey(1))?.block(5);
    assert.ok(first);
    assertPattern(first.bytes, seed, 13 * MiB);
  }
});
