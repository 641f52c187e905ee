import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { MiB } from "../../../src/base/units.ts";
import { HeapShare } from "../../../src/object/heap-share.ts";
import { OriginParts } from "../../../src/object/parts/origin-parts.ts";
import { type PartAnswer, PartTables } from "../../../src/object/parts/part-tables.ts";
import type { ObjectPart, PartRequest } from "../../../src/origin/origin.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { rejectsWith } from "../../support/rejects-with.ts";
import { location, metadataCluster, ttlMs } from "../metadata-cluster.ts";

const etag = "e-3";
const at = (partNumber: number, more: Partial<PartRequest> = {}): PartRequest => ({
  bucket: "b",
  key: "k",
  etag,
  objectSizeBytes: 100,
  partNumber,
  ...more,
});
const partOf = (partNumber: number, count = 3): ObjectPart => ({
  kind: "range",
  start: partNumber * 10,
  end: partNumber * 10 + 5,
  count,
});

function tables(
  answer: (request: PartRequest) => PartAnswer | Promise<PartAnswer> = ({ partNumber }) => ({
    part: partOf(partNumber),
    remainingMs: undefined,
  }),
  more: { hasParts?: boolean; entriesMax?: number; heap?: HeapShare; ttlMs?: number } = {},
) {
  const clock = new FakeClock();
  const asked: number[] = [];
  const source = {
    hasParts: more.hasParts ?? true,
    part: async (request: PartRequest): Promise<PartAnswer> => {
      asked.push(request.partNumber);
      return answer(request);
    },
  };
  const { entriesMax = 10, heap } = more;
  return {
    clock,
    asked,
    parts: new PartTables({
      originId: "origin-a",
      source,
      clock,
      ttlMs: more.ttlMs ?? 1000,
      entriesMax,
      heap,
    }),
  };
}

test("PartTables: each part is asked for once, at any place in the object, and is known until the TTL ends", async () => {
  const { clock, asked, parts } = tables();
  for (let round = 0; round < 2; round += 1) {
    for (const partNumber of [3, 1, 2])
      assert.deepEqual(await parts.find(at(partNumber)), partOf(partNumber));
  }
  assert.deepEqual(asked, [3, 1, 2]);
  assert.deepEqual(parts.peek(at(2)), partOf(2));
  assert.deepEqual(parts.stats, { hits: 4, misses: 3, joins: 0 });
  await clock.advance(1000);
  assert.equal(parts.peek(at(2)), undefined);
  assert.deepEqual([parts.size, parts.bytes], [0, 0]);
  parts.close();
});

test("PartTables: a clear deletes the tables below its prefix, and outlives the questions before it", async () => {
  const held = Promise.withResolvers<PartAnswer>();
  let answers = 0;
  const { asked, parts } = tables(({ partNumber }) => {
    answers += 1;
    return answers === 4 ? held.promise : { part: partOf(partNumber), remainingMs: undefined };
  });
  const below = { originId: "origin-a", bucket: "b", keyPrefix: "d/" };
  for (const key of ["d/1", "d/2\0x", "e"]) await parts.find(at(1, { key }));
  assert.deepEqual(
    [parts.clear({ ...below, originId: "other" }), parts.clear({ ...below, bucket: "c" })],
    [0, 0],
  );
  assert.deepEqual([parts.clear({ ...below, keyPrefix: "d/2\0x", match: "key" }), parts.size], [1, 2]);
  const before = parts.find(at(2, { key: "d/1" }));
  assert.deepEqual([parts.clear(below), parts.size], [1, 1]);
  assert.deepEqual(await parts.find(at(2, { key: "d/1" })), partOf(2));
  held.resolve({ part: partOf(7), remainingMs: undefined });
  assert.deepEqual(await before, partOf(7));
  assert.deepEqual(parts.peek(at(2, { key: "d/1" })), partOf(2));
  assert.deepEqual(asked, [1, 1, 1, 2, 2]);
  assert.deepEqual([parts.clear(), parts.size, parts.bytes], [2, 0, 0]);
  parts.close();
});

test("PartTables: an answer is fresh from when its question was sent, and a table from its oldest answer", async () => {
  const { clock, asked, parts } = tables();
  await parts.find(at(1));
  await clock.advance(900);
  await parts.find(at(2));
  await clock.advance(99);
  assert.deepEqual(parts.peek(at(2)), partOf(2));
  await clock.advance(1);
  assert.equal(parts.peek(at(2)), undefined);
  assert.deepEqual(asked, [1, 2]);
  parts.close();
});

