import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { HeadObjectRequestSchema, HeadObjectResponseSchema } from "../../../gen/orca/v1/object_pb.ts";
import { decodeObject } from "../../../src/mesh/codec/object-codec.ts";
import {
  decodePartAnswer,
  decodePartRequest,
  encodePartAnswer,
  encodePartRequest,
} from "../../../src/mesh/codec/part-codec.ts";
import type { PeerPartAnswer, PeerPartRequest } from "../../../src/object/object-peers.ts";
import type { ObjectPart } from "../../../src/origin/origin.ts";
import { throwsWith } from "../../support/throws-with.ts";

const asked: PeerPartRequest = {
  originId: "o",
  request: { bucket: "b", key: "dir/k", etag: "e-3", objectSizeBytes: 2 ** 40, partNumber: 10_000 },
};

function received(init: MessageInitShape<typeof HeadObjectRequestSchema>): PeerPartRequest {
  const bytes = toBinary(HeadObjectRequestSchema, create(HeadObjectRequestSchema, init));
  const { object, part } = fromBinary(HeadObjectRequestSchema, bytes);
  assert.ok(part);
  return decodePartRequest(decodeObject(object), part);
}

function answered(init: MessageInitShape<typeof HeadObjectResponseSchema>): PeerPartAnswer | undefined {
  const bytes = toBinary(HeadObjectResponseSchema, create(HeadObjectResponseSchema, init));
  return decodePartAnswer(fromBinary(HeadObjectResponseSchema, bytes), asked);
}

const anyCount = fc.integer({ min: 1, max: 10_000 });
const anyPart: fc.Arbitrary<ObjectPart> = fc.oneof(
  fc.tuple(fc.nat(), fc.integer({ min: 1, max: 2 ** 30 }), anyCount).map(([start, lengthBytes, count]) => ({
    kind: "range" as const,
    start,
    end: start + lengthBytes,
    count,
  })),
  fc.constant({ kind: "whole" as const }),
  anyCount.map((count) => ({ kind: "absent" as const, count })),
  fc.integer({ min: 0, max: 10_000 }).map((count) => ({ kind: "untold" as const, count })),
);

test("encodePartRequest: a question comes back", () => {
  assert.deepEqual(received(encodePartRequest(asked)), asked);
});

test("encodePartAnswer: every answer comes back", () => {
  fc.assert(
    fc.property(anyPart, fc.nat(), (part, remainingMs) => {
      assert.deepEqual(answered(encodePartAnswer({ part, remainingMs })), { part, remainingMs });
    }),
  );
});

test("decodePartRequest: what is no part of an object is rejected", () => {
  const { object, part } = encodePartRequest(asked);
  const changed = (change: object) => () => received({ object, part: { ...part, ...change } });
  for (const change of [{ partNumber: 0 }, { partNumber: 10_001 }, { objectSize: 0n }, { etag: "" }])
    throwsWith("invalid_argument", changed(change));
});

const place = (value: object) => () =>
  answered({ answer: { case: "part", value: { place: value } as never } });

test("decodePartAnswer: what is no place in the object is rejected", () => {
  const range = { start: 0n, end: 10n, partsCount: 3 };
  for (const change of [{ end: 0n }, { end: 2n ** 41n }, { partsCount: 0 }, { partsCount: 10_001 }])
    throwsWith("invalid_argument", place({ case: "range", value: { ...range, ...change } }));
  throwsWith("invalid_argument", place({ case: "absentOf", value: 0 }));
  throwsWith("invalid_argument", place({ case: undefined }));
});

test("decodePartAnswer: metadata is the answer of a peer that knows no parts", () => {
  assert.equal(answered({ answer: { case: "head", value: { size: 10n, etag: "e-3" } } }), undefined);
});