test("PartTables: concurrent callers share a question, and an error is for all of them and not kept", async () => {
  const held = Promise.withResolvers<PartAnswer>();
  let isHeld = true;
  const { asked, parts } = tables(({ partNumber }) =>
    isHeld ? held.promise : { part: partOf(partNumber), remainingMs: undefined },
  );
  const callers = [parts.find(at(2)), parts.find(at(2)), parts.find(at(2))];
  held.reject(new OrcaError("origin_unavailable", "origin", "x"));
  for (const caller of callers) await rejectsWith("origin_unavailable", caller);
  assert.deepEqual([asked, parts.stats.joins, parts.size], [[2], 2, 0]);
  isHeld = false;
  assert.deepEqual(await parts.find(at(2)), partOf(2));
  parts.close();
});

test("PartTables: beyond the last part needs no question once any part is known", async () => {
  const { asked, parts } = tables();
  await parts.find(at(2));
  assert.deepEqual(await parts.find(at(4)), { kind: "absent", count: 3 });
  assert.deepEqual(await parts.find(at(10_000)), { kind: "absent", count: 3 });
  assert.deepEqual(asked, [2]);
  parts.close();
});

test("PartTables: the answer that an object has no parts makes it the first part, and no other", async () => {
  const { asked, parts } = tables(() => ({ part: { kind: "whole" }, remainingMs: undefined }));
  assert.deepEqual(await parts.find(at(2)), { kind: "absent", count: 1 });
  assert.deepEqual(await parts.find(at(1)), { kind: "whole" });
  assert.deepEqual(asked, [2]);
  parts.close();
});

test("PartTables: an object of one part tells all parts, and so does an origin that tells none", async () => {
  const whole = tables(() => ({ part: { kind: "whole" }, remainingMs: undefined }));
  assert.deepEqual(await whole.parts.find(at(1)), { kind: "whole" });
  assert.deepEqual(await whole.parts.find(at(2)), { kind: "absent", count: 1 });
  const untold = tables(() => ({ part: { kind: "untold", count: 0 }, remainingMs: undefined }));
  for (const partNumber of [1, 2])
    assert.deepEqual(await untold.parts.find(at(partNumber)), { kind: "untold", count: 0 });
  assert.deepEqual([whole.asked, untold.asked], [[1], [1]]);
  whole.parts.close();
  untold.parts.close();
});

test("PartTables: parts that the origin does not tell, or does not have, are remembered one by one", async () => {
  const told = tables(({ partNumber }) => ({
    part: partNumber === 1 ? partOf(1) : { kind: partNumber === 2 ? "untold" : "absent", count: 3 },
    remainingMs: undefined,
  }));
  for (let round = 0; round < 2; round += 1) {
    assert.deepEqual(await told.parts.find(at(2)), { kind: "untold", count: 3 });
    assert.deepEqual(await told.parts.find(at(1)), partOf(1));
    assert.deepEqual(await told.parts.find(at(3)), { kind: "absent", count: 3 });
  }
  assert.deepEqual(told.asked, [2, 1, 3]);
  told.parts.close();
});

test("PartTables: no question about an object that has one part for sure", async () => {
  const { asked, parts } = tables();
  const md5 = "d41d8cd98f00b204e9800998ecf8427e";
  for (const more of [{ etag: md5 }, { objectSizeBytes: 0 }]) {
    assert.deepEqual(parts.peek(at(1, more)), { kind: "whole" });
    assert.deepEqual(parts.peek(at(2, more)), { kind: "absent", count: 1 });
  }
  const azure = tables(undefined, { hasParts: false });
  assert.deepEqual(azure.parts.peek(at(1)), { kind: "whole" });
  assert.deepEqual([asked, azure.asked], [[], []]);
});

test("PartTables: versions, keys and buckets have tables of their own", async () => {
  const { asked, parts } = tables();
  for (const more of [{}, { etag: "f-3" }, { key: "l" }, { bucket: "c" }]) {
    assert.equal(parts.peek(at(1, more)), undefined);
    await parts.find(at(1, more));
  }
  assert.deepEqual([asked.length, parts.size], [4, 4]);
  parts.close();
});

test("PartTables: another number of parts under the same ETag replaces the table", async () => {
  let count = 3;
  const { parts } = tables(({ partNumber }) => ({ part: partOf(partNumber, count), remainingMs: undefined }));
  await parts.find(at(1));
  count = 5;
  await parts.find(at(2));
  assert.equal(parts.peek(at(1)), undefined);
  assert.deepEqual(parts.peek(at(2)), partOf(2, 5));
  parts.close();
});

const many = ({ partNumber }: PartRequest) => ({
  part: partOf(partNumber, 10_000),
  remainingMs: undefined,
});

test("PartTables: bounded in number and in bytes, 16 for each of 10,000 parts, and charged to the heap share", async () => {
  const few = tables(many, { entriesMax: 2 });
  for (const key of ["a", "b", "c"]) await few.parts.find(at(1, { key }));
  assert.equal(few.parts.size, 2);
  assert.equal(few.parts.peek(at(1, { key: "a" })), undefined);
  const budget = new MemoryBudget({ maxBytes: 64 * MiB, clock: few.clock });
  const heap = new HeapShare(budget, 400_000);
  const { parts } = tables(many, { heap });
  for (const key of ["a", "b", "c"]) await parts.find(at(1, { key }));
  assert.equal(parts.size, 2);
  assert.ok(parts.bytes > 320_000 && parts.bytes <= 400_000, `${parts.bytes}`);
  assert.equal(heap.bytes, parts.bytes);
  parts.close();
  few.parts.close();
});

test("PartTables: with a TTL of 0 nothing is kept", async () => {
  const { asked, parts } = tables(undefined, { ttlMs: 0 });
  for (let round = 0; round < 2; round += 1) await parts.find(at(1));
  assert.deepEqual([asked, parts.size], [[1, 1], 0]);
});

test("OriginParts: the first part tells how many there are, where an absent one does not", async () => {
  const asked: number[] = [];
  const source = (first: ObjectPart): OriginParts =>
    new OriginParts({
      hasParts: true,
      part: async ({ partNumber }) => {
        asked.push(partNumber);
        return partNumber === 1 ? first : { kind: "absent", count: 0 };
      },
    });
  assert.deepEqual((await source(partOf(1)).part(at(9))).part, { kind: "absent", count: 3 });
  assert.deepEqual((await source({ kind: "whole" }).part(at(9))).part, { kind: "absent", count: 1 });
  const untold = { kind: "untold", count: 0 } as const;
  assert.deepEqual((await source(untold).part(at(9))).part, untold);
  assert.deepEqual(asked, [9, 1, 9, 1, 9, 1]);
});

const inCluster = (partNumber: number, version = "v1"): PartRequest => ({
  ...location,
  etag: version,
  objectSizeBytes: 10,
  partNumber,
});

test("ClusterParts: all replicas together ask once for each part, and the TTL counts from that question", async () => {
  const { clock, origin, coordinator, second, third } = metadataCluster();
  const first = { kind: "range", start: 0, end: 6, count: 2 };
  assert.deepEqual(await coordinator.parts.find(inCluster(1)), first);
  await clock.advance(1000);
  for (const { parts } of [second, third]) {
    assert.deepEqual(await parts.find(inCluster(1)), first);
    assert.deepEqual(await parts.find(inCluster(3)), { kind: "absent", count: 2 });
  }
  assert.equal(origin.stats.parts, 1);
  await clock.advance(ttlMs - 1000);
  assert.equal(second.parts.peek(inCluster(1)), undefined);
});

test("ClusterParts: where the coordinator is unreachable, the replica asks the origin itself", async () => {
  const { origin, network, coordinator, second } = metadataCluster();
  network.hosts.delete(coordinator.id);
  assert.deepEqual(await second.parts.find(inCluster(2)), { kind: "range", start: 6, end: 10, count: 2 });
  assert.equal(origin.stats.parts, 1);
});

test("ClusterParts: a version that is gone is an error on every replica, and a replica that coordinates another object says so", async () => {
  const { coordinator, second } = metadataCluster();
  for (const { parts } of [coordinator, second])
    await rejectsWith("origin_etag_changed", parts.find(inCluster(1, "v0")));
  const request = { originId: "origin-a", request: inCluster(1) };
  await rejectsWith("not_coordinator", second.server.part(request));
});
